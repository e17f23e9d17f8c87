//! Fleets that outlive their supervisor, and processes that are asked to end.

use super::*;
use reports::runlog::event::{AgentExit, AgentReplaced};

fn adopting(seconds: u32, faults: &str) -> Bench {
    let text = scenario(seconds)
        .replace("workers = 3", "workers = 3\non_supervisor_death = \"adopt\"")
        .replace("every = \"100ms\"", "every = \"500ms\"")
        .replace("coordination.time max < 3s", "coordination.time max < 30s")
        .replace("task_timeout = \"3s\"", "task_timeout = \"30s\"\nrounds_in_flight_max = 64");
    Bench::new(&(text + faults))
}

fn fault(name: &str, kind: &str, role: &str, at: &str) -> String {
    format!("[[fault]]\nname = \"{name}\"\nkind = \"{kind}\"\nrole = \"{role}\"\nat = \"{at}\"\n")
}

fn logged<T>(bench: &Bench, pick: impl Fn(Event) -> Option<T>) -> Vec<T> {
    let log = codec::open(&bench.latest().join("run.log")).unwrap();
    log.filter_map(|record| pick(record.unwrap().event)).collect()
}

fn unexpected(bench: &Bench) -> Vec<AgentExit> {
    logged(bench, |event| match event {
        Event::AgentExit(exit) if !exit.expected => Some(exit),
        _ => None,
    })
}

fn replaced(bench: &Bench) -> Vec<AgentReplaced> {
    logged(bench, |event| if let Event::AgentReplaced(new) = event { Some(new) } else { None })
}

fn names<'a>(of: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    of.map(String::as_str).collect()
}

#[test]
fn a_fleet_whose_supervisor_a_fault_kills_is_adopted_and_the_adopted_are_replaced_too() {
    let recovers = "[[criterion]]\nname = \"recovery\"\npass = \"recovery.time max < 30s\"\n";
    let faults = fault("supervisor", "kill", "supervisor", "1s")
        + &fault("adopted", "kill", "coordinator", "4s")
        + &fault("asked", "stop", "worker", "6500ms");
    let bench = adopting(18, &(faults + recovers));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let (exits, new) = (unexpected(&bench), replaced(&bench));
    let died = names(exits.iter().map(|exit| &exit.name));
    // With the coordinator its three workers, and one that was asked; each once.
    assert_eq!((died.len(), died[0]), (6, "supervisor"), "{exits:?}");
    assert_eq!(died.iter().filter(|name| name.starts_with("coord/")).count(), 1, "{exits:?}");
    assert!(exits.last().unwrap().how.contains("SIGTERM"), "{exits:?}");
    let followed = names(new.iter().map(|new| &new.name));
    assert_eq!((followed.len(), followed[0]), (6, "supervisor"), "{new:?}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_supervisor_that_dies_undeclared_is_one_death_and_no_other_process_is() {
    let bench = adopting(3, "");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let supervisor = agents.iter().find(|agent| agent.role == Role::Supervisor).unwrap();
    let pid = nix::unistd::Pid::from_raw(supervisor.pid as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let exits = unexpected(&bench);
    assert_eq!(names(exits.iter().map(|exit| &exit.name)), ["supervisor"], "{exits:?}");
    let verdict = verdict(&bench.latest());
    let delivery = verdict["criteria"].as_array().unwrap().iter().find(|c| c["name"] == "delivery").unwrap();
    assert_eq!(delivery["verdict"], "PASS", "{verdict:#}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_supervisor_that_nothing_would_follow_cannot_be_killed_and_none_can_be_stopped() {
    let kill = Bench::new(&(scenario(3) + &fault("x", "kill", "supervisor", "1s")));
    let said = kill.start(&["--quiet"]).end();
    assert_eq!(said.status.code(), Some(64), "{}", said.stderr);
    assert!(said.stderr.contains("on_supervisor_death"), "{}", said.stderr);
    let stop = adopting(3, &fault("x", "stop", "supervisor", "1s"));
    let said = stop.start(&["--quiet"]).end();
    assert_eq!(said.status.code(), Some(64), "{}", said.stderr);
    assert!(said.stderr.contains("ends its fleet"), "{}", said.stderr);
}
