//! What must never PASS: a bus that loses, doubles, delays or changes one record in 1,000, a fleet that obeys workers of a dead
//! coordinator, faults that lie, and a death that no fault explains. Each names the check or criterion that notices it.
//!
//! All but the last of it needs a defect in the program: cargo test -p harness --features sabotage --test suite sabotage::

use super::*;
use serde_json::Value;

const KILL: &str = "[[fault]]\nname = \"kill\"\nkind = \"kill\"\nrole = \"coordinator\"\nat = \"1s\"\n";

/// What did not pass of a run's evidence and criteria.
fn noticed(verdict: &Value) -> Vec<String> {
    let all = verdict["evidence"].as_array().unwrap().iter().chain(verdict["criteria"].as_array().unwrap());
    let others = all.filter(|one| one["verdict"] != "PASS");
    others.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_death_that_no_fault_explains_is_noticed_beside_those_that_one_does() {
    let bench = Bench::new(&(scenario(8) + KILL));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_until("the declared one", || bench.log_so_far().contains("\"firing\":0,\"step\":\"proven\""));
    let hit = bench.fault_steps()[0].targets[0].name.clone();
    let number = hit.strip_prefix("coord/").unwrap();
    // Of the other coordinator.
    let other = agents.iter().find(|agent| {
        agent.name.starts_with("worker/") && !agent.name.starts_with(&format!("worker/{number}."))
    });
    let pid = nix::unistd::Pid::from_raw(other.unwrap().pid as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let done = run.end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let noticed = noticed(&verdict(&bench.latest()));
    assert!(noticed.contains(&"no undeclared death".to_owned()), "{noticed:?}");
    assert!(!noticed.contains(&"faults proven".to_owned()), "{noticed:?}");
    bench.assert_nothing_left(&agents);
}

#[cfg(feature = "sabotage")]
mod defective {
    use super::*;

    /// 6 tasks every 5 ms: each process writes some thousands of records.
    fn busy(seconds: u32) -> String {
        scenario(seconds)
            .replace("every = \"50ms\"", "every = \"5ms\"")
            .replace("task_timeout = \"3s\"", "task_timeout = \"3s\"\nrounds_in_flight_max = 64")
            .replace("coordination.time max < 3s", "coordination.time max < 800ms")
    }

    /// What did not pass of a run with this sabotage; whatever it did, it ends, and leaves nothing.
    fn run(text: &str, variable: &str, sabotage: &str) -> (Value, Vec<String>) {
        let bench = Bench::new(text);
        let mut command = bench.command();
        command.args(["run", "small.toml", "--out", "runs", "--quiet"]).env(variable, sabotage);
        let done = bench.start_by(&mut command).end();
        let verdict = verdict(&bench.latest());
        assert_ne!(verdict["verdict"], "PASS", "{sabotage}: {verdict:#}");
        assert!(matches!(done.status.code(), Some(10 | 12)), "{sabotage}: {}{}", done.stdout, done.stderr);
        let noticed = noticed(&verdict);
        (verdict, noticed)
    }

    #[test]
    fn a_bus_that_is_whole_passes() {
        let bench = Bench::new(&busy(4));
        let done = bench.start(&["--quiet"]).end();
        assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    }

    #[test]
    fn a_bus_that_harms_one_record_in_a_thousand_is_noticed() {
        for (sabotage, by) in [
            ("drop", &["delivery", "ledger"][..]),
            ("duplicate", &["each task counted once", "ledger", "exactly-once"]),
            // On a host that others use, a time over its limit decides nothing.
            ("delay", &["coordination"]),
            ("corrupt", &["delivery"]),
        ] {
            let (verdict, noticed) = run(&busy(4), "COORDINATOR_SABOTAGE", sabotage);
            assert!(by.iter().all(|name| noticed.iter().any(|of| of == name)), "{sabotage}: {noticed:?}");
            assert!(verdict["verdict"] == "FAIL" || sabotage == "delay", "{sabotage}: {verdict:#}");
        }
    }

    #[test]
    fn a_fleet_that_obeys_the_workers_of_a_dead_coordinator_is_noticed() {
        let workload = "kind = \"sleep\"\ntime = \"600ms\"\n";
        let text = scenario(8).replace("kind = \"echo\"\npayload = \"256B\"\n", workload)
            + &KILL.replace("\"1s\"", "\"1100ms\"");
        let text = text.replace("every = \"50ms\"", "every = \"1s\"");
        let (_, noticed) = run(&text, "COORDINATOR_SABOTAGE", "unfenced");
        assert!(noticed.contains(&"each task counted once".to_owned()), "{noticed:?}");
    }

    /// With every kind of fault that an example has, and a fleet that is as it should be.
    #[test]
    fn a_fault_that_does_nothing_or_stays_is_no_pass_whatever_its_kind() {
        let examples = [
            include_str!("../../../../scenarios/examples/faults.toml"),
            include_str!("../../../../scenarios/examples/hogs.toml"),
            include_str!("../../../../scenarios/examples/shm.toml"),
            include_str!("../../../../scenarios/examples/shm-errors.toml"),
        ];
        for text in examples {
            // Its own name comes first.
            let (before, rest) = text.split_once("\nname = ").unwrap();
            let (name, after) = rest.split_once('\n').unwrap();
            let text = &format!("{before}\nname = \"small\"\n{after}");
            for (lie, step) in [("no-injection", "unproven"), ("no-heal", "unhealed")] {
                let bench = Bench::new(text);
                let mut command = bench.command();
                command.args(["run", "small.toml", "--out", "runs", "--quiet"]).env("HARNESS_SABOTAGE", lie);
                let done = bench.start_by(&mut command).end();
                let verdict = verdict(&bench.latest());
                assert!(matches!(done.status.code(), Some(10 | 12)), "{lie}: {name}: {}", done.stderr);
                assert_ne!(verdict["verdict"], "PASS", "{lie}: {name}");
                assert!(noticed(&verdict).contains(&"faults proven".to_owned()), "{lie}: {name}");
                let steps = bench.fault_steps();
                let honest: Vec<_> = steps.iter().filter(|one| one.how == "a lie").collect();
                assert!(!honest.is_empty(), "{lie}: {name}");
                for told in honest {
                    let after =
                        steps.iter().filter(|one| one.firing == told.firing && one.at_ns >= told.at_ns);
                    let steps: Vec<&str> = after.map(|one| one.step.name()).collect();
                    assert!(steps.contains(&step), "{lie}: {name}: firing {}: {steps:?}", told.firing);
                }
                println!("{lie}: {name}: {} by {:?}", verdict["verdict"], noticed(&verdict));
            }
        }
    }
}
