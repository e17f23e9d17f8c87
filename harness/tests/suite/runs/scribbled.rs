//! Words, pages and runs of the fleet's shared memory that another program changes under load.
//!
//! Whatever they say: the run ends with a verdict, no process panics or takes memory by the word, no death is listed of a
//! process that `/proc` shows, and nothing is left. No run passes in which a word was changed that says who is alive.
//! A few by default. `SCRIBBLE_ALL=1` takes every word of the layout, `SCRIBBLE_SEED` chooses, and `SCRIBBLE_ONLY` is a part
//! of the name of those that are wanted.

use super::{Bench, verdict};
use coordinator::client::Identity;
use coordinator::client::fields::{Field, of_control, of_region};
use coordinator::config::FleetShape;
use reports::runlog::codec;
use reports::runlog::event::{AgentInfo, Event};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SCENARIO: &str = r#"
schema = 1
name = "small"
asks = "Does a small fleet answer?"
[fleet]
topology = "hybrid"
coordinators = 1
workers = 2
[workload]
kind = "echo"
payload = "64B"
[load]
model = "open"
every = "50ms"
duration = "1500ms"
task_timeout = "1s"
[sampling]
every = "100ms"
[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"
"#;

/// In KiB, as in the test of the fleets.
const ADDRESSES: u32 = 8 << 20;
const PAGE: usize = 4096;
/// Words of each file that are taken beside the known ones.
const SAMPLE: usize = 5;

/// Bytes of a file of the fleet, and what another program writes there.
struct Case {
    name: String,
    file: &'static str,
    at: u64,
    what: What,
    /// The verdict is this one, or a PASS would be a false one, or it may be any.
    verdict: Expected,
}

enum What {
    Word(u64, usize),
    Zeros(usize),
    /// At random from this seed.
    Noise(usize, u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Fail,
    NoPass,
    /// If a word is changed by which readers find out who is alive.
    NoPassIfNamed,
}

impl What {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Word(value, len) => value.to_ne_bytes()[..*len].to_vec(),
            Self::Zeros(len) => vec![0; *len],
            Self::Noise(len, seed) => {
                let mut random = Random(*seed | 1);
                (0..len / 8).flat_map(|_| random.next().to_ne_bytes()).collect()
            }
        }
    }
}

/// xorshift: a seed is a test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Payloads and depths are the harness's choice: what lies behind them is found by the coordinator's own test.
fn fields(file: &str) -> Vec<Field> {
    let shape = FleetShape::new(1, 2, 64, 4).unwrap();
    if file == "control" {
        return of_control(&shape);
    }
    let mut fields = of_region(&shape);
    let last = fields.iter().find(|field| field.name == "workers[1].orders.suspected_ns").unwrap().at;
    fields.retain(|field| field.at <= last || field.name.starts_with("workers"));
    fields
}

/// Its only writer looks after it, puts it back, and names it.
fn is_named(field: &Field) -> bool {
    let part = field.name.split_once(".process.").map_or("", |(_, part)| part);
    matches!(
        part,
        "pid"
            | "start_ticks"
            | "incarnation"
            | "deaths"
            | "wait_status"
            | "dead_pid"
            | "dead_start"
            | "dead_status"
            | "dead_seen_ns"
            | "attached_ns"
            | "recovered_ns"
    ) || field.name.starts_with("stamp.")
        || [
            ".own.closed",
            ".own.left_until",
            ".own.deaths",
            ".orders.suspected_ns",
            "state.supervisors",
            "state.marker",
            "state.beat",
            "state.deaths",
            "state.client_pid",
            "state.client_start",
            "state.client_moves",
        ]
        .iter()
        .any(|end| field.name.ends_with(end))
}

/// The deaths that the log lists of processes that `/proc` shows at that moment.
fn invented(log: &Path, agents: &[AgentInfo], seen: &mut usize) -> Vec<String> {
    let Ok(reader) = codec::open(log) else { return Vec::new() };
    let records: Vec<_> = reader.map_while(Result::ok).collect();
    let new = records.get(*seen..).unwrap_or_default();
    *seen = records.len();
    let lives = |pid: u32| {
        let agent = agents.iter().find(|agent| agent.pid == pid);
        agent.is_some_and(|it| Identity { pid: it.pid, start_ticks: it.start_ticks }.is_alive())
    };
    let exits = new.iter().filter_map(|record| match &record.event {
        Event::AgentExit(exit) if !exit.expected && lives(exit.pid) => Some(exit),
        _ => None,
    });
    exits.map(|exit| format!("{} (pid {}) {}", exit.name, exit.pid, exit.how)).collect()
}

/// Writes the bytes, and returns whether that changed a word that is looked after.
fn scribble(fleet: &Path, case: &Case) -> bool {
    let memory = std::fs::File::options().read(true).write(true).open(fleet.join(case.file)).unwrap();
    let mut bytes = case.what.bytes();
    let room = memory.metadata().unwrap().len() - case.at;
    bytes.truncate(usize::try_from(room).unwrap());
    let mut before = vec![0; bytes.len()];
    memory.read_exact_at(&mut before, case.at).unwrap();
    memory.write_all_at(&bytes, case.at).unwrap();
    let end = case.at + bytes.len() as u64;
    let is_changed = |field: &Field| {
        let (from, to) = (field.at.max(case.at), (field.at + field.bytes).min(end));
        let part = (from.saturating_sub(case.at)) as usize..(to.saturating_sub(case.at)) as usize;
        from < to && before[part.clone()] != bytes[part]
    };
    fields(case.file).iter().any(|field| is_named(field) && is_changed(field))
}

/// The end of such a run, and what is wrong with it.
fn hold(case: &Case) -> Result<(), String> {
    let bench = Bench::new(SCENARIO);
    let mut run = bench.start_within(ADDRESSES);
    let agents = run.agents_under_load();
    let fleet = std::fs::read_dir(bench.shm.path()).unwrap().next().unwrap().unwrap().path();
    let named = scribble(&fleet, case);
    let (log, mut seen) = (bench.latest().join("run.log"), 0);
    while run.child.try_wait().unwrap().is_none() {
        let invented = invented(&log, &agents, &mut seen);
        if !invented.is_empty() {
            let _ = run.end();
            return Err(format!("invented deaths: {invented:?}"));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let done = run.end();
    let mut said = [done.stdout, done.stderr].concat();
    for entry in std::fs::read_dir(bench.latest()).unwrap().flatten() {
        let is_text = entry.path().extension().is_some_and(|kind| kind == "stderr");
        if is_text {
            said += &std::fs::read_to_string(entry.path()).unwrap();
        }
    }
    for word in ["this is a bug", "panicked", "memory allocation"] {
        if said.contains(word) {
            return Err(format!("`{word}` in: {said}"));
        }
    }
    let no_pass = case.verdict != Expected::NoPassIfNamed || named;
    match done.status.code() {
        Some(0) if no_pass => return Err("the verdict is PASS".to_owned()),
        Some(0 | 10 | 11 | 12) => {}
        code => return Err(format!("the harness ended with {code:?}: {said}")),
    }
    if case.verdict == Expected::Fail && verdict(&bench.latest())["verdict"] != "FAIL" {
        return Err(format!("the verdict is {}", verdict(&bench.latest())["verdict"]));
    }
    bench.assert_nothing_left(&agents);
    Ok(())
}

fn word(file: &'static str, field: &Field, value: u64, verdict: Expected) -> Case {
    let name = format!("{file} {} := {value:#x}", field.name);
    Case { name, file, at: field.at, what: What::Word(value, field.bytes as usize), verdict }
}

fn known() -> Vec<Case> {
    let field = |file, name: &str| fields(file).into_iter().find(|field| field.name == name).unwrap();
    let max = u64::from(u32::MAX);
    let known = [
        ("c0", "workers[0].process.deaths", max / 2, Expected::NoPass),
        ("c0", "workers[1].process.deaths", max, Expected::NoPass),
        ("c0", "workers[0].process.pid", 1, Expected::NoPass),
        ("c0", "workers[0].process.life", 3, Expected::NoPass),
        ("c0", "workers[0].own.executed", u64::MAX, Expected::Fail),
        ("c0", "workers[1].own.executed", u64::MAX / 2, Expected::Fail),
        ("c0", "counters.answered", 0, Expected::NoPassIfNamed),
        ("c0", "workers[0].process.recovered_ns", u64::MAX, Expected::NoPass),
        ("c0", "workers[1].orders.suspected_ns", 1, Expected::NoPass),
        ("control", "coordinators[0].process.dead_seen_ns", u64::MAX, Expected::NoPass),
        ("control", "coordinators[0].own.left_until", u64::MAX, Expected::NoPass),
        ("control", "coordinators[0].own.closed", 1, Expected::NoPass),
        ("control", "stamp.owner_pid", 0, Expected::NoPass),
        ("control", "stamp.owner_start", 1, Expected::NoPass),
        ("control", "coordinators[0].process.pid", max, Expected::NoPass),
        ("control", "coordinators[0].process.life", 3, Expected::NoPass),
        ("control", "coordinators[0].own.deaths", 1, Expected::NoPass),
        ("control", "state.client_pid", 1, Expected::NoPass),
        ("control", "state.client_start", 1, Expected::NoPass),
        ("control", "state.client_moves", 2, Expected::NoPass),
        ("control", "state.beat", 0, Expected::NoPass),
        ("control", "state.deaths", 1, Expected::NoPass),
    ];
    known.map(|(file, name, value, verdict)| word(file, &field(file, name), value, verdict)).into()
}

/// Whole pages and shorter runs of bytes, the first of each file among them.
fn runs(random: &mut Random) -> Vec<Case> {
    let mut all = Vec::new();
    for file in ["control", "c0"] {
        let end = fields(file).iter().map(|field| field.at + field.bytes).max().unwrap();
        let pages = end.div_ceil(PAGE as u64);
        let places = [0, random.next() % pages, random.next() % pages].map(|page| page * PAGE as u64);
        for (number, at) in places.into_iter().enumerate() {
            let what = if number == 1 { What::Noise(PAGE, random.next()) } else { What::Zeros(PAGE) };
            let kind = if number == 1 { "noise" } else { "zeros" };
            let name = format!("{file} run @{at}+{PAGE} := {kind}");
            all.push(Case { name, file, at, what, verdict: Expected::NoPassIfNamed });
        }
        let at = random.next() % (end / 512) * 512;
        let (name, what) = (format!("{file} run @{at}+512 := noise"), What::Noise(512, random.next()));
        all.push(Case { name, file, at, what, verdict: Expected::NoPassIfNamed });
    }
    all
}

fn cases() -> Vec<Case> {
    let only = std::env::var("SCRIBBLE_ONLY").unwrap_or_default();
    let seed = std::env::var("SCRIBBLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15);
    let whole = std::env::var_os("SCRIBBLE_ALL").is_some() || !only.is_empty();
    let mut all = known();
    all.extend(runs(&mut random));
    for file in ["control", "c0"] {
        let mut fields = fields(file);
        while !whole && fields.len() > SAMPLE {
            fields.swap_remove((random.next() % fields.len() as u64) as usize);
        }
        for field in fields {
            let max = if field.bytes == 4 { u64::from(u32::MAX) } else { u64::MAX };
            let values = [0, 1, max / 2, max];
            let few = [values[(random.next() % 4) as usize]];
            let values = if whole { &values[..] } else { &few[..] };
            all.extend(values.iter().map(|value| word(file, &field, *value, Expected::NoPassIfNamed)));
        }
    }
    all.retain(|case| case.name.contains(&only));
    all
}

#[test]
fn whatever_one_word_of_a_fleet_says_a_run_ends_with_a_verdict_and_never_passes_over_nonsense() {
    let (cases, next, wrong) = (cases(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let held = catch_unwind(AssertUnwindSafe(|| hold(case)));
                    let why = match held {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(panic) => format!("this process panicked: {:?}", panic.downcast_ref::<String>()),
                    };
                    println!("{}: {why}", case.name);
                    wrong.lock().unwrap().push(format!("{}: {why}", case.name));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} words held, {} did not", cases.len() - wrong.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
