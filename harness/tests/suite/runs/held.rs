//! A fleet that is held in ways that stop no process in the kernel's sense: by its control group, by an operator, or in what
//! belongs to it and is no agent. Nothing of that is declared, so nothing of it may pass.

use super::{Bench, WHOLE, scenario, verdict, wait_until};
use crate::skips::has_or_skips;
use coordinator::client::Identity;
use coordinator::client::fields::of_control;
use coordinator::config::FleetShape;
use nix::sys::signal::Signal;
use reports::runlog::event::{AgentInfo, Event, Incident};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

fn send(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// The small fleet, and no criterion that asks for times: a run whose processes were held for seconds passes all of them.
fn patient(seconds: u32) -> Bench {
    let patient = [("task_timeout = \"3s\"", "task_timeout = \"60s\""), ("max < 3s", "max < 2m")];
    let text = scenario(seconds).replace("every = \"50ms\"", "every = \"250ms\"");
    Bench::new(&patient.iter().fold(text, |text, (from, to)| text.replace(from, to)))
}

/// A control group whose processes can be frozen.
struct Freezer {
    dir: PathBuf,
    /// The file, and what is written into it.
    switch: (&'static str, [&'static str; 2]),
}

impl Freezer {
    /// One of each kind that this host has.
    fn all(name: &str) -> Vec<Self> {
        let name = format!("harness-test-{}-{name}", std::process::id());
        let kinds = [
            ("/sys/fs/cgroup/freezer", ("freezer.state", ["THAWED", "FROZEN"])),
            ("/sys/fs/cgroup/unified", ("cgroup.freeze", ["0", "1"])),
            ("/sys/fs/cgroup", ("cgroup.freeze", ["0", "1"])),
        ];
        let of = |(root, switch): (&str, (&'static str, _))| {
            let dir = Path::new(root).join(&name);
            let is_group = Path::new(root).join("cgroup.procs").exists();
            let made = (is_group && std::fs::create_dir(&dir).is_ok()).then_some(Self { dir, switch })?;
            made.dir.join(switch.0).exists().then_some(made)
        };
        kinds.into_iter().filter_map(of).collect()
    }

    fn put(&self, agents: &[&AgentInfo]) {
        for agent in agents {
            std::fs::write(self.dir.join("cgroup.procs"), agent.pid.to_string()).unwrap();
        }
    }

    fn freeze(&self, on: bool) {
        std::fs::write(self.dir.join(self.switch.0), self.switch.1[usize::from(on)]).unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.dir.join(self.switch.0), self.switch.1[0]);
        let procs = || std::fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        wait_until("no process is left in the group", || procs().is_empty());
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// Held until the harness has said so; then the run is INCONCLUSIVE, and for this reason.
fn is_inconclusive(bench: &Bench, hold: impl FnOnce(&[AgentInfo]), release: impl FnOnce(), how: &str) {
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let log = bench.out().join("small/latest/run.log");
    let says = |words: &str| std::fs::read_to_string(&log).unwrap().contains(words);
    hold(&agents);
    wait_until("the harness has seen it", || says("\"ev\":\"alert\""));
    release();
    let done = run.end();
    let told = format!("{}{}", done.stdout, done.stderr);
    assert_eq!(done.status.code(), Some(12), "{told}");
    assert!(says(how), "{how}: {told}");
    let verdict = verdict(&bench.latest());
    let of = |name: &str| {
        let all = verdict["evidence"].as_array().unwrap();
        all.iter().find(|check| check["name"] == name).unwrap()["verdict"].clone()
    };
    assert_eq!(of("no undeclared incident"), "INCONCLUSIVE", "{told}");
    assert_eq!(of("log consistent"), "PASS", "{told}");
    bench.assert_nothing_left(&agents);
}

/// A fleet with a worker that is paused as declared, and a process that is stopped by another hand when that is over.
fn stopped_beside_a_pause(is_meant: impl Fn(&AgentInfo, &str) -> bool) {
    let bench = patient(6);
    let pause = "[[fault]]\nname = \"planned\"\nkind = \"pause\"\nrole = \"worker\"\nat = \"300ms\"\nfor = \"500ms\"\n";
    let text = std::fs::read_to_string(bench.file()).unwrap();
    std::fs::write(bench.file(), text + pause).unwrap();
    let stopped = std::cell::Cell::new(0);
    let hold = |agents: &[AgentInfo]| {
        let is_over = || bench.steps_so_far().last().is_some_and(|last| last.step == WHOLE[3]);
        wait_until("the pause is over", is_over);
        let target = bench.steps_so_far()[0].targets[0].name.clone();
        // The sweep in which the end of the pause is seen is over, too.
        wait_until("the pause was seen", || bench.log_so_far().contains("was stopped for about"));
        let agent = agents.iter().find(|agent| is_meant(agent, &target)).unwrap();
        stopped.set(agent.pid as i32);
        send(stopped.get(), Signal::SIGSTOP);
        let seen = format!("{} (pid {}) is stopped", agent.name, agent.pid);
        wait_until("the stop is seen", || bench.log_so_far().contains(&seen));
    };
    is_inconclusive(&bench, hold, || send(stopped.get(), Signal::SIGCONT), "was stopped for about ");
}

#[test]
fn a_supervisor_stopped_by_another_hand_is_not_the_pause_that_was_declared() {
    stopped_beside_a_pause(|agent, _| agent.name == "supervisor");
}

#[test]
fn a_coordinator_stopped_by_another_hand_is_not_the_pause_that_was_declared() {
    stopped_beside_a_pause(|agent, _| agent.name == "coord/1");
}

#[test]
fn another_worker_stopped_by_another_hand_is_not_the_pause_that_was_declared() {
    stopped_beside_a_pause(|agent, target| agent.name.starts_with("worker/") && agent.name != target);
}

fn frozen(name: &str, is_meant: fn(&AgentInfo) -> bool) {
    let all = Freezer::all(name);
    if !has_or_skips("a control group to freeze processes in, which root can make", !all.is_empty()) {
        return;
    }
    for freezer in all {
        let bench = patient(6);
        let hold = |agents: &[AgentInfo]| {
            freezer.put(&agents.iter().filter(|agent| is_meant(agent)).collect::<Vec<_>>());
            freezer.freeze(true);
        };
        is_inconclusive(&bench, hold, || freezer.freeze(false), "showed no progress for about ");
    }
}

#[test]
fn a_fleet_that_was_frozen_as_a_whole_does_not_pass() {
    frozen("whole", |_| true);
}

#[test]
fn a_frozen_coordinator_does_not_pass() {
    frozen("coordinator", |agent| agent.name == "coord/1");
}

#[test]
fn a_frozen_worker_does_not_pass() {
    frozen("worker", |agent| agent.name == "worker/0.1");
}

#[test]
fn a_pause_that_an_operator_holds_for_long_does_not_pass() {
    let bench = patient(5);
    let fields = of_control(&FleetShape::new(2, 3, 256, 4).unwrap());
    let write = |name: &str, value: u64| {
        let field = fields.iter().find(|field| field.name == name).unwrap();
        let fleet = std::fs::read_dir(bench.shm.path()).unwrap().next().unwrap().unwrap().path();
        let memory = std::fs::File::options().write(true).open(fleet.join("control")).unwrap();
        memory.write_all_at(&value.to_ne_bytes()[..field.bytes as usize], field.at).unwrap();
    };
    // As a `backup` that is stopped in the middle leaves it.
    let hold = |_: &[AgentInfo]| {
        let own = Identity::own();
        write("orders.pause_start", own.start_ticks);
        write("orders.pause_pid", own.pid.into());
        write("orders.pause", 7);
    };
    let release = || write("orders.pause", 0);
    is_inconclusive(&bench, hold, release, "was paused with its whole fleet by process ");
}

/// The incidents of the newest run that are over.
fn incidents(bench: &Bench) -> Vec<Incident> {
    let log = bench.out().join("small/latest/run.log");
    let records = reports::runlog::codec::open(&log).unwrap().map_while(Result::ok);
    let of = |record: reports::runlog::Record| match record.event {
        Event::Incident(incident) => Some(incident),
        _ => None,
    };
    records.filter_map(of).collect()
}

#[test]
fn a_worker_that_dies_while_it_is_stopped_and_suspected_takes_its_incident_with_it() {
    /// Longer than half of `hang_after`, and shorter than all of it.
    const HELD: std::time::Duration = std::time::Duration::from_secs(4);
    let bench = patient(10);
    let text = std::fs::read_to_string(bench.file()).unwrap();
    let text = text.replace("workers = 3", "workers = 3\nhang_after = \"6s\"");
    std::fs::write(bench.file(), text).unwrap();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let first = agents.iter().find(|agent| agent.name == "worker/0.1").unwrap();
    let is_told = |pid: u32| bench.log_so_far().contains(&format!("worker/0.1 (pid {pid}) is stopped"));
    send(first.pid as i32, Signal::SIGSTOP);
    wait_until("the stop is seen", || is_told(first.pid));
    std::thread::park_timeout(HELD);
    send(first.pid as i32, Signal::SIGKILL);
    wait_until("its incident is over", || incidents(&bench).iter().any(|it| it.pid == first.pid));
    let mut second = 0;
    wait_until("another worker has its place", || {
        let log = bench.out().join("small/latest/run.log");
        let records = reports::runlog::codec::open(&log).unwrap().map_while(Result::ok);
        second = records
            .filter_map(|record| match record.event {
                Event::AgentReplaced(new) if new.name == "worker/0.1" => Some(new.pid),
                _ => None,
            })
            .last()
            .unwrap_or(0);
        second != 0
    });
    send(second as i32, Signal::SIGSTOP);
    wait_until("its stop is seen", || is_told(second));
    send(second as i32, Signal::SIGCONT);
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let told = incidents(&bench);
    let pids: Vec<u32> = told.iter().map(|it| it.pid).collect();
    assert_eq!(pids, [first.pid, second], "{told:?}");
    assert!(told.iter().all(|it| it.to_ns.is_some()), "{told:?}");
    assert!(told[0].how.ends_with(", until it ended"), "{told:?}");
    bench.assert_nothing_left(&agents);
}

/// A child of the fleet's supervisor, by its name in `ps`.
fn helper(agents: &[AgentInfo], name: &str) -> i32 {
    let supervisor = agents.iter().find(|agent| agent.name == "supervisor").unwrap().pid;
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
    let comm = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let found = children.split_whitespace().find(|pid| comm(pid).trim_end() == name);
    found.unwrap().parse().unwrap()
}

#[test]
fn a_stopped_guard_does_not_pass() {
    let bench = patient(3);
    let guard = std::cell::Cell::new(0);
    let hold = |agents: &[AgentInfo]| {
        guard.set(helper(agents, "guard"));
        send(guard.get(), Signal::SIGSTOP);
    };
    is_inconclusive(&bench, hold, || send(guard.get(), Signal::SIGCONT), "had its guard (pid ");
}

#[test]
fn a_guard_or_a_spare_that_is_killed_fails_the_run_although_another_follows() {
    for name in ["guard", "spare"] {
        let bench = patient(3);
        let text = std::fs::read_to_string(bench.file()).unwrap();
        std::fs::write(bench.file(), text.replace("workers = 3", "workers = 3\nfailover = \"spare\""))
            .unwrap();
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let killed = helper(&agents, name);
        send(killed, Signal::SIGKILL);
        let done = run.end();
        let told = format!("{}{}", done.stdout, done.stderr);
        assert_eq!(done.status.code(), Some(10), "{told}");
        let verdict = verdict(&bench.latest());
        let all = verdict["evidence"].as_array().unwrap();
        let of = |name: &str| all.iter().find(|check| check["name"] == name).unwrap();
        let incident = of("no undeclared incident");
        assert_eq!(incident["verdict"], "FAIL", "{told}");
        let lost = format!("lost its {name} (pid {killed}): killed by SIGKILL");
        assert!(incident["note"].as_str().unwrap().contains(&lost), "{incident}");
        assert_eq!(of("log consistent")["verdict"], "PASS", "{told}");
        bench.assert_nothing_left(&agents);
    }
}
