//! What each worker did: held against the rounds, added up over segments, drawn and named.

use reports::render::{csv, html, plot};
use reports::runlog::event::*;
use reports::{Facts, Verdict};

use crate::killed::killed;
use crate::segments::{BEFORE, end_of, first_events, judged, later_segment, note};
use crate::synthetic::{MS, Run, facts, judge, log_of, read, report, run_dir};

type Rows = Vec<WorkerTimes>;

/// Of a run without failures: every worker answers each round.
fn rows(run: &Run, rounds: std::ops::Range<u64>) -> Rows {
    let times: Vec<u64> = rounds.map(run.round_ns).collect();
    let row = |name: String| WorkerTimes {
        name,
        answered: times.len() as u64,
        sum_ns: times.iter().sum(),
        max_ns: times.iter().copied().max().unwrap_or(0),
    };
    let names = run.agents().into_iter().filter(|agent| agent.role == Role::Worker);
    names.map(|agent| row(agent.name)).collect()
}

fn position(events: &[(u64, Event)], is_it: impl Fn(&Event) -> bool) -> usize {
    events.iter().position(|(_, event)| is_it(event)).unwrap()
}

/// Says it just before the ledger.
fn say(events: &mut Vec<(u64, Event)>, workers: Rows) {
    let at = position(events, |event| matches!(event, Event::Ledger(_)));
    events.insert(at, (events[at].0, Event::Workers(Workers { workers })));
}

fn told(run: &Run, workers: Rows) -> Vec<(u64, Event)> {
    let mut events = run.events();
    say(&mut events, workers);
    events
}

/// Rounds take 5 ms to 15 ms.
fn run() -> Run {
    Run::asking("delivery.rate >= 100%")
}

fn why(events: Vec<(u64, Event)>) -> String {
    let judgement = judge(&log_of(events));
    let (verdict, note) = note(&judgement, "log consistent");
    if verdict == Verdict::Pass { String::new() } else { note }
}

type Bend = fn(&mut Rows);

#[test]
fn what_workers_did_is_held_against_the_rounds_of_the_load() {
    let run = run();
    assert_eq!(why(told(&run, rows(&run, 0..run.rounds))), "");
    let bends: [(&str, Bend); 10] = [
        ("the workers have answered 721 tasks, and the rounds of the load 720", |rows| rows[0].answered += 1),
        ("worker/0.0 has answered 121 tasks in 120 rounds", |rows| {
            (rows[0].answered, rows[1].answered) = (121, 119);
        }),
        ("worker/2.0 has answered tasks, and the plan has no such worker", |rows| {
            rows[0].name = "worker/2.0".to_owned();
        }),
        ("coord/0 has answered tasks, and the plan has no such worker", |rows| {
            rows[0].name = "coord/0".to_owned();
        }),
        ("the tasks of worker/0.0 were added up twice", |rows| rows[1].name = "worker/0.0".to_owned()),
        ("the slowest task of the workers took 14000000 ns, and that of the rounds 15000000 ns", |rows| {
            for row in rows {
                row.max_ns = 14 * MS;
            }
        }),
        ("the slowest task of a worker took 14500000 ns, and no histogram has it", |rows| {
            rows[3].max_ns = 14_500_000;
        }),
        ("the workers under coord/0 have answered 240 tasks, and by the rounds it was 360", |rows| {
            let row = rows.remove(0);
            (rows[2].answered, rows[2].sum_ns) = (240, rows[2].sum_ns + row.sum_ns);
        }),
        ("the tasks of all workers took", |rows| rows[0].sum_ns += 500 * MS),
        ("1 tasks of worker/0.0 took 20000000 ns together, and the slowest of them 15000000 ns", |rows| {
            (rows[0].answered, rows[0].sum_ns) = (1, 20 * MS);
        }),
    ];
    for (wanted, bend) in bends {
        let mut rows = rows(&run, 0..run.rounds);
        bend(&mut rows);
        // Of a pool, whose workers take as many tasks of a round as they can.
        let is_pool = wanted.starts_with("the workers under");
        let mut events = told(&run, rows);
        if let (true, Event::Header(header)) = (is_pool, &mut events[0].1) {
            header.plan.tasks_per_round = Some(6);
        }
        let found = why(events);
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
}

#[test]
fn what_workers_did_is_said_once_when_all_rounds_are_over_and_before_the_ledger() {
    let run = run();
    let rows = rows(&run, 0..run.rounds);
    let word = |events: &[(u64, Event)]| position(events, |event| matches!(event, Event::Workers(_)));
    let told = || told(&run, rows.clone());
    let mut twice = told();
    twice.insert(word(&twice), twice[word(&twice)].clone());
    let mut early = told();
    let at = word(&early);
    early.swap(at, at - 1);
    let mut late = told();
    let at = word(&late);
    late.swap(at, at + 1);
    let mut before_a_round = told();
    let last = before_a_round.iter().rposition(|(_, event)| matches!(event, Event::Round(_))).unwrap();
    let (_, round) = before_a_round.remove(last);
    let at = word(&before_a_round) + 1;
    before_a_round.insert(at, (before_a_round[at].0, round));
    let (over, twice_said) = ("before the load was over, or after the ledger", "added up twice");
    for (events, wanted) in
        [(twice, twice_said), (early, over), (late, over), (before_a_round, "and the rounds of the load 714")]
    {
        let found = why(events);
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
}

/// A run that was resumed after its 60th round of the load. What it says of its workers, of both segments.
fn resumed(run: &Run, first: Vec<(u64, Event)>, (counted_to, by): (Option<u64>, u64)) -> (Verdict, Facts) {
    let first = log_of(first);
    let resumes = Resumes { counted_to, ..end_of(&first) };
    let mut second = later_segment(run, resumes, (BEFORE, by));
    say(&mut second, rows(run, BEFORE..run.rounds));
    let (judgement, facts) = judged(&[first, log_of(second)]);
    (judgement.verdict, facts)
}

fn caption(facts: &Facts) -> String {
    plot::all(facts).into_iter().find(|plot| plot.name == "workers").unwrap().caption
}

#[test]
fn segments_add_up_and_of_one_that_was_killed_the_caption_says_that_it_is_missing() {
    let run = crate::segments::run();
    let mut orderly = first_events(&run, true);
    say(&mut orderly, rows(&run, 0..BEFORE));
    let (verdict, facts) = resumed(&run, orderly, (None, 0));
    assert_eq!((verdict, facts.workers.answered()), (Verdict::Pass, 720));
    let all = facts.workers.slowest_first();
    assert!(all.iter().all(|slow| (slow.answered, slow.max_ns) == (120, 15 * MS)), "{all:?}");
    assert!(!caption(&facts).contains("killed"), "{}", caption(&facts));

    // Killed after its last word, and before its ledger: the five rounds after its last checkpoint were carried out again.
    let mut killed = killed(&run);
    let checkpoint = killed.iter().rposition(|(_, event)| matches!(event, Event::Checkpoint(_)));
    let end = killed.last().unwrap().0;
    killed.push((end, Event::Phase(PhaseBegan { phase: Phase::Drain })));
    killed.push((end, Event::Workers(Workers { workers: rows(&run, 0..BEFORE + 5) })));
    let (verdict, facts) = resumed(&run, killed, (checkpoint.map(|at| at as u64), 5));
    assert_eq!((verdict, facts.workers.answered(), facts.load.counts.answered), (Verdict::Pass, 360, 720));
    assert!(caption(&facts).contains("These are 360 of 720 answered tasks"), "{}", caption(&facts));
}

/// Two workers that are slower than all others.
fn uneven(run: &Run) -> Rows {
    let mut rows = rows(run, 0..run.rounds);
    for (slow, quick, ms) in [(1, 0, 500), (5, 3, 200)] {
        rows[slow].sum_ns += ms * MS;
        rows[quick].sum_ns -= ms * MS;
    }
    rows
}

pub(crate) fn log() -> Vec<u8> {
    let run = run();
    log_of(told(&run, uneven(&run)))
}

#[test]
fn the_slowest_workers_are_drawn_named_and_listed() {
    let dir = run_dir(&log());
    let (judgement, _) = report(dir.path());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    let page = read(dir.path(), "report.html");
    let figure =
        page.split("<figure id=\"plot-workers\">").nth(1).unwrap().split("</figure>").next().unwrap();
    let words = [
        "aria-label=\"Workers, the slowest first\"",
        "by its mean, the worker in the middle of 6 takes 10 ms.",
        "The slowest: worker/0.1 with 14.2 ms (1.42× the middle, at most 15 ms); worker/1.2 with 11.7 ms (1.17×",
    ];
    for word in words {
        assert!(figure.contains(word), "{word}: {figure}");
    }
    // Five, and not the sixth.
    assert_eq!(figure.matches("the middle, at most").count(), 5, "{figure}");
    assert!(page.contains("<a href=\"workers.csv\">"), "the file is named");
    let svg = read(dir.path(), "plots/workers.svg");
    assert!(svg.starts_with("<svg role=\"img\" aria-label=\"Workers, the slowest first\" "), "{svg}");
    let table = read(dir.path(), "workers.csv");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "worker,answered,mean_s,max_s,mean_of_median,rehearsal_factor,profile,overrides");
    assert_eq!((lines.len(), lines[1]), (7, "worker/0.1,120,0.014175,0.015000,1.416,,,"));
}

#[test]
fn a_log_without_a_word_on_its_workers_or_with_one_worker_has_no_plot_of_them() {
    let alone = Run { coordinators: 1, workers: 1, ..run() };
    for log in [run().log(), log_of(told(&alone, rows(&alone, 0..alone.rounds)))] {
        let facts = facts(&log);
        assert!(plot::all(&facts).iter().all(|plot| plot.name != "workers"));
    }
    let (judgement, facts) = (judge(&run().log()), facts(&run().log()));
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert_eq!(csv::workers(&facts), None);
    let dir = run_dir(&run().log());
    let (_, files) = report(dir.path());
    assert!(!files.iter().any(|file| file.ends_with("workers.csv")), "{files:?}");
    assert!(!html::render(&judgement, &facts).contains("workers.csv"));
}
