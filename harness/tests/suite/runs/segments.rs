//! Declared faults in the files of coordinators' regions: what the run says of them, and what it still notices beside them.

use super::*;

/// A fleet of two coordinators under load for so long, with a fault.
fn with_fault(seconds: u32, fault: &str) -> Bench {
    let fault = format!("[[fault]]\nname = \"planned\"\nrole = \"coordinator\"\nat = \"500ms\"\n{fault}\n");
    Bench::new(&(scenario(seconds) + &fault))
}

fn check(bench: &Bench, name: &str) -> serde_json::Value {
    let verdict = verdict(&bench.latest());
    let checks = verdict["evidence"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default()
}

/// The directory of the run's fleet.
fn fleet(bench: &Bench) -> PathBuf {
    std::fs::read_dir(bench.shm.path()).unwrap().next().unwrap().unwrap().path()
}

/// The file that the fault has hit, once that is proven.
fn target(bench: &Bench) -> String {
    wait_until("the fault is proven", || bench.log_so_far().contains("\"step\":\"proven\""));
    let targets = bench.log_so_far();
    let name = targets.split("\"name\":\"coord/").last().and_then(|rest| rest.split('"').next());
    format!("c{}", name.unwrap())
}

#[test]
fn an_unlinked_region_is_excused_while_it_is_declared_and_its_neighbour_is_not() {
    let bench = with_fault(4, "kind = \"segment-unlink\"\nfor = \"1s\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    let kinds: Vec<_> = bench.fault_steps().iter().map(|step| step.step).collect();
    assert_eq!(kinds, WHOLE, "{}{}", done.stdout, done.stderr);
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);

    let bench = with_fault(4, "kind = \"segment-unlink\"\nfor = \"2s\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let other = if target(&bench) == "c0" { "c1" } else { "c0" };
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(fleet(&bench).join(other), all).unwrap();
    assert_eq!(run.end().status.code(), Some(10));
    let untouched = check(&bench, "shared memory untouched");
    assert_eq!(untouched["verdict"], "FAIL", "{untouched}");
    assert!(untouched["note"].as_str().unwrap().contains(&format!("/{other} has mode 644")), "{untouched}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn what_befalls_a_region_after_its_fault_is_healed_is_a_finding() {
    let bench = with_fault(5, "kind = \"segment-unlink\"\nfor = \"300ms\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let hit = target(&bench);
    wait_until("it is healed", || bench.log_so_far().contains("\"step\":\"heal-proven\""));
    let path = fleet(&bench).join(&hit);
    std::fs::rename(&path, path.with_file_name(format!(".{hit}"))).unwrap();
    assert_eq!(run.end().status.code(), Some(10));
    let untouched = check(&bench, "shared memory untouched");
    assert!(untouched["note"].as_str().unwrap().contains(&format!("/{hit} was removed")), "{untouched}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_name_that_is_taken_is_not_given_back_and_the_run_says_so() {
    let bench = with_fault(12, "kind = \"segment-unlink\"\nfor = \"8s\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let hit = target(&bench);
    // Not what the fleet has put back there, if this process came too late.
    std::fs::File::create_new(fleet(&bench).join(&hit)).unwrap();
    let done = run.end();
    let last = bench.fault_steps().pop().unwrap();
    assert_eq!(last.step, FaultStepKind::Unhealed, "{}", done.stdout);
    assert!(last.how.contains("File exists"), "{}", last.how);
    assert_eq!(check(&bench, "faults proven")["verdict"], "INCONCLUSIVE");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_truncated_region_ends_its_coordinator_and_not_the_run() {
    let bench = with_fault(4, "kind = \"segment-truncate\"\nfor = \"500ms\"");
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    // Half of the workers have no coordinator from then on, and their ledger is lost.
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    for (name, wanted) in [
        ("faults proven", "PASS"),
        ("no undeclared death", "PASS"),
        ("each task counted once", "PASS"),
        ("nothing left behind", "PASS"),
        ("ledger", "INCONCLUSIVE"),
    ] {
        let found = check(&bench, name);
        assert_eq!(found["verdict"], wanted, "{found}");
    }
    let found = check(&bench, "shared memory untouched");
    assert!(found.is_null(), "{found}");
    let said = std::fs::read_to_string(bench.latest().join("fleet.stderr")).unwrap();
    assert!(said.contains(" was truncated to 0 of "), "{said}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn overwritten_words_are_named_and_their_coordinator_goes_on_or_fails_over() {
    for part in ["table", "state"] {
        let fault = format!("kind = \"segment-scribble\"\npart = \"{part}\"\nwords = 4");
        let text =
            scenario(4) + "[[fault]]\nname = \"planned\"\nrole = \"coordinator\"\nat = \"500ms\"\n" + &fault;
        let bench = Bench::new(&text.replace("delivery.rate >= 100%", "delivery.rate >= 50%"));
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let done = run.end();
        let steps = bench.fault_steps();
        let kinds: Vec<_> = steps.iter().map(|step| step.step).collect();
        assert_eq!(kinds, [FaultStepKind::Injected, FaultStepKind::Proven], "{}{}", done.stdout, done.stderr);
        assert_eq!(steps[0].how.matches(&format!(" {part}")).count(), 4, "{}", steps[0].how);
        assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
        bench.assert_nothing_left(&agents);
    }
}

#[test]
fn a_harness_that_is_killed_at_any_step_leaves_no_file_and_no_process() {
    for kind in ["segment-unlink", "segment-truncate"] {
        for step in ["injected", "proven", "healed", "heal-proven"] {
            let bench = with_fault(30, &format!("kind = \"{kind}\"\nfor = \"300ms\""));
            let run = bench.start(&["--quiet"]);
            let agents = run.agents_under_load();
            wait_until(step, || bench.log_so_far().contains(&format!("\"step\":\"{step}\"")));
            run.signal(nix::sys::signal::Signal::SIGKILL);
            drop(run.end());
            let is_gone =
                |agent: &AgentInfo| !Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive();
            wait_until("the fleet has ended with the harness", || agents.iter().all(is_gone));
            let is_empty = || std::fs::read_dir(bench.shm.path()).unwrap().next().is_none();
            wait_until("its files are gone", is_empty);
        }
    }
}
