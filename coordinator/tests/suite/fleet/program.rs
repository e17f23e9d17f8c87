//! The command line, as a user meets it.

use super::{PROGRAM, Up, is_empty, kill, shm, wait_until};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::{Command, Output};

fn coordinator(shm: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env("COORDINATOR_SHM_DIR", shm).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_command_runs_once_for_each_agent() {
    let shm = shm();
    let output = coordinator(shm.path(), &["run", "--agents", "20", "--", "sh", "-c", "echo agent {}"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    let mut wanted: Vec<String> = (0..20).map(|n| format!("agent {n}")).collect();
    wanted.sort();
    assert_eq!(lines, wanted);
    assert!(is_empty(shm.path()));
}

#[test]
fn more_inputs_than_agents_are_all_done() {
    let shm = shm();
    let inputs = shm.path().join("inputs");
    std::fs::write(&inputs, (0..100).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n")).unwrap();
    let output = Command::new(PROGRAM)
        .args(["run", "--agents", "3", "--inputs"])
        .arg(&inputs)
        .args(["--", "echo", "{}"])
        .env("COORDINATOR_SHM_DIR", shm.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut got: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    let mut wanted: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[test]
fn failures_are_counted_and_told() {
    let shm = shm();
    let script = "test {} != 2 || { echo broken >&2; exit 3; }";
    let output = coordinator(shm.path(), &["run", "--agents", "4", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(10));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("broken"), "{stderr}");
    assert!(stderr.contains("error: task \"2\": exited with status 3"), "{stderr}");
    assert!(stderr.contains("error: 1 of 4 tasks failed"), "{stderr}");
}

#[test]
fn a_time_out_ends_the_command() {
    let shm = shm();
    let output =
        coordinator(shm.path(), &["run", "--agents", "1", "--timeout", "200ms", "--", "sleep", "1000"]);
    assert_eq!(output.status.code(), Some(10));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("not finished within") || stderr.contains("timed out after"), "{stderr}");
    assert!(is_empty(shm.path()));
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let shm = shm();
    let output = coordinator(shm.path(), &["run", "--agents", "1", "--", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(10));
    assert!(text(&output.stderr).contains("/no/such/program"), "{}", text(&output.stderr));
}

#[test]
fn output_that_cannot_be_written_is_no_success() {
    let shm = shm();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let run = ["run", "--agents", "2", "--", "echo", "hi"];
    for arguments in [&run[..], &["status"], &["clean"]] {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .env("COORDINATOR_SHM_DIR", shm.path())
            .stdout(full())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.code(), Some(20), "{arguments:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("cannot write to standard output: No space left"), "{stderr}");
    }
    assert!(is_empty(shm.path()));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 3, &[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(PROGRAM)
        .args(["status", "--json"])
        .env("COORDINATOR_SHM_DIR", shm.path())
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_command_line_that_makes_no_sense_has_a_code_of_its_own() {
    let shm = shm();
    for arguments in [
        &["run"][..],
        &["run", "--agents", "0", "--", "true"],
        &["run", "--agents", "1", "--timeout", "1", "--", "true"],
        &["run", "--agents", "1", "--timeout", "0s", "--", "true"],
        &["up", "--workers", "0"],
        &["up", "--workers", "1", "--name", "../escape"],
        &["nonsense"],
    ] {
        let output = coordinator(shm.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(is_empty(shm.path()));
}

#[test]
fn processes_have_names_of_their_own() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 10, &[]);
    let status = coordinator::client::status::of(&up.dir).unwrap();
    let mut count = 0;
    for process in status.processes() {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", process.pid)).unwrap();
        assert_eq!(read("comm").trim_end(), process.place.to_string());
        let title = read("cmdline");
        assert_eq!(title.trim_end_matches('\0'), process.place.to_string());
        count += 1;
    }
    assert_eq!(count, 23);
}

#[test]
fn workers_hold_no_descriptor_but_their_three_and_the_lifeline() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 3, &[]);
    let status = coordinator::client::status::of(&up.dir).unwrap();
    for worker in &status.coordinators[0].workers {
        let open = std::fs::read_dir(format!("/proc/{}/fd", worker.process.pid)).unwrap().flatten();
        let targets: Vec<_> = open.map(|fd| std::fs::read_link(fd.path()).unwrap()).collect();
        let pipes = targets.iter().filter(|target| target.to_string_lossy().starts_with("pipe:")).count();
        // Standard error is the test's, whatever that is.
        assert!(targets.len() == 4 && (1..=2).contains(&pipes), "{}: {targets:?}", worker.process.place);
    }
}

#[test]
fn status_and_stop_find_the_fleet() {
    let shm = shm();
    let mut up = Up::start(shm.path(), 2, 3, &[]);
    let said = text(&coordinator(shm.path(), &["status"]).stdout);
    assert!(said.contains("test  ready"), "{said}");
    assert!(said.contains("coord/1"), "{said}");
    let json: serde_json::Value =
        serde_json::from_slice(&coordinator(shm.path(), &["status", "--json"]).stdout).unwrap();
    assert_eq!(json[0]["status"]["coordinators"][1]["workers"].as_array().unwrap().len(), 3);
    let everyone = up.identities();
    assert_eq!(coordinator(shm.path(), &["stop", "test"]).status.code(), Some(0));
    assert_eq!(up.child.wait().unwrap().code(), Some(0));
    assert!(everyone.iter().all(|process| !process.is_alive()));
    assert!(is_empty(shm.path()));
    assert_eq!(coordinator(shm.path(), &["stop", "test"]).status.code(), Some(10));
}

#[test]
fn a_name_is_taken_once() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let second = coordinator(shm.path(), &["up", "--name", "test", "--workers", "1"]);
    assert_eq!(second.status.code(), Some(64), "{}", text(&second.stderr));
    // And the first one has not noticed.
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn clean_removes_what_the_dead_left_and_nothing_else() {
    let shm = shm();
    let mut dead = Up::start(shm.path(), 1, 2, &[]);
    let everyone = dead.identities();
    dead.child.kill().unwrap();
    dead.child.wait().unwrap();
    wait_until("the fleet is gone", || everyone.iter().all(|process| !process.is_alive()));
    std::fs::rename(&dead.dir, shm.path().join("coord-dead")).unwrap();
    // Half-made by a process that is no more; a stranger's; and a live one.
    let namespace = coordinator::os::identity::namespace();
    let half =
        shm.path().join(format!(".coord-half.{}-{}-{namespace}", everyone[0].pid, everyone[0].start_ticks));
    std::fs::create_dir(&half).unwrap();
    std::fs::create_dir(shm.path().join("coord-unreadable")).unwrap();
    let live = Up::start(shm.path(), 1, 1, &[]);

    let dry = text(&coordinator(shm.path(), &["clean", "--dry-run"]).stdout);
    assert!(
        dry.contains("would remove") && dry.contains("coord-dead") && dry.contains(".coord-half"),
        "{dry}"
    );
    assert!(!dry.contains("coord-test") && !dry.contains("coord-unreadable"), "{dry}");
    assert!(half.exists());

    assert_eq!(coordinator(shm.path(), &["clean"]).status.code(), Some(0));
    let mut left: Vec<_> =
        std::fs::read_dir(shm.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["coord-test", "coord-unreadable"]);
    assert_eq!(live.stop(), Some(0));
}

/// `/proc` that cannot be read, and pids of another namespace, prove no death.
#[test]
fn clean_leaves_alone_what_it_cannot_look_at() {
    if !crate::support::wants::has_namespaces() {
        return;
    }
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let elsewhere = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    let without = Command::new("unshare")
        .args(elsewhere)
        .arg(PROGRAM)
        .arg("clean")
        .arg("--shm-dir")
        .arg(shm.path())
        .output()
        .unwrap();
    assert!(!text(&without.stdout).contains("removed"), "{}", text(&without.stdout));
    let poor = Command::new("prlimit")
        .args(["--nofile=5", PROGRAM, "clean", "--shm-dir"])
        .arg(shm.path())
        .output()
        .unwrap();
    assert!(!text(&poor.stdout).contains("removed"), "{}", text(&poor.stdout));
    assert!(up.dir.exists());
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn children_from_before_are_nobodys_business() {
    let shm = shm();
    let script = format!("sleep 1000 & echo $!; exec {PROGRAM} run --agents 2 -- true");
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("COORDINATOR_SHM_DIR", shm.path())
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut child = output;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut first)
        .unwrap();
    let bystander = coordinator::client::Identity::of(first.trim().parse().unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(bystander.is_alive());
    kill(bystander, Signal::SIGKILL);
    assert!(is_empty(shm.path()));
}

#[test]
fn a_fleet_ends_with_its_owner() {
    let shm = shm();
    let mut owner = Command::new("sleep").arg("1000").spawn().unwrap();
    let identity = coordinator::client::Identity::of(owner.id()).unwrap();
    let owned = format!("{}:{}", identity.pid, identity.start_ticks);
    let mut up = Up::start(shm.path(), 2, 3, &["--owner", &owned]);
    let everyone = up.identities();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(up.child.wait().unwrap().code(), Some(21));
    assert!(everyone.iter().all(|process| !process.is_alive()));
    assert!(is_empty(shm.path()));
}

#[test]
fn an_owner_with_another_start_time_is_no_owner() {
    let shm = shm();
    let own = coordinator::client::Identity::own();
    let owner = format!("{}:{}", own.pid, own.start_ticks + 1);
    let output = coordinator(shm.path(), &["up", "--workers", "1", "--owner", &owner]);
    assert_eq!(output.status.code(), Some(20));
    assert!(text(&output.stderr).contains("does not exist"), "{}", text(&output.stderr));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_file_system_without_room_is_an_error_and_nothing_stays() {
    if !crate::support::wants::has_namespaces() {
        return;
    }
    let script = r#"mount -t tmpfs -o size=64k tmpfs "$1" && "$2" up --workers 50 --shm-dir "$1"; s=$?; ls -A "$1"; exit $s"#;
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(PROGRAM)
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(20), "{stderr}");
    assert!(stderr.contains("cannot reserve") && stderr.contains("hint:"), "{stderr}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_worker_that_cannot_be_forked_is_told_and_the_rest_ends() {
    // Root has no limit on processes, so another user runs this one; only root can become another user.
    if !crate::support::wants::may_become_another_user() {
        return;
    }
    let shm = shm();
    std::os::unix::fs::chown(shm.path(), Some(65534), Some(65534)).unwrap();
    let program = shm.path().join("program");
    std::fs::copy(PROGRAM, &program).unwrap();
    let up = |processes: &str, arguments: &[&str]| {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "prlimit", processes])
            .arg(&program)
            .args(["up", "--workers", "50", "--shm-dir"])
            .arg(shm.path())
            .args(arguments)
            .output()
            .unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(20), "{stderr}");
        stderr
    };
    // Seen before anything is started.
    let said = up("--nproc=20", &[]);
    assert!(said.contains("does not fit: this host") && said.contains("processes of the user"), "{said}");
    assert!(!said.contains("cannot start"), "{said}");
    // The supervisor, its guard and a coordinator, and no worker.
    let said = up("--nproc=3", &["--partial"]);
    assert!(said.contains("cannot start worker/0."), "{said}");
    std::fs::remove_file(program).unwrap();
    assert!(is_empty(shm.path()));
}

#[test]
fn a_killed_agents_task_is_done_by_the_next_one() {
    let shm = shm();
    let go = shm.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.01; done; echo done {{}}", go.display());
    let child = Command::new(PROGRAM)
        .args(["run", "--agents", "3", "--", "sh", "-c", &script])
        .env("COORDINATOR_SHM_DIR", shm.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut victim = None;
    wait_until("all three are at work", || {
        let Some(dir) = std::fs::read_dir(shm.path()).unwrap().find_map(|entry| {
            let entry = entry.unwrap();
            entry.file_name().to_string_lossy().starts_with("coord-").then(|| entry.path())
        }) else {
            return false;
        };
        coordinator::client::status::of(&dir).is_ok_and(|status| {
            let workers = &status.coordinators[0].workers;
            victim = Some(workers[1].process.identity());
            workers.iter().all(|worker| worker.task.is_some())
        })
    });
    kill(victim.unwrap(), Signal::SIGKILL);
    std::fs::write(&go, "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["done 0", "done 1", "done 2"]);
    std::fs::remove_file(go).unwrap();
    assert!(is_empty(shm.path()));
}
