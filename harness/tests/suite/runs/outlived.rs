//! What the segment of a killed harness leaves running, and what the run that goes on makes of it.

use super::{Bench, Done, WATCHDOG, verdict, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Instant;

/// A command that leaves a process in a session of its own, which holds none of the descriptors that it was given, and then
/// goes on itself; in the segment that follows it does nothing.
struct Leaver {
    bench: Bench,
    left: PathBuf,
    over: PathBuf,
}

fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

impl Leaver {
    fn new() -> Self {
        let bench = Bench::new("");
        let [left, over] = ["left", "over"].map(|name| bench.dir.path().join(name));
        let script = format!(
            "test -e {over} || {{ setsid sh -c 'echo $$ > {left}; exec sleep 700' <&- >&- 2>&- & sleep 700; }}",
            left = left.display(),
            over = over.display()
        );
        let scenario = format!(
            r#"
schema = 1
name = "small"
asks = "What does a killed segment leave?"
[fleet]
topology = "flat"
coordinators = 1
workers = 1
[workload]
kind = "exec"
command = ["sh", "-c", "{script}"]
[load]
model = "closed"
duration = "2s"
task_timeout = "60s"
[sampling]
every = "100ms"
[[criterion]]
name = "deaths"
pass = "incidents == 0"
"#
        );
        std::fs::write(bench.file(), scenario).unwrap();
        Self { bench, left, over }
    }

    /// Kills the harness while the process is there; and with it all that could end that process, if `alone`.
    fn killed(&self, alone: bool) -> (i32, Done) {
        let mut run = self.bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let pid = || std::fs::read_to_string(&self.left).unwrap_or_default().trim().parse().ok();
        wait_until("the command has left a process", || pid().is_some());
        let pid: i32 = pid().unwrap();
        let of = |role: &str| -> Vec<i32> {
            agents.iter().filter(|it| it.name.starts_with(role)).map(|it| it.pid as i32).collect()
        };
        let supervisor = of("supervisor")[0];
        if alone {
            // It would start another guard.
            send(supervisor, Signal::SIGSTOP);
            let children = format!("/proc/{supervisor}/task/{supervisor}/children");
            let children = std::fs::read_to_string(children).unwrap();
            let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let guard = children.split_whitespace().find(|pid| name(pid).trim() == "guard").unwrap();
            let all = [of("coord"), of("worker")].concat();
            let to_all = |signal| {
                for pid in &all {
                    send(*pid, signal);
                }
            };
            to_all(Signal::SIGSTOP);
            send(guard.parse().unwrap(), Signal::SIGKILL);
            run.child.kill().unwrap();
            send(supervisor, Signal::SIGKILL);
            to_all(Signal::SIGKILL);
        } else {
            run.child.kill().unwrap();
        }
        run.child.wait().unwrap();
        std::fs::write(&self.over, "").unwrap();
        let resumed = self.bench.start_by(self.bench.command().args(["resume", "runs/small/latest"])).end();
        (pid, resumed)
    }

    fn nothing_left(&self) -> serde_json::Value {
        let verdict = verdict(&self.bench.latest());
        let all = verdict["evidence"].as_array().unwrap();
        all.iter().find(|check| check["name"] == "nothing left behind").unwrap().clone()
    }
}

#[test]
fn a_process_that_outlives_the_harness_of_its_segment_fails_the_run_by_name() {
    let leaver = Leaver::new();
    let (pid, done) = leaver.killed(true);
    let told = format!("{}{}", done.stdout, done.stderr);
    let is_there =
        || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    let begun = Instant::now();
    while is_there() && begun.elapsed() < WATCHDOG {
        std::thread::yield_now();
    }
    assert!(!is_there(), "it was killed: {told}");
    let named = format!("sleep (pid {pid})");
    assert!(done.stderr.contains(&format!("{named} of an earlier segment had outlived")), "{told}");
    assert_eq!(done.status.code(), Some(10), "{told}");
    let check = leaver.nothing_left();
    assert_eq!(check["verdict"], "FAIL", "{check}");
    assert!(check["note"].as_str().unwrap().contains(&named), "{check}");
    let log = std::fs::read_to_string(leaver.bench.latest().join("run.2.log")).unwrap();
    assert!(log.contains("had outlived its harness, and was killed"), "{log}");
}

#[test]
fn what_a_guard_ends_after_its_harness_costs_the_run_nothing() {
    let leaver = Leaver::new();
    let (pid, done) = leaver.killed(false);
    let check = leaver.nothing_left();
    assert_eq!((&check["verdict"], &check["note"]), (&"PASS".into(), &serde_json::Value::Null), "{check}");
    assert!(!done.stderr.contains("outlived"), "{}", done.stderr);
    assert!(std::fs::read(format!("/proc/{pid}/environ")).is_err(), "the guard ends it");
    leaver.bench.assert_nothing_left(&[]);
}
