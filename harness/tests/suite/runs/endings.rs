//! Runs that do not reach their end. Nothing of them is left behind.

use super::{Bench, HARNESS, Run, scenario, verdict, wait_until};
use crate::skips::has_or_skips;
use coordinator::client::Identity;
use nix::sys::signal::Signal;
use reports::runlog::event::AgentInfo;
use std::path::Path;
use std::process::{Command, Stdio};

fn kill(agents: &[AgentInfo], name: &str, signal: Signal) {
    let agent = agents.iter().find(|agent| agent.name == name).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent.pid as i32), signal).unwrap();
}

fn is_alive(agent: &AgentInfo) -> bool {
    Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive()
}

/// Kills `name` under load; what the log says about it.
fn killed(name: &str) -> String {
    let bench = Bench::new(&scenario(3));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    kill(&agents, name, Signal::SIGKILL);
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("FAIL"), "{}", done.stdout);
    bench.assert_nothing_left(&agents);
    let verdict = verdict(&bench.latest());
    assert_eq!(verdict["verdict"], "FAIL");
    let evidence = verdict["evidence"].as_array().unwrap();
    let deaths = evidence.iter().find(|check| check["name"] == "no undeclared death").unwrap();
    assert_eq!(deaths["verdict"], "FAIL", "{deaths}");
    std::fs::read_to_string(bench.latest().join("run.log")).unwrap()
}

/// The log says that a second process has this place.
fn replaced(log: &str, name: &str) -> bool {
    let named = format!("\"name\":\"{name}\"");
    log.lines().any(|line| {
        let is_replacement = line.contains("\"ev\":\"agent-replaced\"") && line.contains(&named);
        is_replacement && line.contains("\"incarnation\":2,")
    })
}

#[test]
fn a_killed_worker_is_a_finding() {
    let log = killed("worker/1.2");
    assert!(log.contains("\"name\":\"worker/1.2\"") && log.contains("killed by SIGKILL"), "{log}");
    assert!(replaced(&log, "worker/1.2"), "{log}");
    assert_eq!(log.matches("killed by SIGKILL\",\"expected\":false").count(), 1, "{log}");
}

#[test]
fn a_killed_coordinator_is_a_finding() {
    let log = killed("coord/1");
    assert!(log.contains("\"name\":\"coord/1\"") && log.contains("\"how\":\"killed by SIGKILL\""), "{log}");
    assert!(log.contains("ended when its coordinator died"), "{log}");
    // A successor does what was in its hands.
    assert!(replaced(&log, "coord/1"), "{log}");
    assert!(!log.contains("\"ev\":\"task-failed\""), "{log}");
}

#[test]
fn a_killed_supervisor_is_a_finding() {
    let log = killed("supervisor");
    assert!(log.contains("\"reason\":\"fleet-lost\""), "{log}");
}

/// No criterion asks for latency, and every task is answered: only the stop itself can cost the PASS.
#[test]
fn any_process_that_was_stopped_costs_the_pass() {
    for (names, stopped) in [
        (&["worker/1.2"][..], 1),
        (&["coord/0"], 1),
        (&["supervisor"], 1),
        (&["supervisor", "coord/0", "coord/1", "worker/0.0"], 4),
    ] {
        let bench = Bench::new(&scenario(4).replace("max < 3s", "max < 50s").replace("\"3s\"", "\"1m\""));
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let signal = |signal| names.iter().for_each(|name| kill(&agents, name, signal));
        signal(Signal::SIGSTOP);
        let log = bench.out().join("small/latest/run.log");
        wait_until("a look has seen it", || std::fs::read_to_string(&log).unwrap().contains(" is stopped"));
        signal(Signal::SIGCONT);
        let done = run.end();
        assert_eq!(done.status.code(), Some(12), "{names:?}: {}{}", done.stdout, done.stderr);
        let verdict = verdict(&bench.latest());
        let evidence = verdict["evidence"].as_array().unwrap();
        let check = evidence.iter().find(|check| check["name"] == "no undeclared incident").unwrap();
        assert_eq!(check["verdict"], "INCONCLUSIVE", "{names:?}: {check}");
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.matches("\"kind\":\"stopped\"").count(), stopped, "{names:?}: {log}");
        bench.assert_nothing_left(&agents);
    }
}

#[test]
fn a_fleet_that_an_operator_scaled_is_reported_as_scaled_and_no_process_as_dead() {
    let bench = Bench::new(&scenario(4).replace("every = \"50ms\"", "every = \"1s\""));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let log = bench.out().join("small/latest/run.log");
    let header = std::fs::read_to_string(&log).unwrap();
    let run_id = header.split("\"run_id\":\"").nth(1).unwrap().split('"').next().unwrap();
    let scale = ["coordinator", "scale", run_id, "--workers", "1"];
    assert!(bench.command().args(scale).status().unwrap().success());
    let done = run.end();
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("\"how\":\"was scaled by hand: coord/"), "{log}");
    assert!(!log.contains("\"expected\":false"), "{log}");
    let verdict = verdict(&bench.latest());
    let consistent = &verdict["evidence"].as_array().unwrap()[1];
    let found = (&consistent["name"], &consistent["verdict"]);
    assert_eq!(found, (&"log consistent".into(), &"PASS".into()), "{consistent}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_scenario_may_allow_a_number_of_stops() {
    let allowing = "\n[[criterion]]\nname = \"disturbances\"\npass = \"incidents.minor <= 1\"\n";
    let bench = Bench::new(&format!(
        "{}{allowing}",
        scenario(3).replace("max < 3s\"", "max < 3s\"\ninformational = true")
    ));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    kill(&agents, "worker/0.1", Signal::SIGSTOP);
    let log = bench.out().join("small/latest/run.log");
    wait_until("a look has seen it", || std::fs::read_to_string(&log).unwrap().contains(" is stopped"));
    kill(&agents, "worker/0.1", Signal::SIGCONT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
}

#[test]
fn a_killed_harness_takes_its_fleet_along_and_its_log_is_inconclusive() {
    let bench = Bench::new(&scenario(60));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    run.signal(Signal::SIGKILL);
    run.end();
    wait_until("the fleet has ended itself", || !agents.iter().any(is_alive));
    wait_until("its files are gone", || std::fs::read_dir(bench.shm.path()).unwrap().next().is_none());
    let judged = bench.command().arg("report").arg(bench.latest()).output().unwrap();
    assert_eq!(judged.status.code(), Some(12));
}

#[test]
fn harness_and_supervisor_killed_together_leave_files_that_clean_removes() {
    let bench = Bench::new(&scenario(60));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    // Stopped first, so that it cannot clean up while the other one dies. (Not the supervisor: when its
    // parent dies, the kernel lets a stopped group go on.)
    run.signal(Signal::SIGSTOP);
    kill(&agents, "supervisor", Signal::SIGKILL);
    run.signal(Signal::SIGKILL);
    run.end();
    wait_until("the fleet has ended", || !agents.iter().any(is_alive));
    assert!(std::fs::read_dir(bench.shm.path()).unwrap().next().is_some());
    let cleaned = bench.command().args(["coordinator", "clean"]).output().unwrap();
    assert_eq!(cleaned.status.code(), Some(0));
    bench.assert_nothing_left(&agents);
}

#[test]
fn an_interrupt_drains_and_judges_what_there_is() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let bench = Bench::new(&scenario(60));
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        run.signal(signal);
        let done = run.end();
        assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.starts_with("INCONCLUSIVE"), "{}", done.stdout);
        assert!(bench.latest().join("report.html").exists());
        bench.assert_nothing_left(&agents);
    }
}

/// A worker that sleeps for an hour would hold the drain up until its time-out.
fn undrained() -> String {
    scenario(60)
        .replace("kind = \"echo\"\npayload = \"256B\"", "kind = \"sleep\"\ntime = \"1h\"")
        .replace("task_timeout = \"3s\"", "task_timeout = \"2h\"")
        .replace("max < 3s", "max < 90m")
}

#[test]
fn a_second_interrupt_ends_it_now() {
    let bench = Bench::new(&undrained());
    let mut run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    run.signal(Signal::SIGINT);
    run.reports("no more rounds");
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(130), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
}

/// Interrupts a run whose tasks take an hour, and then `again`; how it ends.
fn cut_off(again: Option<Signal>) -> super::Done {
    let bench = Bench::new(&undrained());
    let mut run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    run.signal(Signal::SIGINT);
    run.reports("waiting up to 5 s for what is in flight");
    if let Some(again) = again {
        run.signal(again);
    }
    let done = run.end();
    bench.assert_nothing_left(&agents);
    assert!(bench.latest().join("report.html").exists() && bench.latest().join("junit.xml").exists());
    let log = bench.log_so_far();
    assert!(log.contains("in flight when the run was interrupted, and are not counted: "), "{log}");
    done
}

#[test]
fn a_cancelled_job_leaves_every_document_whatever_its_tasks_do() {
    let done = cut_off(Some(Signal::SIGTERM));
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("INCONCLUSIVE"), "{}", done.stdout);
    assert!(done.stderr.contains("SIGTERM: what is in flight is cut off"), "{}", done.stderr);
}

#[test]
fn a_cancelled_job_does_not_wait_for_its_tear_down() {
    let endless =
        "[[teardown]]\nname = \"endless\"\ncommand = [\"sleep\", \"3600\"]\ntimeout = \"2h\"\n[[criterion]]";
    let bench = Bench::new(&scenario(60).replacen("[[criterion]]", endless, 1));
    let mut run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    run.signal(Signal::SIGINT);
    run.reports("waiting up to 5 s");
    wait_until("the fleet has ended", || bench.log_so_far().contains("\"ev\":\"verify\""));
    run.signal(Signal::SIGTERM);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    assert!(bench.latest().join("report.html").exists());
    bench.assert_nothing_left(&agents);
}

#[test]
fn what_is_in_flight_is_not_waited_for_until_a_runner_kills_the_job() {
    let done = cut_off(None);
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("INCONCLUSIVE"), "{}", done.stdout);
}

/// Whether the process has not read such a signal yet.
fn is_pending(run: &Run<'_>, number: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.child.id())).unwrap();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(pending.trim(), 16).unwrap() >> (number as i32 - 1) & 1 == 1
}

/// Sends a signal twice and looks at how the run ends; false if so much time has passed in between that it says nothing.
fn ends_with(number: Signal, text: &str, code: i32) -> bool {
    let bench = Bench::new(text);
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let begun = std::time::Instant::now();
    run.signal(number);
    // Until then the kernel makes one of them.
    wait_until("it was read", || !is_pending(&run, number));
    run.signal(number);
    let is_at_once = begun.elapsed().as_millis() <= 50;
    let done = run.end();
    bench.assert_nothing_left(&agents);
    if is_at_once {
        assert_eq!(done.status.code(), Some(code), "{}{}", done.stdout, done.stderr);
    }
    is_at_once
}

#[test]
fn a_request_that_comes_as_two_terms_drains_and_two_interrupts_end_it_now() {
    wait_until("two came at once", || ends_with(Signal::SIGTERM, &scenario(60), 21));
    wait_until("two came at once", || ends_with(Signal::SIGINT, &undrained(), 130));
}

#[test]
fn a_full_disk_ends_the_run_without_a_pass() {
    let namespaces = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    let has = namespaces.is_ok_and(|status| status.success());
    if !has_or_skips("user namespaces, which this host refuses", has) {
        return;
    }
    let bench = Bench::new(&scenario(60));
    // Room enough at the start, and then none.
    let script = r#"mkdir runs && mount -t tmpfs -o size=64m tmpfs runs || exit 1
        { until [ -s runs/small/latest/run.log ]; do sleep 0.1; done; cat /dev/zero > runs/full; } 2> /dev/null & exec "$0" run small.toml --out runs --quiet"#;
    let output = bench
        .within(&mut Command::new("unshare"))
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, HARNESS])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(12), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    bench.assert_nothing_left(&[]);
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_anything_starts() {
    let bench = Bench::new(&scenario(1));
    let output = bench.command().args(["run", "small.toml", "--out", "/proc/nowhere"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(20), "{stderr}");
    assert!(stderr.contains("/proc/nowhere") && stderr.contains("hint:"), "{stderr}");
    bench.assert_nothing_left(&[]);
}

#[test]
fn two_runs_side_by_side_do_not_disturb_each_other() {
    let bench = Bench::new(&scenario(4));
    let other = Bench::new(&scenario(60));
    // In one directory of shared memory, as two users of one machine would be.
    let run = bench.start(&["--quiet"]);
    let doomed = other
        .command()
        .env("COORDINATOR_SHM_DIR", bench.shm.path())
        .args(["run", "small.toml", "--out", "runs", "--quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let doomed = super::Run { bench: &other, child: doomed };
    let theirs = doomed.agents_under_load();
    let ours = run.agents_under_load();
    doomed.signal(Signal::SIGKILL);
    doomed.end();
    wait_until("the other fleet has ended", || !theirs.iter().any(is_alive));
    let cleaned = bench.command().args(["coordinator", "clean"]).output().unwrap();
    assert_eq!(cleaned.status.code(), Some(0));
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&ours);
}

#[test]
fn a_stopped_worker_is_a_failed_task_and_no_hang() {
    let text = scenario(2).replace("task_timeout = \"3s\"", "task_timeout = \"500ms\"");
    let bench = Bench::new(&text);
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    kill(&agents, "worker/0.1", Signal::SIGSTOP);
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(log.contains("no answer within 500ms"), "{log}");
    bench.assert_nothing_left(&agents);
}

/// It hangs after its last answer: the fleet has to kill it, and that is not an orderly end.
#[test]
fn a_process_that_has_to_be_killed_at_the_end_is_a_finding() {
    for name in ["worker/0.1", "coord/1", "supervisor"] {
        // One round, and then time to do harm in.
        let text = scenario(2).replace("every = \"50ms\"", "every = \"2s\"").replace("200ms", "2s");
        let bench = Bench::new(&text);
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        wait_until("the only round of the load is over", || {
            std::fs::read_to_string(bench.latest().join("run.log"))
                .unwrap()
                .matches("\"ev\":\"sample\"")
                .count()
                > 25
        });
        kill(&agents, name, Signal::SIGSTOP);
        let done = run.end();
        assert_eq!(done.status.code(), Some(10), "{name}: {}{}", done.stdout, done.stderr);
        let verdict = verdict(&bench.latest());
        let evidence = verdict["evidence"].as_array().unwrap();
        let deaths = evidence.iter().find(|check| check["name"] == "no undeclared death").unwrap();
        assert_eq!(deaths["verdict"], "FAIL", "{name}: {deaths}");
        bench.assert_nothing_left(&agents);
    }
}

#[test]
fn an_abort_criterion_ends_the_run_early() {
    let text =
        scenario(60).replacen("pass = \"incidents == 0\"", "pass = \"incidents == 0\"\nabort = true", 1);
    let bench = Bench::new(&text);
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    kill(&agents, "worker/0.0", Signal::SIGKILL);
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("cannot pass any more"), "{}", done.stdout);
    bench.assert_nothing_left(&agents);
}

#[test]
fn an_orphan_of_another_process_is_listed_and_left_alone() {
    let bench = Bench::new(&scenario(2));
    let script =
        "sh -c 'sleep 1000 & echo $! >stranger; until [ -e go ]; do sleep 0.01; done' >&- 2>&- & exec \"$@\"";
    let child = bench
        .within(&mut Command::new("sh"))
        .args(["-c", script, "sh", HARNESS, "run", "small.toml", "--out", "runs", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = Run { bench: &bench, child };
    let agents = run.agents_under_load();
    let pid = std::fs::read_to_string(bench.dir.path().join("stranger")).unwrap();
    let stranger = Identity::of(pid.trim().parse().unwrap()).unwrap();
    std::fs::write(bench.dir.path().join("go"), "").unwrap();
    wait_until("it is the run's child", || stranger.parent() == Some(run.child.id() as i32));
    let done = run.end();
    let left_alone = stranger.is_alive();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(stranger.pid as i32), Signal::SIGKILL);
    assert!(left_alone, "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(log.contains(&format!("process {} (sleep) has lost its parent", stranger.pid)), "{log}");
    let verdict = verdict(&bench.latest());
    let evidence = verdict["evidence"].as_array().unwrap();
    let left = evidence.iter().find(|check| check["name"] == "nothing left behind").unwrap();
    assert_eq!(left["verdict"], "PASS", "{left}");
    bench.assert_nothing_left(&agents);
}

/// What was done to the files of a run, and what became of that run.
fn run_with(deed: impl Fn(&Path)) -> (Bench, serde_json::Value) {
    let bench = Bench::new(&scenario(1));
    let run = bench.start(&["--quiet"]);
    run.agents_under_load();
    let mut fleets = std::fs::read_dir(bench.shm.path()).unwrap().map(|entry| entry.unwrap().path());
    deed(&fleets.next().unwrap());
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let verdict = verdict(&bench.latest());
    let evidence = verdict["evidence"].as_array().unwrap();
    let untouched = evidence.iter().find(|check| check["name"] == "shared memory untouched").cloned();
    (bench, untouched.expect("the check is there"))
}

#[test]
fn what_others_do_to_the_files_of_a_run_is_a_finding() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 3] = [
        ("/c1 has ", |fleet| {
            let file = std::fs::File::options().write(true).open(fleet.join("c1")).unwrap();
            file.set_len(file.metadata().unwrap().len() + 4096).unwrap();
        }),
        ("/c0 has mode 644 instead of 600", |fleet| {
            let all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            std::fs::set_permissions(fleet.join("c0"), all).unwrap();
        }),
        (" was removed", |fleet| std::fs::remove_dir_all(fleet).unwrap()),
    ];
    for (wanted, deed) in deeds {
        let (bench, untouched) = run_with(deed);
        assert_eq!(untouched["verdict"], "FAIL", "{untouched}");
        assert!(untouched["note"].as_str().unwrap().contains(wanted), "{untouched}");
        bench.assert_nothing_left(&[]);
    }
}

#[test]
fn a_directory_in_the_place_of_the_runs_own_stays_and_the_runs_own_goes() {
    let (bench, untouched) = run_with(|fleet| {
        std::fs::rename(fleet, fleet.with_file_name("away")).unwrap();
        std::fs::create_dir(fleet).unwrap();
        std::fs::write(fleet.join("control"), "precious").unwrap();
    });
    let note = untouched["note"].as_str().unwrap();
    assert!(note.contains("was moved away, and something else is in its place"), "{untouched}");
    let left: Vec<_> =
        std::fs::read_dir(bench.shm.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(left[0].join("control")).unwrap(), "precious");
}
