//! Each word of the layout in turn, set to what tempts a reader, in the memory of a fleet at work; and whole pages and
//! runs of bytes.
//!
//! The words are named by `bus::fields`. Whatever one of them says: each task has one outcome, those who look get a
//! status or an error, no process panics or takes memory by the word, and the fleet ends when it is told to.
//!
//! Those by which a reader finds out who is alive are put back by their writer or named by it, and no client takes a
//! living process for dead meanwhile.
//!
//! A few of them by default. `SCRIBBLE_ALL=1` takes every one, `SCRIBBLE_SEED` chooses the words without a name, and
//! `SCRIBBLE_ONLY` is a part of the name of those that are wanted: `cargo xtask scribble`.

use crate::support::up::{PROGRAM, is_empty, shm};
use coordinator::bus::directory::{control_path, region_path};
use coordinator::bus::fields::{Field, of_control, of_region};
use coordinator::bus::layout::{ControlLayout, RegionLayout};
use coordinator::client::{Client, Event, Failure, Identity, SendError, Task, WorkerRef, status};
use coordinator::config::FleetShape;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const WORKERS: u32 = 2;
const PAYLOAD: u32 = 64;
const DEPTH: u32 = 2;
const DEADLINE: Duration = Duration::from_millis(400);
/// What may hang carries a watchdog. Far above what the deadlines and the bounds of a stop add up to.
const WATCHDOG: Duration = Duration::from_secs(60);
/// KiB of addresses that a process may have: an allocation by a scribbled count is refused, and ends the process.
const ADDRESSES: u32 = 4 << 20;
/// Words without a name.
const UNNAMED: u64 = 40;
/// What the kernel hands out, the length of a run of noise, and how many of those there are in each file.
const PAGE: u64 = 4096;
const RUN: u64 = 512;
const RUNS: u64 = 40;
/// Every such case is a part of the selection that always runs.
const EVERY: usize = 41;

/// Words that have cost a panic, a hang or a false word before.
const KNOWN: &[&str] = &[
    "region table[0].word",
    "region table[3].word",
    "region table[0].task_len",
    "region table[0].task[6]",
    "region workers[0].process.deaths",
    "region workers[1].process.wait_status",
    "region counters.revived",
    "control orders.pause ",
    "control stamp.owner_pid",
    "control stamp.owner_start",
    "control state.client_pid",
    "control coordinators[0].process.pid",
    "control coordinators[0].process.life",
    "region workers[0].process.pid",
];

#[derive(Debug, Clone)]
struct Case {
    /// The file and the field, then the value.
    name: String,
    is_control: bool,
    field: Field,
    value: Value,
    when: When,
}

/// What the fleet does when the word changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Its workers have tasks in hand, and more wait.
    AtWork,
    Idle,
    /// As at work, and the coordinator is killed: its successor trusts no word.
    TakenOver,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Is(u64),
    /// As the word behind it.
    Neighbour,
    /// All of it, however long.
    Zeros,
    /// The same, at random from this seed.
    Noise(u64),
}

fn cases(shape: &FleetShape, seed: u64) -> Vec<Case> {
    let mut all = Vec::new();
    let files = [
        ("control", of_control(shape), ControlLayout::new(shape).bytes()),
        ("region", of_region(shape), RegionLayout::new(shape).bytes()),
    ];
    let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15);
    for (file, mut fields, bytes) in files {
        runs(&mut all, file, bytes, &mut random);
        for _ in 0..UNNAMED / 2 {
            let at = random.next() % (bytes / 8 - 1) * 8;
            fields.push(Field { name: format!("@{at}"), at, bytes: 8 });
        }
        for field in fields {
            let max = if field.bytes == 4 { u64::from(u32::MAX) } else { u64::MAX };
            let values = [0, 1, 2, 3, max / 2, max].map(Value::Is).into_iter().chain([Value::Neighbour]);
            for (value, when) in
                values.flat_map(|value| [When::AtWork, When::Idle, When::TakenOver].map(|when| (value, when)))
            {
                all.push(Case {
                    name: format!("{file} {} := {value:?}, {when:?}", field.name),
                    is_control: file == "control",
                    field: field.clone(),
                    value,
                    when,
                });
            }
        }
    }
    all
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

/// Not words but long runs of bytes: each page in turn, the whole file, and noise here and there.
fn runs(all: &mut Vec<Case>, file: &str, bytes: u64, random: &mut Random) {
    let whole = (0, bytes, Value::Zeros);
    let pages = (0..bytes.div_ceil(PAGE)).map(|page| (page * PAGE, PAGE, Value::Zeros));
    let noise = (0..RUNS).map(|_| (random.next() % (bytes / RUN) * RUN, RUN, Value::Noise(random.next())));
    for (at, len, value) in pages.chain([whole]).chain(noise) {
        for when in [When::AtWork, When::Idle, When::TakenOver] {
            let bytes = len.min(bytes - at);
            all.push(Case {
                name: format!("{file} run @{at}+{bytes} := {value:?}, {when:?}"),
                is_control: file == "control",
                field: Field { name: String::new(), at, bytes },
                value,
                when,
            });
        }
    }
}

/// A fleet whose processes have little room, and what they say.
struct Fleet {
    child: Child,
    shm: tempfile::TempDir,
    errors: tempfile::NamedTempFile,
}

impl Fleet {
    fn start() -> Self {
        let shm = shm();
        let errors = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -v {ADDRESSES}; exec \"$0\" \"$@\""), PROGRAM])
            .args(["up", "--name", "test", "--coordinators", "1", "--workers", &WORKERS.to_string()])
            .args([
                "--payload-max",
                &PAYLOAD.to_string(),
                "--depth",
                &DEPTH.to_string(),
                "--restarts-max",
                "1000",
                "--shm-dir",
            ])
            .arg(shm.path())
            .env("TMPDIR", shm.path())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors.reopen().unwrap())
            .spawn()
            .unwrap();
        // Not by the status: each look maps the fleet's files, and there are thousands of fleets.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line}");
        Self { child, shm, errors }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.shm.path().join("coord-test")
    }

    fn words(&self) -> String {
        std::fs::read_to_string(self.errors.path()).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scribble(path: &Path, field: &Field, value: Value) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut word = vec![0; field.bytes.max(8) as usize];
    match value {
        Value::Is(value) => word = value.to_ne_bytes().to_vec(),
        Value::Zeros => {}
        Value::Noise(seed) => {
            let mut random = Random(seed | 1);
            word.chunks_mut(8).for_each(|word| word.copy_from_slice(&random.next().to_ne_bytes()));
        }
        Value::Neighbour => {
            let bytes = field.bytes as usize;
            file.read_exact_at(&mut word[..bytes], field.at + field.bytes).unwrap();
        }
    }
    file.write_all_at(&word[..field.bytes as usize], field.at).unwrap();
}

/// What became of the tasks of a case.
#[derive(Default)]
struct Counts {
    sent: u64,
    outcomes: u64,
    /// Why a task was refused or failed because a process was taken for dead.
    believed: Vec<String>,
}

impl Counts {
    /// Sends to each worker as far as it is taken.
    fn send(&mut self, client: &mut Client, task: Task<'_>) {
        for worker in 0..WORKERS {
            match client.send(WorkerRef { coordinator: 0, worker }, task, DEADLINE, 0) {
                Ok(_) => self.sent += 1,
                Err(SendError::DeadRecipient) => self.believed.push("refused: dead recipient".to_owned()),
                Err(_) => {}
            }
        }
        client.flush();
    }

    fn settle(&mut self, client: &mut Client) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            client.poll(|event| {
                let Event::Outcome(outcome) = event else { return };
                self.outcomes += 1;
                let dead = |failure: &Failure| {
                    matches!(failure, Failure::CoordinatorDied(..) | Failure::SupervisorDied)
                        || matches!(failure, Failure::WorkerDied(..) | Failure::WorkerDead(..))
                };
                self.believed.extend(outcome.result.err().filter(dead).map(|failure| failure.to_string()));
            });
            if client.in_flight() == 0 {
                return Ok(());
            }
            if begun.elapsed() > WATCHDOG {
                return Err(format!("{} tasks have no outcome", client.in_flight()));
            }
            client.wait(Duration::from_millis(20));
        }
    }
}

/// By this word a reader finds out who is alive, and its writer looks after it.
fn is_of_an_identity(name: &str) -> bool {
    let parts = ["pid", "start_ticks", "incarnation", "deaths", "wait_status", "life"];
    let of_a_place = name.split_once(".process.").is_some_and(|(_, part)| {
        parts.contains(&part) || matches!(part, "dead_pid" | "dead_start" | "dead_status")
    });
    of_a_place
        || name.starts_with("stamp.")
        || matches!(name, "state.client_pid" | "state.client_start" | "state.supervisors")
}

fn word_at(path: &Path, field: &Field) -> Vec<u8> {
    let mut word = vec![0; field.bytes as usize];
    File::open(path).unwrap().read_exact_at(&mut word, field.at).unwrap();
    word
}

/// It says again what it said before.
fn is_put_back(client: &mut Client, path: &Path, field: &Field, before: &[u8]) -> Result<(), String> {
    let begun = Instant::now();
    while word_at(path, field) != before {
        if begun.elapsed() > WATCHDOG {
            return Err(format!("it is {:?} and was {before:?}", word_at(path, field)));
        }
        client.wait(Duration::from_millis(20));
        client.poll(|_| ());
    }
    Ok(())
}

/// What is wrong with the answer to this case.
fn hold(case: &Case) -> Result<(), String> {
    let fleet = Fleet::start();
    let dir = fleet.dir();
    let everyone: Vec<_> =
        status::of(&dir).unwrap().processes().map(status::ProcessStatus::identity).collect();
    let mut client = Client::attach(&dir).unwrap();
    let mut counts = Counts::default();
    counts.send(&mut client, Task::Echo(b"before"));
    counts.settle(&mut client)?;
    if case.when != When::Idle {
        // In hand, and waiting behind that.
        counts.send(&mut client, Task::Sleep(Duration::from_millis(20)));
        counts.send(&mut client, Task::Echo(b"meanwhile"));
    }
    let path = if case.is_control { control_path(&dir) } else { region_path(&dir, 0) };
    let before = word_at(&path, &case.field);
    scribble(&path, &case.field, case.value);
    if case.when == When::TakenOver {
        // The second of them, behind the supervisor; the kernel has it whatever the words say.
        let pid = nix::unistd::Pid::from_raw(everyone[1].pid as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    let _ = serde_json::to_string(&client.status()).unwrap();
    // What is damaged at the attaching is refused.
    if let Ok(seen) = status::of(&dir) {
        serde_json::to_string(&seen).unwrap();
    }
    for _ in 0..3 {
        counts.send(&mut client, Task::Echo(b"after"));
        counts.settle(&mut client)?;
    }
    if counts.outcomes != counts.sent {
        return Err(format!("{} outcomes of {} tasks", counts.outcomes, counts.sent));
    }
    if case.when != When::TakenOver && is_of_an_identity(&case.field.name) {
        is_put_back(&mut client, &path, &case.field, &before)?;
        if !counts.believed.is_empty() {
            return Err(format!("a death was believed: {:?}", counts.believed));
        }
    }
    let ledger = client.ledger();
    if ledger.accepted != ledger.answered + ledger.failed {
        return Err(format!("the client's own ledger is out of balance: {ledger:?}"));
    }
    drop(client);
    ends(fleet, &everyone)
}

/// It ends when it is told to, and leaves nothing.
fn ends(mut fleet: Fleet, everyone: &[Identity]) -> Result<(), String> {
    let pid = nix::unistd::Pid::from_raw(fleet.child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let begun = Instant::now();
    let ended = loop {
        match fleet.child.try_wait().unwrap() {
            Some(ended) => break ended,
            None if begun.elapsed() > WATCHDOG => return Err("the fleet does not end".to_owned()),
            None => std::thread::park_timeout(Duration::from_millis(2)),
        }
    };
    let words = fleet.words();
    if words.contains("panicked") || words.contains("memory allocation") {
        return Err(format!("a process panicked: {words}"));
    }
    if !matches!(ended.code(), Some(0 | 10 | 74)) {
        return Err(format!("the supervisor ended with {ended}: {words}"));
    }
    if let Some(left) = everyone.iter().find(|identity| !identity.is_gone()) {
        return Err(format!("{left:?} is left"));
    }
    if is_empty(fleet.shm.path()) { Ok(()) } else { Err("files are left".to_owned()) }
}

#[test]
fn whatever_one_word_of_a_fleet_says_every_task_has_an_outcome_and_the_fleet_ends() {
    let shape = FleetShape::new(1, WORKERS, PAYLOAD, DEPTH).unwrap();
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let only = std::env::var("SCRIBBLE_ONLY").unwrap_or_default();
    let all = number("SCRIBBLE_ALL").is_some_and(|value| value > 0) || !only.is_empty();
    let mut wanted = cases(&shape, number("SCRIBBLE_SEED").unwrap_or(1));
    let mut at = 0;
    wanted.retain(|case| {
        at += 1;
        case.name.contains(&only)
            && (all || at % EVERY == 0 || KNOWN.iter().any(|known| case.name.starts_with(known)))
    });
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
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
    println!("{} words held, {} did not", wanted.len() - wrong.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
