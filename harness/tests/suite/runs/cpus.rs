//! Fleets that have fewer processors for a while.

use super::*;

fn faulty() -> Bench {
    let fault = |name: &str, role: &str, keys: &str| {
        format!("[[fault]]\nname = \"{name}\"\nrole = \"{role}\"\n{keys}\n")
    };
    let lasts = "kind = \"cpus\"\nto = 1\nat = \"1s\"\nfor = \"2s\"";
    let all = format!("{lasts}\nshare = \"100%\"");
    let text = scenario(600) + &fault("supervisor", "supervisor", lasts) + &fault("coordinators", "coordinator", &all)
        + &fault("workers", "worker", &all)
        // Its successors are forked by what has one processor.
        + &fault("kill", "coordinator", "kind = \"kill\"\nat = \"1500ms\"");
    Bench::new(&text)
}

/// Of every thread of every process below `parent`.
fn processors(parent: u32) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(children) = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) else {
        return found;
    };
    for child in children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()) {
        for thread in std::fs::read_dir(format!("/proc/{child}/task")).into_iter().flatten().flatten() {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            found.extend(
                status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:\t")).map(str::to_owned),
            );
        }
        found.extend(processors(child));
    }
    found
}

/// The fleet without its supervisor: what its launch has started, whichever thread did it.
fn of_fleet(run: &Run<'_>) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", run.child.id())).unwrap();
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().flat_map(|pid| processors(pid.parse().unwrap())));
    }
    found
}

fn count(list: &str) -> usize {
    list.split(',')
        .map(|range| match range.split_once('-') {
            Some((from, to)) => to.parse::<usize>().unwrap() - from.parse::<usize>().unwrap() + 1,
            None => 1,
        })
        .sum()
}

#[test]
fn a_fleet_has_one_processor_while_it_lasts_and_all_again_with_what_was_started_meanwhile() {
    let here = std::thread::available_parallelism().unwrap().get();
    let bench = faulty();
    let run = bench.start(&["--quiet"]);
    if here == 1 {
        let done = run.end();
        assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("processors"), "{}", done.stderr);
        return;
    }
    let agents = run.agents_under_load();
    let log = || std::fs::read_to_string(bench.out().join("small/latest/run.log")).unwrap();
    let seen = |step: &str| log().matches(&format!("\"step\":\"{step}\"")).count();
    wait_until("all four firings are proven", || seen("proven") == 4);
    let within = of_fleet(&run);
    // The guard alone, which is no agent, has all of them.
    let free = within.iter().filter(|list| count(list) != 1).count();
    assert!(within.len() >= 4 && free <= 1, "{within:?}");
    wait_until("the three that last are proven healed", || seen("heal-proven") == 3);
    // The guard, 2 coordinators and 6 workers: one of these coordinators and its workers anew.
    wait_until("the fleet is whole", || of_fleet(&run).len() > 8);
    let after = of_fleet(&run);
    assert!(after.iter().all(|list| count(list) == here), "{here}: {after:?}");
    run.signal(nix::sys::signal::Signal::SIGTERM);
    let done = run.end();
    assert_eq!(done.status.code(), Some(21), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
}
