//! Runs whose processes are killed, some of them or a certain three in one instant, while they start, work or end.

use super::{Ground, wait_until};
use crate::support::random::{Random, number};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::{Duration, Instant};

/// What each task leaves behind: in the group, out of it, in a session of its own, and forked again meanwhile.
const SCRIPT: &str = r#""$0/sleep" 1000 & ("$0/sleep" 1001 &); setsid "$0/sleep" 1002 & setsid sh -c '"$0/sleep" 0.05; "$0/sleep" 1003 & exec "$0/sleep" 1004' "$0" & exec "$0/sleep" "$1""#;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victims {
    /// The client, the supervisor, and the coordinators or some of them.
    Triple,
    /// Any.
    Some,
}

/// A process of a run, by what `ps` calls it.
struct Found {
    name: String,
    fd: OwnedFd,
}

/// The client, what it has started, and their children: the client first.
fn processes(client: &Child) -> Vec<Found> {
    let mut pids = vec![client.id() as i32];
    let mut at = 0;
    while at < pids.len() && at < 64 {
        let path = format!("/proc/{0}/task/{0}/children", pids[at]);
        let children = std::fs::read_to_string(path).unwrap_or_default();
        pids.extend(children.split_ascii_whitespace().map(|pid| pid.parse::<i32>().unwrap()));
        at += 1;
    }
    let found = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let fd = pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?;
        Some(Found { name: name.trim().to_owned(), fd })
    };
    pids.iter().filter_map(found).collect()
}

fn is_chosen(victims: Victims, at: usize, name: &str, choice: &mut Random) -> bool {
    let is_coordinator = name.starts_with("coord/");
    match victims {
        // The second is the supervisor, or becomes it in a moment.
        Victims::Triple => at < 2 || name == "coord/0" || is_coordinator && choice.below(2) == 0,
        // The guard together with all others is more than any process can survive, and is another claim.
        Victims::Some if name == "guard" => false,
        Victims::Some => choice.below(3) == 0,
    }
}

/// Returns how many processes the run had.
fn episode(seed: u64, victims: Victims) -> usize {
    let mut choice = Random(seed);
    let ground = Ground::new();
    let dir = super::text(ground.dir.path());
    let agents = 1 + choice.below(4);
    let coordinators = 1 + choice.below(agents.min(3));
    let lasts = ["1005", "0.1", "0"][choice.below(3) as usize];
    let (agents, coordinators) = (agents.to_string(), coordinators.to_string());
    let arguments =
        ["--agents", &agents, "--coordinators", &coordinators, "--", "sh", "-c", SCRIPT, &dir, lasts];
    let mut client = ground.run(&arguments);
    // Half of them while they start.
    let instant = if choice.below(2) == 0 { choice.below(60_000) } else { choice.below(600_000) };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(instant) {
        std::thread::park_timeout(Duration::from_micros(instant).saturating_sub(begun.elapsed()));
    }
    let found = processes(&client);
    let mut chosen = Vec::new();
    for (at, process) in found.iter().enumerate() {
        if is_chosen(victims, at, &process.name, &mut choice) {
            chosen.push(process);
        }
    }
    // Stopped first, none of them sees another die.
    if choice.below(2) == 0 {
        for process in &chosen {
            let _ = pidfd_send_signal(&process.fd, Signal::STOP);
        }
    }
    while !chosen.is_empty() {
        let process = chosen.swap_remove(choice.below(chosen.len() as u64) as usize);
        let _ = pidfd_send_signal(&process.fd, Signal::KILL);
    }
    // A client that is alive ends in order, or at the second asking.
    let fd = pidfd_open(Pid::from_child(&client), PidfdFlags::empty()).unwrap();
    wait_until(&format!("seed {seed}: the client ends"), || {
        let _ = pidfd_send_signal(&fd, Signal::TERM);
        std::thread::park_timeout(Duration::from_millis(5));
        client.try_wait().unwrap().is_some()
    });
    ground.must_be_empty(&format!("seed {seed}, {victims:?}"));
    found.len()
}

/// The supervisor alone is killed, at any instant of its first 40 ms: its client ends, and nothing waits for `clean`.
#[test]
fn a_supervisor_that_is_killed_while_it_starts_leaves_nothing_to_clean() {
    let (episodes, seed) = (number("STORM_EPISODES", 24), number("STORM_SEED", 1));
    for seed in seed..seed + episodes {
        let mut choice = Random(seed);
        let ground = Ground::new();
        // Large enough that its memory takes a moment.
        let shape = ["--agents", "40", "--coordinators", "4"];
        let mut client = ground.run(&[&shape[..], &["--", "true"]].concat());
        let mut found = Vec::new();
        wait_until("the supervisor is there, or the run is over", || {
            found = processes(&client);
            found.len() > 1 || client.try_wait().unwrap().is_some()
        });
        let instant = Duration::from_micros(choice.below(40_000));
        let begun = Instant::now();
        while begun.elapsed() < instant {
            std::thread::park_timeout(instant.saturating_sub(begun.elapsed()));
        }
        if let Some(supervisor) = found.get(1) {
            let _ = pidfd_send_signal(&supervisor.fd, Signal::KILL);
        }
        wait_until(&format!("seed {seed}: the client ends"), || client.try_wait().unwrap().is_some());
        let files: Vec<_> = std::fs::read_dir(ground.shm.path()).unwrap().flatten().collect();
        assert!(files.is_empty(), "seed {seed}: {files:?}");
        ground.must_be_empty(&format!("seed {seed}"));
    }
}

/// Without a client, all that a killed supervisor has made is proven dead by its name or its stamp.
#[test]
fn what_a_fleet_without_a_client_leaves_when_it_is_killed_while_it_starts_is_cleaned() {
    for seed in 1..=number("STORM_EPISODES", 12) {
        let mut choice = Random(seed);
        let ground = Ground::new();
        let mut up = std::process::Command::new(super::PROGRAM);
        up.args(["up", "--coordinators", "4", "--workers", "10", "--name", "x", "--shm-dir"])
            .arg(ground.shm.path());
        up.env("COORDINATOR_SHM_DIR", ground.shm.path()).env("TMPDIR", ground.shm.path());
        let mut up =
            up.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::park_timeout(Duration::from_micros(choice.below(40_000)));
        up.kill().unwrap();
        up.wait().unwrap();
        ground.must_be_empty(&format!("seed {seed}"));
    }
}

/// Returns what was done, in words.
fn storm(victims: Victims, default: u64) -> String {
    let (episodes, first) = (number("STORM_EPISODES", default), number("STORM_SEED", 1));
    let begun = Instant::now();
    let met: usize = (first..first + episodes).map(|seed| episode(seed, victims)).sum();
    let took = begun.elapsed();
    format!("{episodes} runs from seed {first}, {met} processes met, in {took:?}: nothing was left")
}

#[test]
fn a_run_whose_client_supervisor_and_coordinator_are_killed_in_one_instant_leaves_nothing() {
    println!("{}", storm(Victims::Triple, 6));
}

#[test]
fn a_run_of_which_any_processes_are_killed_at_any_instant_leaves_nothing() {
    println!("{}", storm(Victims::Some, 6));
}
