//! Calls on shared memory that fail: what the fleet makes of it, and what is left of the process that answers them.

use super::*;
use crate::skips::has_or_skips;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

const EXAMPLE: &str = include_str!("../../../../scenarios/examples/shm-errors.toml");

fn example() -> Bench {
    Bench::new(&EXAMPLE.replace("name = \"shm-errors\"", "name = \"small\""))
}

/// The harness's process that answers trapped calls.
fn answerer(harness: u32) -> Identity {
    let is_it = |process: &procfs::process::Process| {
        let is_named =
            process.cmdline().is_ok_and(|line| line.get(1).is_some_and(|verb| verb == "answer-calls"));
        is_named && process.stat().is_ok_and(|stat| stat.ppid as u32 == harness)
    };
    let found = procfs::process::all_processes().unwrap().flatten().find(is_it);
    Identity::of(found.expect("a process that answers calls").pid as u32).unwrap()
}

fn how(bench: &Bench, firing: u32, step: FaultStepKind) -> String {
    let steps = bench.fault_steps();
    steps.iter().find(|one| one.firing == firing && one.step == step).unwrap().how.clone()
}

/// The first number in a text, and the first after it.
fn two_numbers(text: &str) -> (u64, u64) {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_fleet_replaces_its_dead_while_calls_on_shared_memory_fail_and_loses_nothing() {
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let done = run.end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    // 0: a share fails, 2: every third.
    for (firing, errno) in [(0, "No space left on device"), (2, "Input/output error")] {
        let steps = bench.fault_steps();
        let kinds: Vec<_> = steps.iter().filter(|step| step.firing == firing).map(|step| step.step).collect();
        assert_eq!(kinds, WHOLE);
        let proof = how(&bench, firing, FaultStepKind::Proven);
        assert!(proof.contains(errno) && proof.contains("of 3 processes of the fleet"), "{proof}");
        // The successor of the coordinator that is killed within opens its region.
        let (calls, failed) =
            two_numbers(how(&bench, firing, FaultStepKind::Healed).split("fleet's").nth(1).unwrap());
        assert!(calls > failed && calls > 2, "{calls}, {failed}");
        if firing == 2 {
            assert_eq!(failed, calls / 3);
        }
    }
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_window_in_which_no_call_is_trapped_is_not_effective() {
    let fault = "[[fault]]\nname = \"idle\"\nkind = \"shm-errors\"\nerror = \"EIO\"\nnth = 1\nat = \"500ms\"\nfor = \"1s\"\n";
    let bench = Bench::new(&(scenario(9) + fault));
    let done = bench.start(&["--quiet"]).end();
    let healed = how(&bench, 0, FaultStepKind::HealProven);
    assert_eq!(done.status.code(), Some(12), "{healed}: {}{}", done.stdout, done.stderr);
    assert!(healed.contains("not effective: 0 of 0 calls of the fleet failed"), "{healed}");
    assert!(done.stdout.contains("was not effective: 0 of 0 calls of the fleet failed"), "{}", done.stdout);
}

#[test]
fn a_fleet_of_which_no_call_is_to_fail_is_below_no_filter() {
    let bench = Bench::new(&scenario(4));
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    let filters = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().filter(|line| line.starts_with("Seccomp")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(filters(&agents[0].pid.to_string()), filters("self"));
    assert_eq!(run.end().status.code(), Some(0));
}

#[test]
fn a_process_that_answers_and_dies_is_reported_and_the_run_is_no_pass() {
    let bench = example();
    let run = bench.start(&["--quiet"]);
    let agents = run.agents_under_load();
    wait_until("proven", || bench.log_so_far().contains("\"firing\":0,\"step\":\"proven\""));
    let answerer = answerer(run.child.id());
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(answerer.pid as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let done = run.end();
    assert!(matches!(done.status.code(), Some(10..=12)), "{}{}", done.stdout, done.stderr);
    let log = bench.log_so_far();
    assert!(log.contains("process that answers trapped calls (pid"), "{}", done.stdout);
    assert!(log.contains("\"firing\":0,\"step\":\"unhealed\""), "{}", done.stdout);
    bench.assert_nothing_left(&agents);
}

#[test]
fn a_harness_that_is_killed_at_any_step_leaves_no_process_or_file() {
    for step in ["injected", "proven", "healed", "heal-proven"] {
        let bench = example();
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let answerer = answerer(run.child.id());
        wait_until(step, || bench.log_so_far().contains(&format!("\"firing\":0,\"step\":\"{step}\"")));
        run.signal(nix::sys::signal::Signal::SIGKILL);
        drop(run.end());
        let is_gone =
            |agent: &AgentInfo| !Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive();
        wait_until("the fleet has ended with the harness", || agents.iter().all(is_gone));
        wait_until("so has the process that answers", || !answerer.is_alive());
        bench.assert_nothing_left(&agents);
    }
}

#[test]
fn it_needs_no_root_and_says_what_it_needs_where_it_is_refused() {
    const OTHER: u32 = 65_534;
    let bench = example();
    let program = bench.dir.path().join("harness");
    std::fs::copy(HARNESS, &program).unwrap();
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
    let done = bench.start_by(&mut command(&["run", "small.toml", "--out", "runs", "--quiet"])).end();
    let said = String::from_utf8_lossy(&doctor.stdout);
    if doctor.status.success() {
        assert!(said.contains("a probe below a seccomp filter fails as it is told to"), "{said}");
        assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
        assert!(!bench.log_so_far().contains("\"step\":\"un"), "{}", done.stdout);
    } else {
        assert_eq!(done.status.code(), Some(20), "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("kernel.yama.ptrace_scope"), "{}", done.stderr);
    }
}

/// Below a filter with a listener, the kernel allows no second one.
#[test]
fn below_another_listener_nothing_is_started_and_the_remedy_is_said() {
    let bench = example();
    let (sender, receiver) = std::sync::mpsc::channel();
    let command = |verb: &[&str]| {
        let mut command = Command::new(HARNESS);
        bench.within(command.args(verb));
        command
    };
    let mut commands = [command(&["run", "small.toml", "--out", "runs"]), command(&["doctor", "small.toml"])];
    let thread = std::thread::spawn(move || {
        sender.send(trap::install()).unwrap();
        commands.each_mut().map(|command| command.output().unwrap())
    });
    let Ok(listener) = receiver.recv().unwrap() else {
        has_or_skips("seccomp user notification, without another listener", false);
        return;
    };
    let listener = trap::Listener::new(listener).unwrap();
    while !thread.is_finished() {
        let mut fds =
            [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&listener), nix::poll::PollFlags::POLLIN)];
        if nix::poll::poll(&mut fds, 50_u16) == Ok(1)
            && let Ok(Some(call)) = listener.receive()
        {
            let _ = listener.answer(&call, trap::Answer::Continue);
        }
    }
    for output in thread.join().unwrap() {
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(20), "{said}");
        assert!(
            said.contains("refuses seccomp user notification") && said.contains("leave `shm-errors` out"),
            "{said}"
        );
    }
    assert!(!bench.dir.path().join("runs").exists());
}
