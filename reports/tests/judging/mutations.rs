//! One change anywhere in a genuine log, its checksums put right: it costs the PASS, or is harmless for a reason
//! that stands here.

use std::collections::{BTreeMap, BTreeSet};

use reports::Verdict;
use reports::runlog::Reader;
use reports::runlog::event::{AgentSample, Event, Record};
use serde_json::Value;

use crate::synthetic::{log_of, rewritten};

/// What a real run of `scenarios/smoke.toml` has left (with `load.every=20ms` and a load of 2.4 s).
const GENUINE: &[u8] = include_bytes!("../fixtures/v2/pass/run.log");

/// Path (a `*` at its end stands for the rest), change (`*`: any), and why a verdict does not rest on it.
const HARMLESS: &[(&str, &str, &str)] = &[
    ("header.build.*", "*", "says which program wrote the log; no figure depends on it"),
    (
        "header.host.*",
        "*",
        "describes the machine, which only the log knows; a gate compares it with another run's",
    ),
    ("header.scenario.*", "*", "names the question, for people; `sha256` ties it to its file"),
    ("header.criteria", "*", "no log knows what was not asked; `sha256` names the file that says it"),
    ("header.criteria.*", "*", "names, and when a run may be ended early: this one was not"),
    ("header.command", "*", "for people, who repeat a run by it"),
    ("header.run_id", "longer", "a name: one is as good as another"),
    (
        "header.format.minor",
        "*",
        "what a newer log needs says so itself; an older one has fewer checks to pass",
    ),
    ("header.plan.duration_ns", "less", "as many rounds, of the same length"),
    ("header.plan.fds_max", "*", "an estimate that only the preflight uses"),
    ("header.plan.shm_bytes", "*", "an estimate that only the preflight uses"),
    ("header.plan.messages_per_task", "*", "a constant of the system under test, shown and not measured"),
    ("header.plan.pss_every_ns", "*", "no criterion of this run rests on PSS"),
    ("header.plan.rounds_in_flight_max", "*", "a bound; this run stayed far below it"),
    ("header.plan.task_timeout_ns", "*", "a bound; this run stayed far below it"),
    ("header.plan.topology", "another", "a word for the figures that stand beside it"),
    ("header.plan.workload", "*", "in words, for people"),
    ("agents.agents", "one less", "the first is the harness, which needs no introduction"),
    ("agents.agents.incarnation", "*", "of the harness, which no record follows"),
    ("agents.agents.pid", "*", "of the harness, which no record follows"),
    ("agents.agents.start_ticks", "*", "the kernel's own, and only this record has it"),
    ("agents.launch_ns", "*", "a measured time, within its bounds"),
    ("agent-exit.how", "longer", "in words, for people"),
    ("agent-exit.seen_ns", "*", "a measured time, within its bounds"),
    ("latency.length_ns", "*", "for plots of latency.hlog; the histogram counts"),
    ("latency.start_ns", "*", "for plots of latency.hlog; the histogram counts"),
    ("latency.max_ns", "less", "the same to the three digits of the histogram"),
    ("ledger.coordinators.coordinator.late", "*", "a coordinator's late answers are shown and not judged"),
    ("round.started_ns", "*", "a measured time, within its bounds"),
    ("round.task_p50_ns", "*", "a measured time, within its bounds"),
    ("round.task_p99_ns", "*", "a measured time, within its bounds"),
    ("row.*", "less", "a measured figure, within its bounds"),
    ("row.*", "more", "a measured figure, within its bounds"),
    ("row.*", "much", "a measured figure, within its bounds"),
    ("row.cpu", "zero", "in the first sweep: it may have used none so far"),
    ("row.involuntary_switches", "zero", "in the first sweep: it may have had none so far"),
    ("row.voluntary_switches", "zero", "in the first sweep: it may have had none so far"),
    ("row.rss_anon", "zero", "a part of the RSS, and it may be none"),
    ("sample.cpu_ns", "*", "what sampling costs, within its bounds"),
    ("sample.started_ns", "*", "a measured time, within its bounds"),
    ("sample.took_ns", "*", "a measured time, within its bounds"),
    ("sample.host.*", "*", "measured; 0 stands for what could not be read"),
    ("end.harness_cpu_ns", "*", "measured, and only the log has it"),
    ("end.harness_rss_max_kib", "*", "measured, and only the log has it"),
    ("end.ended_utc", "null", "for people; the run's clock counts"),
    ("t_ns", "*", "between the times of the records beside it"),
    ("record.clock", "*", "for people; the run's clock counts"),
    ("record.sample", "removed", "the first or the last sweep: the coverage of sweeps counts"),
    ("record.latency*", "removed", "of the warm-up, which is not judged"),
];

fn records() -> Vec<Record> {
    // Its 120 rounds are too few for a p99.
    let log = rewritten(GENUINE, "coordination.time p99", "coordination.time p95");
    Reader::new(log.as_slice()).map(Result::unwrap).collect()
}

fn passes(records: &[Record]) -> bool {
    let log = log_of(records.iter().map(|r| (r.t_ns, r.event.clone())).collect());
    match reports::judge_log(log.as_slice()) {
        Ok((judgement, _)) => judgement.verdict <= Verdict::Conditional,
        Err(_) => false,
    }
}

/// What was changed, how, and what it became.
type Change = (String, &'static str, Value);

/// Every change of one leaf or list below `value`; `whole` makes the event of it.
fn changes(path: &str, value: &Value) -> Vec<Change> {
    let mut out: Vec<Change> = Vec::new();
    let mut add = |how, changed: Value| {
        if changed != *value {
            out.push((path.to_owned(), how, changed));
        }
    };
    match value {
        Value::Null => {}
        Value::Bool(set) => add("flipped", Value::from(!set)),
        Value::Number(number) => {
            add("null", Value::Null);
            if let Some(n) = number.as_u64() {
                add("zero", 0.into());
                add("less", n.saturating_sub(1).into());
                add("more", n.saturating_add(1).into());
                add("huge", n.saturating_mul(1_000).saturating_add(3_600_000_000_000).into());
                add("much", n.saturating_mul(2).saturating_add(100_000).into());
            } else {
                add("zero", 0.0.into());
                add("negative", (-1.0).into());
            }
        }
        Value::String(text) => {
            add("null", Value::Null);
            add("empty", "".into());
            add("longer", format!("{text}x").into());
            for word in words(path) {
                add("another", (*word).into());
            }
        }
        Value::Array(items) => {
            add("none", Value::Array(Vec::new()));
            if let Some((first, rest)) = items.split_first() {
                add("one less", rest.into());
                add("one twice", [std::slice::from_ref(first), items.as_slice()].concat().into());
            }
            for (at, item) in items.iter().enumerate() {
                for (path, how, changed) in changes(path, item) {
                    let mut items = items.clone();
                    items[at] = changed;
                    out.push((path, how, items.into()));
                }
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter().filter(|(key, _)| *key != "ev") {
                for (path, how, changed) in changes(&format!("{path}.{key}"), field) {
                    let mut fields = fields.clone();
                    fields.insert(key.clone(), changed);
                    out.push((path, how, fields.into()));
                }
            }
        }
    }
    out
}

/// What else a word of a closed list may be.
fn words(path: &str) -> &'static [&'static str] {
    match path.rsplit('.').next().unwrap_or_default() {
        "phase" => &["launch", "warm-up", "load", "drain", "verify"],
        "role" => &["harness", "supervisor", "coordinator", "worker"],
        "tag" => &["coordination", "task", "task-from-send"],
        "topology" => &["flat", "hybrid"],
        "load" => &["open", "closed"],
        "severity" => &["info", "minor", "critical"],
        "reason" => &["interrupted", "aborted", "fleet-lost", "launch-failed", "recording-failed"],
        _ => &[],
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
const TO: [(&str, Bend); 4] =
    [("zero", |_| 0), ("less", |n| n.saturating_sub(1)), ("more", |n| n + 1), ("much", |n| n * 2 + 100_000)];

fn kind(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap();
    let phase =
        if matches!(event, Event::Round(_)) { json["phase"].as_str().unwrap_or_default() } else { "" };
    format!("{}{phase}{}", json["ev"].as_str().unwrap(), json["tag"].as_str().unwrap_or_default())
}

/// The first, the middle one and the last of each kind of record; all phases.
fn chosen(records: &[Record]) -> BTreeSet<usize> {
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        kinds.entry(kind(&record.event)).or_default().push(at);
    }
    kinds
        .values()
        .flat_map(|all| match all[0] {
            first if matches!(records[first].event, Event::Phase(_)) => all.clone(),
            first => vec![first, all[all.len() / 2], all[all.len() - 1]],
        })
        .collect()
}

/// Every change of one record, with what it was.
fn mutants(record: &Record) -> Vec<(String, &'static str, Record)> {
    let json = serde_json::to_value(&record.event).unwrap();
    let name = json["ev"].as_str().unwrap().to_owned();
    let mut out = Vec::new();
    for (path, how, changed) in changes(&name, &json) {
        // What is no event any more is refused by any reader.
        let Ok(mut event) = serde_json::from_value::<Event>(changed) else { continue };
        if let (Event::Sample(new), Event::Sample(old)) = (&mut event, &record.event) {
            new.agents.clone_from(&old.agents);
        }
        out.push((path, how, Record { event, ..record.clone() }));
    }
    for (path, how, t_ns) in changes("t_ns", &record.t_ns.into()) {
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
fn allowed(path: &str, how: &str) -> Option<usize> {
    HARMLESS.iter().position(|(pattern, change, _)| {
        let fits = match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == *pattern,
        };
        fits && (*change == "*" || *change == how)
    })
}

#[test]
fn a_genuine_log_passes() {
    let log = log_of(records().into_iter().map(|r| (r.t_ns, r.event)).collect());
    let (judgement, _) = reports::judge_log(log.as_slice()).unwrap();
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
}

/// Figures that a forger sets everywhere alike, so that no record differs from those beside it.
type Forgery = (&'static str, fn(&mut Record));
const FORGERIES: &[Forgery] = &[
    ("as many late answers as tasks, and none failed", |record| {
        if let Event::Round(round) = &mut record.event {
            round.late = round.tasks;
        }
    }),
    ("the same in the ledger", |record| match &mut record.event {
        Event::Round(round) => round.late = round.tasks,
        Event::Ledger(ledger) => {
            ledger.client.late = 840;
            ledger.coordinators.iter_mut().for_each(|row| row.client.late = 420);
        }
        _ => {}
    }),
    ("second answers in the warm-up, and none in the ledger", |record| {
        if let Event::Round(round) = &mut record.event {
            round.duplicates = u32::from(round.round < 20);
        }
    }),
    ("second answers in the ledger, and none in the rounds", |record| {
        if let Event::Ledger(ledger) = &mut record.event {
            ledger.client.duplicates = 2;
            ledger.coordinators.iter_mut().for_each(|row| row.client.duplicates = 1);
        }
    }),
    ("exits that were seen long before the last sweep", |record| {
        if let Event::AgentExit(exit) = &mut record.event {
            exit.seen_ns = 60_000_000;
        }
    }),
    ("an end a year later", |record| {
        if let Event::End(end) = &mut record.event {
            (record.t_ns, end.ended_utc) = (record.t_ns + 31_536_000_000_000_000, None);
        }
    }),
    ("an end in 2001", |record| {
        if let Event::End(end) = &mut record.event {
            end.ended_utc = Some("2001-01-01T00:00:00Z".to_owned());
        }
    }),
    ("a start in 2001", |record| {
        if let Event::Header(header) = &mut record.event {
            "2001-01-01T00:00:00Z".clone_into(&mut header.started_utc);
        }
    }),
    ("a median of 1 ns in each round", |record| {
        if let Event::Round(round) = &mut record.event {
            round.task_p50_ns = Some(1);
        }
    }),
    ("tasks that took less than the processor time they use", |record| {
        if let Event::Header(header) = &mut record.event {
            header.plan.cpu_per_task_ns = Some(500_000_000);
        }
    }),
    ("tasks that took less than they have to", |record| {
        if let Event::Header(header) = &mut record.event {
            header.plan.task_least_ns = Some(500_000_000);
        }
    }),
    ("intervals without length", |record| {
        if let Event::Latency(interval) = &mut record.event {
            interval.length_ns = 0;
        }
    }),
    ("intervals that overlap", |record| {
        if let Event::Latency(interval) = &mut record.event {
            interval.start_ns = 0;
        }
    }),
    ("11 days of CPU time of the harness", |record| {
        if let Event::End(end) = &mut record.event {
            end.harness_cpu_ns = 950_400_000_000_000;
        }
    }),
    ("11 days of CPU time of a worker", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.agents[4].cpu_us = 950_400_000_000;
        }
    }),
    ("CPU time that grows faster than time passes", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.agents[4].cpu_us += sample.sweep * 10_000_000;
        }
    }),
    ("a worker with more memory than the host", |record| {
        if let Event::Sample(sample) = &mut record.event {
            (sample.agents[4].rss_kib, sample.agents[4].vsz_kib) = (1 << 50, 1 << 50);
        }
    }),
    ("more memory available than there is", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.host.mem_available_kib = 1 << 50;
        }
    }),
    ("no shared memory", |record| {
        if let Event::Sample(sample) = &mut record.event {
            (sample.host.fleet_shm_bytes, sample.host.fleet_shm_files) = (0, 0);
        }
    }),
    ("processes that start in 300,000 years", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents.iter_mut().for_each(|agent| agent.start_ticks = 1_000_000_000_000_000);
        }
    }),
    ("processes that started with their host", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents.iter_mut().for_each(|agent| agent.start_ticks = 1);
        }
    }),
    ("a worker that is older than its supervisor", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents[4].start_ticks = 2_000;
        }
    }),
    ("a worker that began after the end", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents[4].start_ticks += 1_000_000;
        }
    }),
    ("a rehearsal of a run at its own pace", |record| {
        if let Event::Header(header) = &mut record.event {
            header.rehearsal = Some(1.0);
        }
    }),
    ("a harness with less memory at most than in each sweep", |record| {
        if let Event::End(end) = &mut record.event {
            end.harness_rss_max_kib = 1_000;
        }
    }),
];

#[test]
fn no_figure_that_another_one_bounds_passes_beyond_it() {
    let genuine = records();
    for (what, forge) in FORGERIES {
        let mut records = genuine.clone();
        records.iter_mut().for_each(forge);
        assert!(records != genuine, "{what}: nothing is forged");
        assert!(!passes(&records), "{what}");
    }
}

#[test]
fn a_clock_that_is_read_twice_at_once_does_not_pass() {
    let mut records = records();
    let at = records.iter().position(|record| matches!(record.event, Event::Clock(_))).unwrap();
    records.insert(at, records[at].clone());
    assert!(!passes(&records));
}

#[test]
fn no_single_change_of_a_genuine_log_passes_unless_it_is_harmless() {
    let genuine = records();
    let (mut missed, mut used, mut tried) = (BTreeMap::new(), BTreeSet::new(), 0);
    let mut judge = |path: &str, how: &'static str, records: &[Record]| {
        tried += 1;
        if passes(records) {
            match allowed(path, how) {
                Some(entry) => drop(used.insert(entry)),
                None => *missed.entry((path.to_owned(), how)).or_insert(0) += 1,
            }
        }
    };
    for at in chosen(&genuine) {
        for (path, how, record) in mutants(&genuine[at]) {
            let mut records = genuine.clone();
            records[at] = record;
            judge(&path, how, &records);
        }
    }
    for (at, record) in genuine.iter().enumerate() {
        let path = format!("record.{}", kind(&record.event));
        let mut without = genuine.clone();
        without.remove(at);
        judge(&path, "removed", &without);
        let mut twice = genuine.clone();
        twice.insert(at, record.clone());
        judge(&path, "repeated", &twice);
    }
    assert!(tried > 1_500, "{tried}");
    let missed: Vec<String> = missed.iter().map(|((path, how), n)| format!("{path} {how} ({n})")).collect();
    assert!(missed.is_empty(), "{} changes pass:\n{}", missed.len(), missed.join("\n"));
    for (entry, harmless) in HARMLESS.iter().enumerate() {
        assert!(used.contains(&entry), "no change needs this entry: {harmless:?}");
    }
}
