//! Control groups that faults make: each is proven, and none outlives what looks after it.

use super::*;
use crate::skips::has_or_skips;
use std::os::unix::process::CommandExt as _;

const EXAMPLE: &str = include_str!("../../../../scenarios/examples/cgroups.toml");

/// Whether this host allows it, as `harness doctor` says.
pub(super) fn can_be_made() -> bool {
    let bench = example();
    let doctor = bench.command().args(["doctor", "small.toml", "--json"]).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let found_all = found["capabilities"].as_array().unwrap();
    let of_groups: Vec<_> = found_all.iter().filter(|one| one["name"] == "control groups").collect();
    assert_eq!(of_groups.len(), 3, "{found:#}");
    has_or_skips("control groups that it can make", of_groups.iter().all(|one| one["status"] == "ok"))
}

fn example() -> Bench {
    Bench::new(&EXAMPLE.replace("name = \"cgroups\"", "name = \"small\""))
}

/// Every group that the journals there are now name.
fn groups(bench: &Bench) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(bench.state()).into_iter().flatten() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
            if let (Some(parent), Some(name)) = (line["parent"].as_str(), line["name"].as_str()) {
                found.push(Path::new(parent).join(name));
            }
        }
    }
    found
}

/// Leaves no group behind if a test fails.
struct Undone<'a>(&'a Bench);

impl Drop for Undone<'_> {
    fn drop(&mut self) {
        for group in groups(self.0) {
            // Where all went well, neither is there.
            let _ = std::fs::remove_dir(group.join("inner"));
        }
        let _ = self.0.command().args(["clean", "runs", "--keep", "9", "--yes"]).output();
    }
}

fn journals(bench: &Bench) -> usize {
    std::fs::read_dir(bench.state()).map_or(0, Iterator::count)
}

/// What `/proc` shows of the groups of everything below a process.
fn below(parent: u32) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return found };
    for thread in threads.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()) {
            found.extend(std::fs::read_to_string(format!("/proc/{child}/cgroup")));
            found.extend(below(child));
        }
    }
    found
}

fn is_gone(agent: &AgentInfo) -> bool {
    !Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive()
}

#[test]
fn a_fleet_answers_in_control_groups_and_when_the_kernel_ends_its_processes() {
    if !can_be_made() {
        return;
    }
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    let found: Vec<_> = bench.fault_steps().iter().map(|step| (step.firing, step.step)).collect();
    for firing in 0..5 {
        let of: Vec<_> = found.iter().filter(|(of, _)| *of == firing).map(|(_, step)| *step).collect();
        let wanted = if firing < 3 { &WHOLE[..] } else { &WHOLE[..2] };
        assert_eq!(of, wanted, "{firing}: {}{}", done.stdout, done.stderr);
    }
    for (firing, step, words) in [
        (0, FaultStepKind::Proven, "the limit and the use of the group"),
        (0, FaultStepKind::HealProven, "0 processes ended by the OOM killer"),
        (1, FaultStepKind::Proven, "the periods of the group"),
        (1, FaultStepKind::HealProven, "throttled in"),
        (2, FaultStepKind::Proven, "pids.current"),
        (2, FaultStepKind::HealProven, "0 forks refused"),
        (3, FaultStepKind::Proven, "oom_kill is 1, and gone from /proc: worker/"),
        (4, FaultStepKind::Proven, "oom_kill is 1, and gone from /proc: coord/"),
    ] {
        let steps = bench.fault_steps();
        let how = &steps.iter().find(|one| one.firing == firing && one.step == step).unwrap().how;
        assert!(how.contains(words), "{firing}: {how}");
    }
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    assert_eq!(journals(&bench), 0);
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_second_death_of_a_process_that_the_kernel_has_ended_is_not_explained() {
    if !can_be_made() {
        return;
    }
    let bench = Bench::new(
        &(scenario(8) + "[[fault]]\nname = \"oom\"\nkind = \"oom\"\nrole = \"worker\"\nat = \"500ms\"\n"),
    );
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let proven = || bench.log_so_far().contains("\"step\":\"proven\"");
    wait_until("it is proven", proven);
    let ended = agents.iter().find(|agent| agent.role == Role::Worker && is_gone(agent)).unwrap().clone();
    let mut next = None;
    wait_until("it has a successor", || {
        let records = codec::open(&bench.latest().join("run.log")).unwrap().map_while(Result::ok);
        next = records
            .filter_map(|record| match record.event {
                Event::AgentReplaced(new) if new.name == ended.name => Some(new.pid),
                _ => None,
            })
            .last();
        next.is_some()
    });
    let pid = nix::unistd::Pid::from_raw(next.unwrap() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let done = run.end();
    let verdict = verdict(&bench.latest());
    assert_eq!(verdict["verdict"], "FAIL", "{}{}{verdict:#}", done.stdout, done.stderr);
    let reasons = verdict["reasons"].to_string();
    assert!(reasons.contains("found: 1, beside 1 that faults of the scenario explain"), "{reasons}");
    bench.assert_nothing_left(&agents);
}

/// The limits alone, early.
fn limited() -> Bench {
    let text = EXAMPLE.replace("name = \"cgroups\"", "name = \"small\"");
    let until = text.find("[[fault]]\nname = \"worker-out-of-memory\"").unwrap();
    let limits = text[..until].replace("\"1s\"", "\"200ms\"").replace("\"1200ms\"", "\"200ms\"");
    let limits = limits.replace("\"1400ms\"", "\"200ms\"").replace("for = \"1500ms\"", "for = \"800ms\"");
    let end = &text[text.find("[[criterion]]").unwrap()..];
    let criteria = &end[..end.find("[[criterion]]\nname = \"recovery\"").unwrap()];
    Bench::new(&(limits + criteria))
}

#[test]
fn what_a_harness_leaves_that_is_killed_at_any_step_is_removed_by_clean_or_by_the_next_run() {
    if !can_be_made() {
        return;
    }
    let mut left = 0;
    for firing in 0..3 {
        for step in ["injected", "proven", "healed", "heal-proven"] {
            let bench = limited();
            let _undone = Undone(&bench);
            let run = bench.start(&["--quiet"]);
            let agents = run.agents_under_load();
            wait_until(step, || {
                bench.log_so_far().contains(&format!("\"firing\":{firing},\"step\":\"{step}\""))
            });
            run.signal(nix::sys::signal::Signal::SIGKILL);
            drop(run.end());
            wait_until("the fleet has ended with the harness", || agents.iter().all(is_gone));
            let groups: Vec<PathBuf> = groups(&bench).into_iter().filter(|dir| dir.exists()).collect();
            left += groups.len();
            if firing == 1 {
                std::fs::write(bench.file(), scenario(1)).unwrap();
                let done = bench.start(&[]).end();
                let told = done.stderr.matches("which the fault of a killed harness had left").count();
                assert_eq!(told, groups.len(), "{firing} {step}: {}", done.stderr);
            } else {
                let dry = bench.command().args(["clean", "runs", "--keep", "9", "--json"]).output().unwrap();
                let found: serde_json::Value = serde_json::from_slice(&dry.stdout).unwrap();
                assert_eq!(found["groups"].as_array().unwrap().len(), groups.len(), "{found:#}");
                assert!(groups.iter().all(|dir| dir.exists()), "nothing is removed without --yes");
                let clean = bench.command().args(["clean", "runs", "--keep", "9", "--yes"]).output().unwrap();
                let told = String::from_utf8_lossy(&clean.stdout).matches("control group").count();
                assert_eq!((told, clean.status.code()), (groups.len(), Some(0)), "{clean:?}");
            }
            assert!(groups.iter().all(|dir| !dir.exists()), "{firing} {step}: {groups:?}");
            assert_eq!(journals(&bench), 0, "{firing} {step}");
            bench.assert_nothing_left(&agents);
        }
    }
    assert!(left >= 6, "{left}");
}

#[test]
fn what_was_started_in_a_control_group_is_moved_back_with_the_rest() {
    if !can_be_made() {
        return;
    }
    let group = "[[fault]]\nname = \"few\"\nkind = \"cgroup-pids\"\nrole = \"coordinator\"\nshare = \"100%\"\n\
                 to = 64\nat = \"1s\"\nfor = \"3s\"\n";
    let kill =
        "[[fault]]\nname = \"anew\"\nkind = \"kill\"\nrole = \"worker\"\nshare = \"100%\"\nat = \"1500ms\"\n";
    let bench = Bench::new(&(scenario(600) + group + kill));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let inside = || below(run.child.id()).iter().filter(|text| text.contains("harness-fault-")).count();
    let seen = |step: &str| bench.log_so_far().matches(&format!("\"step\":\"{step}\"")).count();
    // Two coordinators, and their six workers anew.
    wait_until("successors are in the groups", || inside() == 8);
    wait_until("it is proven healed", || seen("heal-proven") == 1);
    assert_eq!((inside(), journals(&bench)), (0, 0));
    run.signal(nix::sys::signal::Signal::SIGTERM);
    drop(run.end());
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_group_that_cannot_be_removed_is_not_healed_and_the_journal_keeps_it() {
    if !can_be_made() {
        return;
    }
    let bench = limited();
    let _undone = Undone(&bench);
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_until("it is proven", || bench.log_so_far().contains("\"firing\":0,\"step\":\"proven\""));
    let of_memory =
        |dir: &PathBuf| dir.join("memory.events").exists() || dir.join("memory.oom_control").exists();
    let group = groups(&bench).into_iter().find(of_memory).unwrap();
    // The kernel removes no group with another one in it.
    let inner = group.join("inner");
    std::fs::create_dir(&inner).unwrap();
    let done = run.end();
    let last = bench.fault_steps().into_iter().rfind(|step| step.firing == 0).unwrap();
    assert_eq!(last.step, FaultStepKind::Unhealed, "{last:?}");
    assert_eq!(done.status.code(), Some(12), "{}{}", done.stdout, done.stderr);
    assert_eq!(verdict(&bench.latest())["verdict"], "INCONCLUSIVE");
    bench.assert_nothing_left(&agents);
    let clean = || bench.command().args(["clean", "runs", "--keep", "9", "--yes"]).output().unwrap();
    let refused = clean();
    assert_eq!(refused.status.code(), Some(20), "{refused:?}");
    assert!(group.is_dir() && inner.is_dir() && journals(&bench) == 1);
    std::fs::remove_dir(&inner).unwrap();
    assert_eq!(clean().status.code(), Some(0));
    assert!(!group.exists() && journals(&bench) == 0);
}

#[test]
fn where_no_group_can_be_made_the_run_is_refused_with_the_remedy() {
    const OTHER: u32 = 65_534;
    if !has_or_skips("root, to be another user", nix::unistd::geteuid().is_root()) {
        return;
    }
    let bench = example();
    let program = bench.dir.path().join("harness");
    std::fs::copy(HARNESS, &program).unwrap();
    for directory in [bench.dir.path(), bench.shm.path()] {
        std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let command = |verb: &[&str]| {
        let mut command = Command::new(&program);
        bench.within(command.args(verb));
        command.uid(OTHER).gid(OTHER);
        command
    };
    for verb in [&["doctor", "small.toml"][..], &["run", "small.toml", "--out", "runs", "--quiet"]] {
        let done = command(verb).output().unwrap();
        let said =
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(20), "{said}");
        assert!(said.contains("control groups") && said.contains("Delegate=yes"), "{said}");
    }
    assert!(!bench.out().exists());
}
