//! Files that are truncated or full of holes while they are mapped: words, a status, and an end.

use super::{has_namespaces, in_namespace, text};
use crate::support::up::{PROGRAM, Up, is_empty, shm, wait_until};
use coordinator::bus::directory::{control_path, region_path};
use coordinator::bus::fault;
use coordinator::bus::slot::Life;
use coordinator::bus::sync::Ordering;
use coordinator::bus::view::Control;
use coordinator::client::{Client, Identity, Task, WorkerRef};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn truncate(path: &Path) {
    File::options().write(true).open(path).unwrap().set_len(0).unwrap();
}

/// A fleet whose words can be read.
fn talking(shm: &Path, coordinators: &str) -> (Child, std::path::PathBuf) {
    let child = Command::new(PROGRAM)
        .args(["up", "--name", "test", "--workers", "2", "--coordinators", coordinators, "--shm-dir"])
        .arg(shm)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let dir = shm.join("coord-test");
    wait_until("the fleet is ready", || {
        coordinator::client::status::of(&dir)
            .is_ok_and(|status| status.stage == coordinator::client::status::Stage::Ready)
    });
    (child, dir)
}

fn everyone(dir: &Path) -> Vec<Identity> {
    let status = coordinator::client::status::of(dir).unwrap();
    status.processes().map(coordinator::client::status::ProcessStatus::identity).collect()
}

fn all_gone(everyone: &[Identity]) {
    wait_until("every process has ended", || everyone.iter().all(Identity::is_gone));
}

#[test]
fn a_truncated_region_ends_its_coordinator_with_a_word_and_no_other() {
    let shm = shm();
    let (child, dir) = talking(shm.path(), "2");
    let everyone = everyone(&dir);
    let control = Control::attach(&control_path(&dir)).unwrap();
    truncate(&region_path(&dir, 0));
    let process = &control.coordinator(0).process;
    wait_until("coord/0 is dead", || process.life() == Life::Dead);
    assert_eq!(process.wait_status.load(Ordering::Relaxed), fault::STATUS);
    assert_eq!(process.deaths.load(Ordering::Relaxed), 1, "no successor is tried on a region that is gone");
    assert_eq!(control.coordinator(1).process.life(), Life::Live);
    // Who asks now is told which file it is.
    let status = Command::new(PROGRAM).args(["status", "--shm-dir"]).arg(shm.path()).output().unwrap();
    assert!(text(&status.stdout).contains("/c0: refused, it is empty"), "{}", text(&status.stdout));

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    let line = format!("error: coord/0: {}: was truncated to 0 of ", region_path(&dir, 0).display());
    assert!(said.contains(&line), "{said}");
    assert!(said.contains("start the fleet again"), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    all_gone(&everyone);
    assert!(is_empty(shm.path()));
}

#[test]
fn a_truncated_control_file_ends_the_whole_fleet_and_nothing_stays() {
    let shm = shm();
    let (child, dir) = talking(shm.path(), "2");
    let everyone = everyone(&dir);
    truncate(&control_path(&dir));
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(fault::STATUS), "{said}");
    let line = format!("error: supervisor: {}: was truncated to 0 of ", control_path(&dir).display());
    assert!(said.contains(&line), "{said}");
    all_gone(&everyone);
    assert!(is_empty(shm.path()), "{:?}", super::names(shm.path()));
}

#[test]
fn a_fleet_beside_one_that_lost_its_memory_goes_on() {
    let (shm, other) = (shm(), shm());
    let beside = Up::start(other.path(), 1, 2, &[]);
    let (child, dir) = talking(shm.path(), "1");
    let everyone = everyone(&dir);
    truncate(&control_path(&dir));
    child.wait_with_output().unwrap();
    all_gone(&everyone);
    let mut client = Client::attach(&beside.dir).unwrap();
    let worker = WorkerRef { coordinator: 0, worker: 1 };
    client.send(worker, Task::Echo(b"still here"), Duration::from_secs(30), 0).unwrap();
    client.flush();
    let mut answered = false;
    wait_until("an answer", || {
        client.poll(|event| {
            if let coordinator::client::Event::Outcome(outcome) = event {
                answered = outcome.result.is_ok_and(|answer| answer.body == b"still here");
            }
        });
        answered
    });
    assert_eq!(beside.stop(), Some(0));
}

#[test]
fn a_client_whose_region_is_truncated_says_so_and_its_fleet_ends_with_it() {
    let shm = shm();
    let child = Command::new(PROGRAM)
        .args(["run", "--agents", "2", "--shm-dir"])
        .arg(shm.path())
        .args(["--", "sleep", "1000"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut dir = None;
    wait_until("both are at work", || {
        dir = fs::read_dir(shm.path()).unwrap().map(|entry| entry.unwrap().path()).find(|path| {
            coordinator::client::status::of(path)
                .is_ok_and(|status| status.coordinators[0].workers.iter().all(|worker| worker.task.is_some()))
        });
        dir.is_some()
    });
    let dir = dir.unwrap();
    let everyone = everyone(&dir);
    truncate(&region_path(&dir, 0));
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    // The client meets it, before or after the fleet has removed the file, or hears first that its coordinator has.
    assert!(matches!(output.status.code(), Some(fault::STATUS | 10)), "{said}");
    let told = ["/c0: was truncated to 0 of ", "/c0: was removed and truncated", fault::IN_WORDS];
    assert!(told.iter().any(|words| said.contains(words)), "{said}");
    all_gone(&everyone);
    wait_until("the fleet's directory is gone", || is_empty(shm.path()));
}

#[test]
fn files_that_are_only_removed_while_mapped_do_no_harm() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let everyone = up.identities();
    let mut client = Client::attach(&up.dir).unwrap();
    fs::remove_dir_all(&up.dir).unwrap();
    let worker = WorkerRef { coordinator: 0, worker: 0 };
    client.send(worker, Task::Echo(b"x"), Duration::from_secs(30), 0).unwrap();
    client.flush();
    let mut answered = false;
    wait_until("an answer", || {
        client.poll(|event| {
            if let coordinator::client::Event::Outcome(outcome) = event {
                answered = outcome.result.is_ok();
            }
        });
        answered
    });
    assert_eq!(up.stop(), Some(0));
    all_gone(&everyone);
    assert!(is_empty(shm.path()));
}

#[test]
fn a_hole_that_a_full_file_system_cannot_fill_is_told() {
    if !has_namespaces() {
        return;
    }
    let output = in_namespace(
        r#"mount -t tmpfs -o size=4m tmpfs "$1" || exit 99
        mkfifo "$1/ready"
        "$0" up --name test --workers 2 --shm-dir "$1" > "$1/ready" &
        pid=$!
        read word dir < "$1/ready"
        size=$(stat -c %s "$dir/control")
        head -c 9m /dev/zero > "$1/full" 2>&-
        while [ -e "$dir/control" ]; do
            fallocate --punch-hole --offset 0 --length $size "$dir/control" 2>&-
            head -c 9m /dev/zero >> "$1/full" 2>&-
        done
        wait $pid; s=$?
        rm "$1/ready" "$1/full"
        ls -A "$1"
        exit $s"#,
    );
    let said = text(&output.stderr);
    // Again and again: a process that touches the hole before the file system is full again gets an empty page.
    assert_eq!(output.status.code(), Some(fault::STATUS), "{said}");
    assert!(said.contains("control: its memory was taken away while it was mapped"), "{said}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_run_whose_control_file_is_cut_off_leaves_no_temporary_directories() {
    let (shm, dir) = (crate::support::up::shm(), tempfile::tempdir().unwrap());
    let child = std::process::Command::new(PROGRAM)
        .args(["run", "--agents", "2", "--shm-dir"])
        .arg(shm.path())
        .args(["--", "sh", "-c", "echo >> \"$0\"; sleep 1000"])
        .arg(dir.path().join("begun"))
        .env("TMPDIR", dir.path())
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the tasks have begun", || {
        fs::read(dir.path().join("begun")).is_ok_and(|text| text.len() >= 2)
    });
    let fleet = fs::read_dir(shm.path()).unwrap().next().unwrap().unwrap().path();
    fs::File::options().write(true).open(fleet.join("control")).unwrap().set_len(0).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    wait_until("its files are gone", || {
        let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        is_empty(shm.path()) && left.into_iter().all(|name| name == "begun")
    });
}
