//! What a fleet and its tasks inherit from their caller, and what they do not.

use super::{PROGRAM, Up, is_empty, shm, wait_until};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program as `wrapper` starts it: `$0 "$@"` in a script of a shell.
fn by_shell(shm: &Path, wrapper: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", wrapper, PROGRAM]).args(arguments).env("COORDINATOR_SHM_DIR", shm);
    command.current_dir(shm).stdin(Stdio::null());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn signals_that_the_caller_ignores_or_blocks_are_not_those_of_a_task() {
    let shm = shm();
    let wrapper =
        "exec env --ignore-signal=CHLD,USR1,TERM,TTOU,QUIT,RTMIN --block-signal=USR2,TERM,CHLD \"$0\" \"$@\"";
    let run = ["run", "--agents", "2", "--", "sh", "-c", "sh -c 'exit 0'; cat /proc/self/status"];
    let output = by_shell(shm.path(), wrapper, &run).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    let sets: Vec<_> =
        text.lines().filter(|line| line.starts_with("SigIgn") || line.starts_with("SigBlk")).collect();
    assert_eq!(sets.len(), 4, "{text}");
    // Signals 32 and 33 too, which the C library keeps to itself.
    let of_callers = |line: &&str| u64::from_str_radix(&line[8..], 16).unwrap();
    assert!(sets.iter().map(of_callers).all(|set| set == 0), "{sets:?}");
    assert!(is_empty(shm.path()));
}

#[test]
fn a_run_started_by_nohup_goes_on_after_a_hangup() {
    let shm = shm();
    let dir = tempfile::tempdir().unwrap();
    let (begun, go) = (dir.path().join("begun"), dir.path().join("go"));
    let script = format!("touch {}; until [ -e {} ]; do sleep 0.01; done", begun.display(), go.display());
    let wrapper = "exec env --ignore-signal=HUP \"$0\" \"$@\"";
    let mut run = by_shell(shm.path(), wrapper, &["run", "--agents", "1", "--", "sh", "-c", &script]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the task runs", || begun.exists());
    let signal =
        |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(run.id() as i32), signal).unwrap();
    signal(Signal::SIGHUP);
    std::fs::write(&go, "").unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{output:?}");
}

#[test]
fn a_descriptor_of_the_caller_reaches_no_process_of_the_fleet() {
    let shm = shm();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("inherited-marker"), "").unwrap();
    let wrapper = format!("exec \"$0\" \"$@\" 9<{}", dir.path().join("inherited-marker").display());
    // The task, its worker, the coordinator and the supervisor.
    let script =
        "p=self; for i in 1 2 3 4; do ls -l /proc/$p/fd; read -r _ _ _ q _ < /proc/$p/stat; p=$q; done";
    let run = ["run", "--agents", "1", "--", "sh", "-c", script];
    let output = by_shell(shm.path(), &wrapper, &run).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = stdout(&output);
    assert!(text.contains("/coord-") && !text.contains("inherited-marker"), "{text}");
}

#[test]
fn a_umask_that_takes_from_the_owner_does_no_harm() {
    let shm = shm();
    let wrapper = "umask 0777; exec \"$0\" \"$@\"";
    let output =
        by_shell(shm.path(), wrapper, &["run", "--agents", "1", "--", "sh", "-c", "umask"]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "0077\n"), "{output:?}");
}

#[test]
fn a_task_does_not_change_how_the_next_one_is_scheduled() {
    let shm = shm();
    std::fs::write(shm.path().join("inputs"), "a\nb\nc\n").unwrap();
    let script = "nice; ionice; chrt -p $$ | sed s/pid.*.s//; grep Cpus_allowed: /proc/self/status; cat /proc/self/oom_score_adj; \
                  renice -n 5 -p $PPID >&2; ionice -c 3 -p $PPID; chrt -i -p 0 $PPID; echo 700 > /proc/$PPID/oom_score_adj; \
                  taskset -cp $(taskset -cp $$ | sed 's/.*[:,-] *//') $PPID >&2";
    let run = ["run", "--agents", "1", "--inputs", "inputs", "--results", "out", "--", "sh", "-c", script];
    let output = by_shell(shm.path(), "exec \"$0\" \"$@\"", &run).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(shm.path().join("out")).unwrap();
    let found: Vec<String> = text
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["stdout"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(found.len(), 3);
    assert!(found[0].lines().count() >= 5 && found.iter().all(|one| *one == found[0]), "{found:#?}");
}

#[test]
fn a_directory_that_was_removed_is_no_place_for_tasks() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    std::fs::write(shm.path().join("inputs"), "a\n").unwrap();
    let inputs = shm.path().join("inputs");
    let inputs = inputs.to_str().unwrap();
    let wrapper = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" \"$@\"";
    let submit = ["submit", "test", "--inputs", inputs, "--", "touch", "there"];
    let output = by_shell(shm.path(), wrapper, &submit).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(stderr(&output).contains("cannot be named"), "{output:?}");
    // A run of its own goes on there, as other programs do.
    let run = ["run", "--agents", "1", "--", "echo", "here"];
    let output = by_shell(shm.path(), wrapper, &run).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "here\n"), "{output:?}");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn output_that_would_be_lost_is_refused() {
    let shm = shm();
    let closed = "exec \"$0\" \"$@\" >&-";
    let output =
        by_shell(shm.path(), closed, &["run", "--agents", "1", "--", "touch", "begun"]).output().unwrap();
    assert_eq!(output.status.code(), Some(20), "{output:?}");
    assert!(stderr(&output).contains("nothing was started") && !shm.path().join("begun").exists());
    let output = by_shell(shm.path(), closed, &["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(20), "{output:?}");
    assert!(stderr(&output).contains("cannot write to standard output: it is closed"), "{output:?}");
    // With results, nothing goes there.
    let run = ["run", "--agents", "1", "--results", "out", "--", "echo", "kept"];
    let output = by_shell(shm.path(), closed, &run).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // By another name, it is the same stream.
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let run = ["run", "--agents", "1", "--results", name, "--", "touch", "begun"];
        let output = by_shell(shm.path(), closed, &run).output().unwrap();
        assert_eq!(output.status.code(), Some(20), "{name}: {output:?}");
        assert!(stderr(&output).contains("nothing was started") && !shm.path().join("begun").exists());
    }
    for data in [
        &["run", "--agents", "1", "--dry-run", "--", "x"][..],
        &["--help"],
        &["run", "--help"],
        &["--version"],
    ] {
        for lost in [closed, "exec \"$0\" \"$@\" >/dev/full"] {
            let output = by_shell(shm.path(), lost, data).output().unwrap();
            assert_eq!(output.status.code(), Some(20), "{data:?} {lost}: {output:?}");
            assert!(stderr(&output).contains("cannot write to standard output"), "{output:?}");
        }
        assert_eq!(by_shell(shm.path(), "exec \"$0\" \"$@\"", data).output().unwrap().status.code(), Some(0));
    }
    let closed = "exec \"$0\" \"$@\" <&-";
    for name in ["/dev/stdin", "/dev/fd/0"] {
        let run = ["run", "--agents", "1", "--inputs", name, "--", "echo"];
        let output = by_shell(shm.path(), closed, &run).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(stderr(&output).contains("it is closed"), "{output:?}");
    }
    let run = ["run", "--agents", "1", "--inputs", "-", "--", "echo"];
    let output = by_shell(shm.path(), closed, &run).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(stderr(&output).contains("standard input is closed"), "{output:?}");
}

#[test]
fn limits_that_are_too_low_are_named() {
    let shm = shm();
    for (limit, words) in [("ulimit -s 64", "raise `ulimit -s`"), ("ulimit -s 128", "raise `ulimit -s`")] {
        let wrapper = format!("{limit}; exec \"$0\" \"$@\"");
        let output =
            by_shell(shm.path(), &wrapper, &["run", "--agents", "1", "--", "echo"]).output().unwrap();
        assert_eq!(output.status.code(), Some(20), "{limit}: {output:?}");
        assert!(stderr(&output).contains(words), "{output:?}");
    }
}

#[test]
fn no_limit_of_addresses_aborts_the_program() {
    let shm = shm();
    let mut refused = 0;
    // From what the loader refuses to what is enough.
    for addresses in (4_000..12_000).step_by(40) {
        let wrapper = format!("ulimit -v {addresses}; exec \"$0\" --version");
        let output = by_shell(shm.path(), &wrapper, &[]).output().unwrap();
        match output.status.code() {
            Some(20) => {
                refused += 1;
                assert!(stderr(&output).contains("raise `ulimit -v`"), "{addresses}: {output:?}");
            }
            // The loader has refused, and none of the program has run.
            Some(0 | 127) => {}
            // The kernel had no room for the loader, and has killed it.
            code => {
                assert_eq!(
                    (code, output.status.signal()),
                    (None, Some(Signal::SIGSEGV as i32)),
                    "{output:?}"
                );
            }
        }
    }
    assert!(refused > 0);
}
