//! Runs in a `/dev/shm` of their own, and what befalls it.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

const EXAMPLE: &str = include_str!("../../../../scenarios/examples/shm.toml");

fn example() -> Bench {
    Bench::new(&EXAMPLE.replace("name = \"shm\"", "name = \"small\""))
}

fn assert_not_mounted(bench: &Bench) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(bench.shm.path().to_str().unwrap()), "{mounts}");
}

#[test]
fn shared_memory_is_full_short_of_files_small_and_read_only_and_the_fleet_goes_on() {
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    // Beside the file system of the host, which has nothing of it.
    assert_eq!(std::fs::read_dir(bench.shm.path()).unwrap().count(), 0);
    assert_not_mounted(&bench);
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let found: Vec<_> = bench.fault_steps().iter().map(|step| (step.firing, step.step)).collect();
    let wanted: Vec<_> = (0..5).flat_map(|firing| WHOLE.map(|step| (firing, step))).collect();
    assert_eq!(found, wanted);
    for (firing, proof) in [
        (0, "No space left"),
        (1, "57.6 MiB of 64 MiB used"),
        (2, "0 of 4096 inodes"),
        (3, "32 MiB"),
        (4, "Read-only"),
    ] {
        let is_proof = |step: &&FaultStep| step.firing == firing && step.step == FaultStepKind::Proven;
        let how = bench.fault_steps().iter().find(is_proof).unwrap().how.clone();
        assert!(how.contains(proof), "{how}");
    }
    let verdict = verdict(&bench.latest());
    assert_eq!(verdict["verdict"], "PASS", "{verdict:#}");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_coordinator_that_dies_while_shared_memory_is_read_only_is_replaced_when_it_is_not() {
    let text = scenario(12)
        .replace("every = \"50ms\"", "every = \"250ms\"")
        .replace("task_timeout = \"3s\"", "task_timeout = \"30s\"\nrounds_in_flight_max = 64")
        .replace("coordination.time max < 3s", "coordination.time max < 30s");
    let faults = "[[fault]]\nname = \"read-only\"\nkind = \"shm-read-only\"\nat = \"500ms\"\nfor = \"3s\"\n\
                  [[fault]]\nname = \"kill\"\nkind = \"kill\"\nrole = \"coordinator\"\nat = \"1s\"\n";
    let bench = Bench::new(&(text + faults));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let steps = bench.fault_steps();
    let killed = steps.iter().find(|step| step.step == FaultStepKind::Injected && step.firing == 1).unwrap();
    let coordinator = &killed.targets[0].name;
    let (mut back, mut deaths, mut ends) = (0, 0, 0);
    for record in codec::open(&bench.latest().join("run.log")).unwrap() {
        match record.unwrap().event {
            Event::AgentReplaced(new) if new.name == *coordinator => back += 1,
            Event::AgentExit(exit) if exit.name == *coordinator => {
                ends += 1;
                deaths += u32::from(!exit.expected);
            }
            _ => {}
        }
    }
    // A sweep may meet one that is refused as it starts: it has come, and it has ended.
    assert!(back >= 1 && ends == back + 1, "{back} came after the first, and {ends} ended");
    assert_eq!(deaths, 1, "the starts that were refused are no deaths");
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_harness_that_is_killed_while_a_fault_lasts_leaves_no_mount_file_or_process() {
    for (number, name) in ["full", "filled", "inodes", "small", "read-only"].into_iter().enumerate() {
        let bench = example();
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        wait_until(name, || bench.log_so_far().contains(&format!("\"firing\":{number},\"step\":\"proven\"")));
        run.signal(nix::sys::signal::Signal::SIGKILL);
        drop(run.end());
        let is_gone =
            |agent: &AgentInfo| !Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive();
        wait_until("the fleet has ended with the harness", || agents.iter().all(is_gone));
        bench.assert_nothing_left(&agents);
        assert_not_mounted(&bench);
    }
}

#[test]
fn status_and_stop_find_a_fleet_in_a_file_system_of_its_own() {
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let status = bench.command().args(["coordinator", "status"]).output().unwrap();
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(shown.contains("small-") && shown.contains("6 of 6 workers"), "{shown}");
    let clean = bench.command().args(["coordinator", "clean"]).output().unwrap();
    assert!(String::from_utf8_lossy(&clean.stdout).contains("nothing to remove"), "{clean:?}");
    let name = shown.split_whitespace().next().unwrap();
    let stop = bench.command().args(["coordinator", "stop", name]).output().unwrap();
    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    let done = run.end();
    // Someone else has ended its fleet.
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    bench.assert_nothing_left(&agents);
    assert_not_mounted(&bench);
}

#[test]
fn it_needs_no_root_and_says_what_it_needs_where_it_is_refused() {
    const OTHER: u32 = 65_534;
    let bench = example();
    let program = bench.dir.path().join("harness");
    std::fs::copy(HARNESS, &program).unwrap();
    let short = ["--set", "load.duration=9s", "--set", "!fault.read-only"];
    let command = |verb: &[&str]| {
        let mut command = Command::new(&program);
        bench.within(command.args(verb));
        if nix::unistd::geteuid().is_root() {
            command.uid(OTHER).gid(OTHER);
        }
        command
    };
    for directory in [bench.dir.path(), bench.shm.path()] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let doctor = command(&["doctor", "small.toml"]).output().unwrap();
    let done = bench.start_by(command(&["run", "small.toml", "--out", "runs", "--quiet"]).args(short)).end();
    if doctor.status.success() && done.status.code() != Some(20) {
        assert!(bench.log_so_far().contains("\"step\":\"heal-proven\""), "{}{}", done.stdout, done.stderr);
        assert!(!bench.log_so_far().contains("\"step\":\"un"), "{}", done.stdout);
    } else {
        assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("private shared memory"), "{}", done.stderr);
        assert!(done.stderr.contains("user.max_user_namespaces"), "{}", done.stderr);
    }
    assert_not_mounted(&bench);
}
