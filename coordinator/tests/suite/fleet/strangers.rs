//! Orphans that a fleet's processes are given: those of the fleet are killed with it, and all others are left alone.

use super::{PROGRAM, Up, kill, shm, wait_until};
use coordinator::client::{Client, Identity, Task, WorkerRef, status};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Becomes the program that it is given, and has another child by then, whose child is orphaned once there is a file `go`.
const SHELL: &str =
    "sh -c 'sleep 1000 & echo $! >stranger; until [ -e go ]; do sleep 0.01; done' >&- 2>&- & exec \"$@\"";

/// A process that was not started by the fleet; ended with the test.
struct Stranger(Identity);

impl Stranger {
    fn in_dir(dir: &Path) -> Self {
        Self(identity_in(&dir.join("stranger")))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if self.0.is_alive() {
            kill(self.0, Signal::SIGKILL);
        }
    }
}

/// Of the process whose pid is in a file, once it is there.
fn identity_in(file: &Path) -> Identity {
    let mut found = None;
    wait_until("its pid is written", || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        found = text.strip_suffix('\n').and_then(|pid| Identity::of(pid.parse().unwrap()));
        found.is_some()
    });
    found.unwrap()
}

fn shell(arguments: &[&str], shm: &Path, dir: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", SHELL, "sh", PROGRAM]).args(arguments).current_dir(dir);
    command.env("COORDINATOR_SHM_DIR", shm).env("TMPDIR", shm);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_run_kills_no_orphan_of_another_process() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    // Ends only when the orphan has become a child of the run.
    let task =
        "touch go; until [ $(cut -d' ' -f4 /proc/$(cat stranger)/stat) = $(cat run) ]; do sleep 0.01; done";
    let child =
        shell(&["run", "--agents", "1", "--", "sh", "-c", task], shm.path(), dir.path()).spawn().unwrap();
    let stranger = Stranger::in_dir(dir.path());
    let run = child.id();
    std::fs::write(dir.path().join("run.new"), run.to_string()).unwrap();
    std::fs::rename(dir.path().join("run.new"), dir.path().join("run")).unwrap();
    let ended = child.wait_with_output().unwrap();
    let words = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{words}");
    assert!(stranger.0.is_alive(), "{words}");
    assert!(words.contains(&format!("process {} (sleep) has lost its parent", stranger.0.pid)), "{words}");
}

/// A fleet's only worker runs something that leaves its group and session; the identity of that.
fn daemon(client: &mut Client, dir: &Path) -> Identity {
    let script = format!("cd {}; env -u TMPDIR setsid sleep 1000 & echo $! >daemon; wait", dir.display());
    let body = coordinator::wire::command_body(&["sh".to_owned(), "-c".to_owned(), script]).unwrap();
    let worker = WorkerRef { coordinator: 0, worker: 0 };
    client.send(worker, Task::Exec(&body), Duration::from_secs(600), 1).unwrap();
    client.flush();
    identity_in(&dir.join("daemon"))
}

#[test]
fn a_supervisor_kills_the_orphans_of_its_fleet_and_no_others() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let arguments = ["up", "--name", "test", "--coordinators", "1", "--workers", "1"];
    let mut up = Up {
        child: shell(&arguments, shm.path(), dir.path()).spawn().unwrap(),
        dir: shm.path().join("coord-test"),
    };
    let stranger = Stranger::in_dir(dir.path());
    wait_until("the fleet is ready", || {
        status::of(&up.dir).is_ok_and(|status| status.stage == status::Stage::Ready)
    });
    let mut client = Client::attach(&up.dir).unwrap();
    let daemon = daemon(&mut client, dir.path());
    std::fs::write(dir.path().join("go"), "").unwrap();
    wait_until("it is the supervisor's child", || stranger.0.parent() == Some(up.child.id() as i32));
    kill(client.status().coordinators[0].process.identity(), Signal::SIGKILL);
    wait_until("what its worker had started is gone", || daemon.is_gone());
    wait_until("it has a successor", || client.status().coordinators[0].process.incarnation == 2);
    assert!(stranger.0.is_alive());
    up.signal(Signal::SIGTERM);
    let stderr = up.child.stderr.take().unwrap();
    assert!(up.stop() == Some(0));
    let words = std::io::read_to_string(stderr).unwrap();
    assert!(stranger.0.is_alive(), "{words}");
    assert!(words.contains(&format!("process {} (sleep) has lost its parent", stranger.0.pid)), "{words}");
}

#[test]
fn what_a_killed_fleet_had_started_is_killed_by_the_run_that_owns_it() {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let task = "setsid sleep 1000 & echo $! >daemon; wait";
    let child =
        shell(&["run", "--agents", "1", "--", "sh", "-c", task], shm.path(), dir.path()).spawn().unwrap();
    let stranger = Stranger::in_dir(dir.path());
    let daemon = identity_in(&dir.path().join("daemon"));
    let fleet = std::fs::read_dir(shm.path()).unwrap().map(|entry| entry.unwrap().path());
    let fleet = fleet.into_iter().find(|path| path.join("control").exists()).unwrap();
    let found = status::of(&fleet).unwrap();
    std::fs::write(dir.path().join("go"), "").unwrap();
    wait_until("it is the run's child", || stranger.0.parent() == Some(child.id() as i32));
    // Stopped, so that it cannot kill what its coordinator leaves.
    kill(found.supervisor.identity(), Signal::SIGSTOP);
    kill(found.coordinators[0].process.identity(), Signal::SIGKILL);
    kill(found.supervisor.identity(), Signal::SIGKILL);
    let ended = child.wait_with_output().unwrap();
    assert!(!ended.status.success());
    assert!(daemon.is_gone());
    assert!(stranger.0.is_alive(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_fleet_removes_its_own_directory_wherever_that_is_and_no_other() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let shm = shm();
        let mut up = Up::start(shm.path(), 1, 1, &[]);
        let away = shm.path().join("away");
        std::fs::rename(&up.dir, &away).unwrap();
        std::fs::create_dir(&up.dir).unwrap();
        std::fs::write(up.dir.join("control"), "precious").unwrap();
        let found = status::of(&away).unwrap();
        up.signal(signal);
        up.child.wait().unwrap();
        wait_until("the fleet has ended", || found.processes().all(|process| process.identity().is_gone()));
        // A killed one cannot.
        assert_eq!(away.exists(), signal == Signal::SIGKILL);
        let cleaned = Command::new(PROGRAM).args(["clean", "--shm-dir"]).arg(shm.path()).output().unwrap();
        assert!(cleaned.status.success());
        assert_eq!(std::fs::read_to_string(up.dir.join("control")).unwrap(), "precious");
    }
}
