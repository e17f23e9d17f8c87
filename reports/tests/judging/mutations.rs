//! One change anywhere in a genuine log, its checksums put right: it costs the PASS, or is harmless for a reason
//! that stands here.

mod changes;
mod checkpoints;
mod forgeries;
mod harmless;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use reports::Verdict;
use reports::runlog::Reader;
use reports::runlog::event::{AgentSample, Event, LatencyInterval, LatencyTag, Record};
use reports::runlog::validate::Validator;
use serde_json::Value;

use crate::synthetic::{latency, log_of, rewritten};
use changes::{Others, changes, spelt, texts};
use forgeries::FORGERIES;
use harmless::{HARMLESS, HARMLESS_FOLLOWED, HARMLESS_RICH, HARMLESS_STAGED, Reviewed};

/// What a real run of `scenarios/smoke.toml` has left (with `load.every=20ms` and a load of 2.4 s).
const GENUINE: &[u8] = include_bytes!("../fixtures/v2/pass/run.log");
/// The same, of a later version: its ledger has the use of the workers and batches.
const GENUINE_LATER: &[u8] = include_bytes!("../fixtures/v2/pass-2.6/run.log");
/// The same, of a version that says what each worker did.
const GENUINE_WORKERS: &[u8] = include_bytes!("../fixtures/v2/pass-2.12/run.log");
/// One with two workloads, commands before and after, a worker that was killed and a coordinator that was paused.
const GENUINE_RICH: &[u8] = include_bytes!("../fixtures/v2/rich/run.log");
/// One that grew and shrank, whose workers were recycled, with a program that failed, calls that failed, a coordinator that was
/// killed meanwhile, and a worker that was killed with a task in hand.
const GENUINE_STAGED: &[u8] = include_bytes!("../fixtures/v2/staged/run.log");
/// One that followed its load, up and down, while the thread that sweeps was stopped twice, for a third of a second.
const GENUINE_FOLLOWED: &[u8] = include_bytes!("../fixtures/v2/followed/run.log");

fn records(genuine: &[u8]) -> Vec<Record> {
    // Its 120 rounds are too few for a p99.
    let log = rewritten(genuine, "coordination.time p99", "coordination.time p95");
    Reader::new(log.as_slice()).map(Result::unwrap).collect()
}

/// Whether the records do not contradict each other, as the validator takes them.
fn is_consistent(records: &[Record]) -> bool {
    let mut validator = Validator::new();
    records.iter().all(|record| validator.step(record).is_ok()) && validator.complete().is_ok()
}

fn passes(records: &[Record]) -> bool {
    let log = log_of(records.iter().map(|r| (r.t_ns, r.event.clone())).collect());
    match reports::judge_log(log.as_slice()) {
        Ok((judgement, _)) => judgement.verdict <= Verdict::Conditional,
        Err(_) => false,
    }
}

type Field = (&'static str, fn(&mut AgentSample, fn(u64) -> u64));

/// Rows are packed: their fields by name.
const FIGURES: [Field; 12] = [
    ("agent", |row, to| row.agent = to(row.agent.into()) as u32),
    ("incarnation", |row, to| row.incarnation = to(row.incarnation.into()) as u32),
    ("rss", |row, to| row.rss_kib = to(row.rss_kib)),
    ("rss_anon", |row, to| row.anon_kib = to(row.anon_kib)),
    ("vsz", |row, to| row.vsz_kib = to(row.vsz_kib)),
    ("fds", |row, to| row.fds = to(row.fds.into()) as u32),
    ("threads", |row, to| row.threads = to(row.threads.into()) as u32),
    ("cpu", |row, to| row.cpu_us = to(row.cpu_us)),
    ("voluntary_switches", |row, to| row.voluntary_switches = to(row.voluntary_switches)),
    ("involuntary_switches", |row, to| row.involuntary_switches = to(row.involuntary_switches)),
    ("pss", |row, to| row.pss_kib = row.pss_kib.map(to)),
    ("state", |row, _| row.state = Some('T')),
];
/// A figure in place of another.
type Bend = fn(u64) -> u64;
const TO: [(&str, Bend); 6] = [
    ("zero", |_| 0),
    ("one", |_| 1),
    ("less", |n| n.saturating_sub(1)),
    ("more", |n| n + 1),
    ("much", |n| n * 2 + 100_000),
    ("enormous", |_| 1 << 62),
];

fn kind(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap();
    let phase =
        if matches!(event, Event::Round(_)) { json["phase"].as_str().unwrap_or_default() } else { "" };
    format!("{}{phase}{}", json["ev"].as_str().unwrap(), json["tag"].as_str().unwrap_or_default())
}

/// The first, the middle one and the last of each kind of record; all phases.
fn chosen(records: &[Record], kinds: &[String]) -> BTreeSet<usize> {
    let mut of_kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, kind) in kinds.iter().enumerate() {
        of_kinds.entry(kind).or_default().push(at);
    }
    of_kinds
        .values()
        .flat_map(|all| match all[0] {
            first if matches!(records[first].event, Event::Phase(_)) => all.clone(),
            first => vec![first, all[all.len() / 2], all[all.len() - 1]],
        })
        .collect()
}

/// Path, change, and the record that it leaves.
type Mutant = (String, &'static str, Record);

/// Every change of one record, with what it was.
fn mutants(record: &Record, others: &Others) -> Vec<Mutant> {
    let (name, json) = spelt(&record.event);
    let mut out = Vec::new();
    for (path, how, changed) in others.changes(&name, &json) {
        // What is no event any more is refused by any reader.
        let Ok(mut event) = serde_json::from_value::<Event>(changed) else { continue };
        if let (Event::Sample(new), Event::Sample(old)) = (&mut event, &record.event) {
            new.agents.clone_from(&old.agents);
        }
        if event == record.event {
            continue;
        }
        out.push((path, how, Record { event, ..record.clone() }));
    }
    for (path, how, t_ns) in changes("t_ns", &record.t_ns.into(), &changes::Texts::new()) {
        if let Some(t_ns) = t_ns.as_u64() {
            out.push((path, how, Record { t_ns, ..record.clone() }));
        }
    }
    if let Event::Sample(sample) = &record.event {
        let row = |at: usize, change: &dyn Fn(&mut AgentSample)| {
            let mut sample = sample.clone();
            change(&mut sample.agents[at]);
            Record { event: Event::Sample(sample), ..record.clone() }
        };
        for at in [0, 2, sample.agents.len() - 1] {
            for ((field, set), (how, to)) in FIGURES.iter().flat_map(|f| TO.map(|to| (f, to))) {
                let changed = row(at, &|row| set(row, to));
                if changed != *record {
                    out.push((format!("row.{field}"), how, changed));
                }
            }
        }
        for (how, agents) in [
            ("one less", sample.agents[..sample.agents.len() - 1].to_vec()),
            ("one twice", [&sample.agents[1..2], &sample.agents[..]].concat()),
            ("none", Vec::new()),
            ("copies", vec![sample.agents[1]; sample.agents.len()]),
        ] {
            let sample = Event::Sample(reports::runlog::event::Sample { agents, ..sample.clone() });
            out.push(("rows".to_owned(), how, Record { event: sample, ..record.clone() }));
        }
    }
    out
}

/// The entry of the list that allows this change.
fn allowed(list: &[&Reviewed], path: &str, how: &str) -> Option<usize> {
    list.iter().position(|(pattern, change, _)| {
        let fits = match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == *pattern,
        };
        fits && (*change == "*" || *change == how)
    })
}

#[test]
fn a_genuine_log_passes() {
    let all = [GENUINE, GENUINE_LATER, GENUINE_WORKERS, GENUINE_RICH, GENUINE_STAGED, GENUINE_FOLLOWED];
    for genuine in all {
        let log = log_of(records(genuine).into_iter().map(|r| (r.t_ns, r.event)).collect());
        let (judgement, _) = reports::judge_log(log.as_slice()).unwrap();
        assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    }
}

#[test]
fn no_figure_that_another_one_bounds_passes_beyond_it() {
    let genuine = records(GENUINE);
    for (what, forge) in FORGERIES {
        let mut records = genuine.clone();
        records.iter_mut().for_each(forge);
        assert!(records != genuine, "{what}: nothing is forged");
        assert!(!passes(&records), "{what}");
    }
}

/// The same count and extremes, and all that lies between them as long as the shortest.
fn quicker(interval: &LatencyInterval) -> LatencyInterval {
    let bytes = STANDARD.decode(&interval.histogram).unwrap();
    let genuine: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    histogram.record_n(genuine.min(), genuine.len() - 1).unwrap();
    histogram.record(interval.max_ns).unwrap();
    let forged = latency(&histogram, interval.start_ns, interval.length_ns);
    LatencyInterval { max_ns: interval.max_ns, histogram: forged.histogram, ..interval.clone() }
}

#[test]
fn a_histogram_that_is_quicker_than_its_rounds_between_its_extremes_does_not_pass() {
    for tag in [LatencyTag::Coordination, LatencyTag::Task] {
        let mut records = records(GENUINE);
        let mut forged = 0;
        for record in &mut records {
            if let Event::Latency(interval) = &mut record.event
                && interval.tag == tag
                && interval.count > 2
            {
                *interval = quicker(interval);
                forged += 1;
            }
        }
        assert!(forged > 0, "{tag:?}");
        assert!(!passes(&records), "{tag:?}");
    }
}

#[test]
fn a_plan_of_more_processes_than_a_host_can_have_is_refused_before_anything_is_kept_of_it() {
    for (coordinators, workers) in [(u32::MAX, 4), (2, u32::MAX), (u32::MAX, u32::MAX), (4_000, 4_000)] {
        let mut records = records(GENUINE);
        let Event::Header(header) = &mut records[0].event else { panic!("no header") };
        (header.plan.coordinators, header.plan.workers_per_coordinator) = (coordinators, workers);
        let log = log_of(records.into_iter().map(|r| (r.t_ns, r.event)).collect());
        let refused = reports::judge_log(log.as_slice()).unwrap_err().to_string();
        assert!(refused.contains("it plans"), "{refused}");
    }
}

#[test]
fn a_clock_that_is_read_twice_at_once_does_not_pass() {
    let mut records = records(GENUINE);
    let at = records.iter().position(|record| matches!(record.event, Event::Clock(_))).unwrap();
    records.insert(at, records[at].clone());
    assert!(!passes(&records));
}

/// Changes of records that are not among the chosen: no more than so many of each log.
const DRAWN: usize = 3_000;

/// Gets a change of a log, and the records that it leaves.
type Judge<'a> = dyn FnMut(&str, &'static str, &[Record]) + 'a;

fn each_change(genuine: &[Record], judge: &mut Judge<'_>) {
    let kinds: Vec<String> = genuine.iter().map(|record| kind(&record.event)).collect();
    let (chosen, texts) = (chosen(genuine, &kinds), texts(genuine));
    // One copy for all changes: each is undone after it was judged.
    let mut records = genuine.to_vec();
    let mut drawn = Vec::new();
    let mut others = Others { beside: None, texts };
    for (at, record) in genuine.iter().enumerate() {
        others.beside = beside(genuine, &kinds, at);
        let mutants = mutants(record, &others).into_iter();
        if chosen.contains(&at) {
            for mutant in mutants {
                replaced(&mut records, at, mutant, judge);
            }
        } else {
            drawn.extend(mutants.map(|mutant| (at, mutant)));
        }
    }
    // At equal distances: the same changes each time, of every record and every field.
    let step = drawn.len() / DRAWN + 1;
    for (at, mutant) in drawn.into_iter().step_by(step) {
        replaced(&mut records, at, mutant, judge);
    }
    for (at, record) in genuine.iter().enumerate() {
        let path = format!("record.{}", kinds[at]);
        let own = records.remove(at);
        judge(&path, "removed", &records);
        records.insert(at, own.clone());
        records.insert(at, own);
        judge(&path, "repeated", &records);
        records.remove(at);
        if genuine.get(at + 1).is_none_or(|next| next.event == record.event) {
            continue;
        }
        let path = format!("{path}, {}", kinds[at + 1]);
        swap_events(&mut records, at);
        judge(&path, "swapped", &records);
        swap_events(&mut records, at);
    }
    assert!(records == genuine, "a change was not undone");
}

/// Judges the records with a mutant in the place of its own, and puts that back.
fn replaced(records: &mut [Record], at: usize, (path, how, mutant): Mutant, judge: &mut Judge<'_>) {
    let own = std::mem::replace(&mut records[at], mutant);
    judge(&path, how, records);
    records[at] = own;
}

/// Of a record and the next, which keep their times.
fn swap_events(records: &mut [Record], at: usize) {
    let (before, after) = records.split_at_mut(at + 1);
    std::mem::swap(&mut before[at].event, &mut after[0].event);
}

/// The next event of the same kind, or the one before.
fn beside(records: &[Record], kinds: &[String], at: usize) -> Option<Value> {
    let is_own = |other: &usize| kinds[*other] == kinds[at];
    let other = (at + 1..kinds.len()).find(is_own).or_else(|| (0..at).rev().find(is_own))?;
    Some(spelt(&records[other].event).1)
}

#[test]
fn no_single_change_of_a_run_with_faults_and_workloads_passes_unless_it_is_harmless() {
    assert!(changes_are_reviewed(&[GENUINE_RICH], HARMLESS_RICH, &[HARMLESS]) > 3_000);
}

#[test]
fn no_single_change_of_a_run_with_stages_and_attempts_passes_unless_it_is_harmless() {
    assert!(changes_are_reviewed(&[GENUINE_STAGED], HARMLESS_STAGED, &[HARMLESS, HARMLESS_RICH]) > 5_000);
}

#[test]
fn no_single_change_of_a_run_that_follows_its_load_passes_unless_it_is_harmless() {
    let known = [HARMLESS, HARMLESS_RICH, HARMLESS_STAGED];
    assert!(changes_are_reviewed(&[GENUINE_FOLLOWED], HARMLESS_FOLLOWED, &known) > 5_000);
}

#[test]
fn no_single_change_of_a_genuine_log_passes_unless_it_is_harmless() {
    assert!(changes_are_reviewed(&[GENUINE, GENUINE_LATER], HARMLESS, &[]) > 6_000);
}

/// Each change that passes is in one of the lists, and each entry of `needed` is needed. How many were tried.
fn changes_are_reviewed(genuine: &[&[u8]], needed: &[Reviewed], known: &[&[Reviewed]]) -> u32 {
    let list: Vec<&Reviewed> = needed.iter().chain(known.iter().copied().flatten()).collect();
    let (mut missed, mut used, mut tried) = (BTreeMap::new(), BTreeSet::new(), 0);
    let mut judge = |path: &str, how: &'static str, records: &[Record]| {
        tried += 1;
        // What contradicts itself is INCONCLUSIVE: that is looked at now and then, since it takes its time.
        if (is_consistent(records) || tried % 16 == 0) && passes(records) {
            match allowed(&list, path, how) {
                Some(entry) => drop(used.insert(entry)),
                None => *missed.entry((path.to_owned(), how)).or_insert(0) += 1,
            }
        }
    };
    for genuine in genuine {
        each_change(&records(genuine), &mut judge);
    }
    let missed: Vec<String> = missed.iter().map(|((path, how), n)| format!("{path} {how} ({n})")).collect();
    assert!(missed.is_empty(), "{} changes pass:\n{}", missed.len(), missed.join("\n"));
    let idle: Vec<&Reviewed> =
        (0..needed.len()).filter(|entry| !used.contains(entry)).map(|at| list[at]).collect();
    assert!(idle.is_empty(), "no change needs these entries: {idle:#?}");
    tried
}
