//! Processes that a fault starts beside the fleet: each is proven, and none outlives the run.

use super::*;

const EXAMPLE: &str = include_str!("../../../../scenarios/examples/hogs.toml");

fn example() -> Bench {
    Bench::new(&EXAMPLE.replace("name = \"hogs\"", "name = \"small\""))
}

/// The processes that a firing has started.
fn started(bench: &Bench, firing: u32) -> Vec<Identity> {
    let injected = |step: &&FaultStep| step.firing == firing && step.step == FaultStepKind::Injected;
    let steps = bench.steps_so_far();
    let pids = steps.iter().find(injected).unwrap().how.split("pid ").nth(1).unwrap().to_owned();
    pids.split(", ").filter_map(|pid| Identity::of(pid.parse().unwrap())).collect()
}

#[test]
fn a_fleet_answers_beside_busy_processes_and_one_that_holds_memory() {
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    let found: Vec<_> = bench.fault_steps().iter().map(|step| (step.firing, step.step)).collect();
    for firing in 0..2 {
        let of: Vec<_> = found.iter().filter(|(of, _)| *of == firing).map(|(_, step)| *step).collect();
        assert_eq!(of, WHOLE, "{firing}: {}{}", done.stdout, done.stderr);
    }
    let proof = |firing| {
        let is_proof = |step: &&FaultStep| step.firing == firing && step.step == FaultStepKind::Proven;
        bench.fault_steps().iter().find(is_proof).unwrap().how.clone()
    };
    assert!(proof(0).contains("schedstat") && proof(1).contains("smaps_rollup"));
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
}

#[test]
fn memory_that_the_host_does_not_have_is_refused_before_the_start() {
    let bench = example();
    let text = std::fs::read_to_string(bench.file()).unwrap();
    let held = "[[fault]]\nkind = \"memory\"\nmemory = \"2GiB\"\nat = \"1s\"\nfor = \"1s\"\n";
    // As many as a file may have beside its own, 2 GiB each: more than hosts have that run tests.
    let all: String = (0..990)
        .map(|number| held.replace("[[fault]]", &format!("[[fault]]\nname = \"m{number}\"")))
        .collect();
    std::fs::write(bench.file(), text + &all).unwrap();
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("lower `memory` of the fault"), "{}", done.stderr);
}

#[test]
fn a_harness_that_is_killed_at_any_step_leaves_no_process() {
    for firing in 0..2 {
        for step in ["injected", "proven", "healed", "heal-proven"] {
            let bench = example();
            let run = bench.start(&["--quiet"]);
            let agents = run.agents_under_load();
            wait_until(step, || {
                bench.log_so_far().contains(&format!("\"firing\":{firing},\"step\":\"{step}\""))
            });
            let hogs = started(&bench, firing);
            run.signal(nix::sys::signal::Signal::SIGKILL);
            drop(run.end());
            let is_gone =
                |agent: &AgentInfo| !Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive();
            wait_until("the fleet has ended with the harness", || agents.iter().all(is_gone));
            wait_until("so have the processes of the fault", || hogs.iter().all(|hog| !hog.is_alive()));
            bench.assert_nothing_left(&agents);
        }
    }
}
