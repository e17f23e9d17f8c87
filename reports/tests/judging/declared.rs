//! Which deaths a declared fault explains: by their kind, how the process ended, and when.

use reports::Verdict;
use reports::runlog::event::*;

use crate::faults::{AT, COORDINATOR, Faulty, MS, SECOND, WORKER};

const WITH_IT: &str = "ended when its coordinator died";
const OVERWRITTEN: &str = "exited with status 73: its shared memory was overwritten";
const TRUNCATED: &str = "exited with status 74: its shared memory was truncated";
const KILLED: &str = "killed by SIGKILL";

/// A fault in the region of coord/0 that is healed after a second if it has a heal, and one process that ends.
fn dies(kind: FaultKind, after_ns: u64, of: (u32, &str), how: &str) -> Faulty {
    use FaultStepKind::{HealProven, Healed, Injected, Proven};
    let mut faulty = Faulty::new("delivery.rate >= 100%", kind, COORDINATOR);
    faulty.step(AT, Injected).step(AT + MS, Proven);
    if kind.is_healed() {
        faulty.step(AT + SECOND, Healed).step(AT + SECOND + MS, HealProven);
    }
    faulty.exit(AT + after_ns, of).how(how).replaced(AT + after_ns + 100 * MS, of, 2);
    faulty
}

/// The fleet had found the worker to be hung, 10 ms before its end.
fn hung(mut faulty: Faulty) -> Faulty {
    let end = faulty.more.iter().find_map(|(at_ns, event)| match event {
        Event::AgentExit(exit) => Some((*at_ns, exit.clone())),
        _ => None,
    });
    let (at_ns, exit) = end.unwrap();
    let found_ns = at_ns - 10 * MS;
    let incident = Incident {
        kind: IncidentKind::Hung,
        agent: exit.agent,
        incarnation: 1,
        name: exit.name,
        pid: exit.pid,
        how: "made no progress".into(),
        from_ns: found_ns,
        to_ns: None,
    };
    faulty.more.push((found_ns, Event::Incident(incident)));
    faulty
}

#[track_caller]
fn explained(faulty: &Faulty, wanted: bool) {
    let verdict = if wanted { Verdict::Pass } else { Verdict::Fail };
    let judgement = faulty.judge();
    let found = judgement.evidence.iter().find(|e| e.name == "no undeclared death").unwrap();
    assert_eq!(found.verdict, verdict, "{found:?}");
}

#[test]
fn a_region_without_its_name_explains_no_death() {
    for after_ns in [500 * MS, 3 * SECOND] {
        for how in [KILLED, OVERWRITTEN, WITH_IT] {
            explained(&dies(FaultKind::SegmentUnlink, after_ns, WORKER, how), false);
            explained(&dies(FaultKind::SegmentUnlink, after_ns, COORDINATOR, how), false);
        }
    }
}

#[test]
fn what_is_overwritten_or_cut_off_explains_its_own_end_for_a_short_time() {
    use FaultKind::{SegmentScribble, SegmentTruncate};
    for (kind, own, of_another) in
        [(SegmentScribble, OVERWRITTEN, TRUNCATED), (SegmentTruncate, TRUNCATED, OVERWRITTEN)]
    {
        for (of, how) in [(COORDINATOR, own), (WORKER, own), (WORKER, WITH_IT)] {
            explained(&dies(kind, 300 * MS, of, how), true);
            explained(&dies(kind, 12 * SECOND, of, how), false);
        }
        for of in [COORDINATOR, WORKER] {
            for how in [KILLED, of_another, "exited with status 70", "exited with status 7"] {
                explained(&dies(kind, 300 * MS, of, how), false);
            }
        }
        explained(&dies(kind, 300 * MS, COORDINATOR, WITH_IT), false);
    }
    // A worker obeys wrong words, and its coordinator does not.
    explained(&dies(SegmentScribble, 300 * MS, WORKER, "exited with status 71"), true);
    explained(&dies(SegmentScribble, 300 * MS, COORDINATOR, "exited with status 71"), false);
}

#[test]
fn a_pause_explains_a_death_until_a_short_time_after_its_heal() {
    explained(&hung(dies(FaultKind::Pause, 500 * MS, WORKER, KILLED)), true);
    explained(&hung(dies(FaultKind::Pause, 2 * SECOND, WORKER, KILLED)), true);
    explained(&hung(dies(FaultKind::Pause, 12 * SECOND, WORKER, KILLED)), false);
}

#[test]
fn a_pause_explains_no_death_but_by_the_fleets_patience() {
    for how in [KILLED, "killed by SIGABRT", "exited with status 1"] {
        explained(&dies(FaultKind::Pause, 500 * MS, WORKER, how), false);
        explained(&dies(FaultKind::Pause, 2 * SECOND, WORKER, how), false);
        explained(&dies(FaultKind::Pause, 2 * SECOND, COORDINATOR, how), false);
    }
    explained(&hung(dies(FaultKind::Pause, 500 * MS, WORKER, "killed by SIGABRT")), false);
    explained(&dies(FaultKind::Pause, 500 * MS, WORKER, WITH_IT), true);
}

#[test]
fn the_kernels_oom_killer_explains_a_kill_and_what_ends_with_it_and_no_other_end() {
    for (role, how, explains) in [
        (Role::Worker, KILLED, true),
        (Role::Coordinator, KILLED, true),
        (Role::Worker, WITH_IT, true),
        (Role::Coordinator, WITH_IT, false),
        (Role::Supervisor, "gone from /proc", true),
        (Role::Worker, "gone from /proc", false),
        (Role::Worker, OVERWRITTEN, false),
        (Role::Coordinator, "exited with status 1", false),
    ] {
        assert_eq!(FaultKind::Oom.ends_by(role, how, false), explains, "{role:?} {how}");
    }
}

/// A process that another fault of the code ends at the same time has not died of the signal.
#[test]
fn a_signal_explains_its_own_death_and_what_ends_with_it_and_no_crash() {
    for (role, how, by_kill, by_stop) in [
        (Role::Worker, KILLED, true, false),
        (Role::Coordinator, "killed by SIGTERM", false, true),
        (Role::Worker, WITH_IT, true, true),
        (Role::Coordinator, WITH_IT, false, false),
        (Role::Coordinator, "ended when the supervisor died", true, true),
        (Role::Worker, "died, and so did its successor", true, true),
        (Role::Coordinator, "ended with the supervisor", true, true),
        (Role::Coordinator, "ended with an unknown status", true, true),
        (Role::Worker, "ended with its coordinator", true, true),
        (Role::Worker, "ended with an unknown status", false, false),
        (Role::Supervisor, "gone from /proc", true, true),
        (Role::Supervisor, "exited with status 70", false, false),
        (Role::Worker, "gone from /proc", false, false),
        (Role::Coordinator, "exited with status 70", false, false),
        (Role::Worker, "killed by SIGSEGV", false, false),
    ] {
        let ends = [FaultKind::Kill, FaultKind::Stop].map(|kind| kind.ends_by(role, how, false));
        assert_eq!(ends, [by_kill, by_stop], "{role:?} {how}");
    }
    explained(&dies(FaultKind::Kill, 10 * MS, WORKER, KILLED), true);
    explained(&dies(FaultKind::Kill, 10 * MS, WORKER, "exited with status 70"), false);
}

#[test]
fn what_is_done_to_the_host_or_a_limit_explains_no_death() {
    for kind in FaultKind::ALL {
        let explains = matches!(
            kind,
            FaultKind::Kill
                | FaultKind::Stop
                | FaultKind::Pause
                | FaultKind::SegmentTruncate
                | FaultKind::SegmentScribble
                | FaultKind::Oom
        );
        assert_eq!(kind.explains_deaths(), explains, "{kind:?}");
        let ways = [KILLED, OVERWRITTEN, TRUNCATED, WITH_IT];
        assert_eq!(ways.iter().any(|how| kind.ends_by(Role::Worker, how, true)), explains, "{kind:?}");
    }
}

#[test]
fn of_two_faults_in_one_process_each_explains_the_death_that_is_its_own() {
    use FaultStepKind::{HealProven, Healed, Injected, Proven};
    let later = |step: Event| match step {
        Event::Fault(step) => Event::Fault(FaultStep { firing: 1, ..step }),
        other => other,
    };
    // A worker that hangs in a pause is killed when its coordinator's memory has been overwritten meanwhile.
    let mut faulty = Faulty::new("delivery.rate >= 100%", FaultKind::Pause, COORDINATOR);
    faulty.step(AT, Injected).step(AT + MS, Proven);
    let mut scribble = Faulty::new("", FaultKind::SegmentScribble, COORDINATOR);
    scribble.step(AT + 10 * MS, Injected).step(AT + 11 * MS, Proven);
    faulty.more.extend(scribble.more.into_iter().map(|(at_ns, step)| (at_ns, later(step))));
    faulty.step(AT + SECOND, Healed).step(AT + SECOND + MS, HealProven);
    faulty.also = Some(FaultKind::SegmentScribble);
    faulty.exit(AT + 500 * MS, WORKER).replaced(AT + 600 * MS, WORKER, 2);
    explained(&hung(faulty), true);
}
