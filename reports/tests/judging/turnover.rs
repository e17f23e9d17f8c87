//! Workers that are recycled while a sweep goes on.

use reports::Verdict;
use reports::runlog::event::{AgentExit, AgentReplaced, Event};

use crate::synthetic::{Run, criterion, judge, log_of};

const MS: u64 = 1_000_000;

/// A worker is missing in one sweep; another process is seen in its place `after_ns` after the sweep began, if at all. `died`: the
/// log has an end of the one before.
fn without_a_worker(after_ns: Option<i64>, died: bool) -> (Verdict, Option<String>, Verdict) {
    let run = Run { criteria: vec![criterion("all", "agents.live min >= 9", None)], ..Run::default() };
    let (mut events, mut new) = (run.events(), Vec::new());
    let agent = 4;
    let mut is_new = false;
    for (t_ns, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        for row in sample.agents.iter_mut().filter(|row| is_new && row.agent == agent) {
            row.incarnation = 2;
        }
        if sample.sweep != 30 {
            continue;
        }
        sample.agents.retain(|row| row.agent != agent);
        sample.live -= 1;
        *t_ns = sample.started_ns + 100 * MS;
        let Some(after_ns) = after_ns else { continue };
        is_new = true;
        let seen_ns = sample.started_ns.saturating_add_signed(after_ns);
        let name = "worker/0.1".to_owned();
        if died {
            let how = "killed by SIGKILL".to_owned();
            let exit = AgentExit {
                agent,
                incarnation: 1,
                name: name.clone(),
                pid: 104,
                how,
                expected: false,
                seen_ns,
            };
            new.push((seen_ns, Event::AgentExit(exit)));
        }
        let other = AgentReplaced { agent, incarnation: 2, name, pid: 5_000, start_ticks: 99, seen_ns };
        new.push((seen_ns, Event::AgentReplaced(other)));
    }
    events.extend(new);
    events.sort_by_key(|event| event.0);
    let judgement = judge(&log_of(events));
    let check = judgement.evidence.iter().find(|check| check.name == "agents seen").unwrap();
    (check.verdict, check.note.clone(), judgement.criteria[0].verdict)
}

#[test]
fn a_worker_whose_successor_was_seen_within_the_sweep_is_there_and_any_other_is_missing() {
    let (seen, note, live) = without_a_worker(Some(50 * MS as i64), false);
    assert_eq!((seen, live), (Verdict::Pass, Verdict::Pass), "{note:?}");
    assert!(note.unwrap().starts_with("1 sweep came when workers were being recycled"));
    for (after_ns, died) in [
        (None, false),
        // Before the sweep, and after it: neither shows that the place had a process meanwhile.
        (Some(-10 * MS as i64), false),
        (Some(150 * MS as i64), false),
        (Some(50 * MS as i64), true),
    ] {
        let (seen, note, live) = without_a_worker(after_ns, died);
        assert_eq!((seen, live), (Verdict::Inconclusive, Verdict::Fail), "{after_ns:?} {died}: {note:?}");
        assert!(note.unwrap().contains("1 sweep saw fewer than planned"));
    }
}
