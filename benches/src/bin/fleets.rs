//! What fleets cost, row by row of the requirements, each beside a reference in the same run:
//!
//!     cargo run --release -p benches --bin fleets -- docs/performance/fleets.md
//!
//! `--only ROW` measures one; `--beyond` looks for the largest fleet that this machine carries.
//! This program is also the coordinator (`fleets coordinator …`), so that it measures itself and no other build.
#![expect(clippy::print_stdout, reason = "a program for people who measure")]

use coordinator::client::launch::{Fleet, Program, launch};
use coordinator::client::status::FleetStatus;
use coordinator::client::{Address, Client, Event, Task, Terms, WorkerRef, now_ns};
use coordinator::config::{FleetShape, Policy, Span};
use coordinator::process::fork;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SELF: &str = "coordinator";
const LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);

/// A line of the table.
struct Row {
    id: &'static str,
    what: String,
    ours: String,
    beside: String,
    ratio: String,
    bar: &'static str,
}

fn row(id: &'static str, what: &str, ours: String, beside: String, ratio: String, bar: &'static str) -> Row {
    Row { id, what: what.to_owned(), ours, beside, ratio, bar }
}

struct Up {
    fleet: Fleet,
    client: Client,
    started: Duration,
    name: String,
    _room: tempfile::TempDir,
}

impl Up {
    fn start(coordinators: u32, workers: u32, depth: u32, policy: &Policy) -> Outcome<Self> {
        let room = tempfile::Builder::new().prefix("fleets-").tempdir()?;
        let shape = FleetShape::new(coordinators, workers, 64, depth)?;
        let name = format!("bench-{}-{}", std::process::id(), now_ns());
        let began = Instant::now();
        let errors = room.path().join("errors");
        let fleet =
            launch(&Program::own(&[SELF]), Path::new("/dev/shm"), &name, (&shape, policy), &errors, || {
                false
            })?;
        let started = began.elapsed();
        let client = Client::attach(fleet.dir())?;
        Ok(Self { fleet, client, started, name, _room: room })
    }

    /// A round: a task for anybody from each of `count`, all answered; when each was told and when it was done, ns.
    fn round(&mut self, count: u64, task: Task<'_>) -> Outcome<Vec<(u64, u64, u64)>> {
        for tag in 0..count {
            self.client.submit(Address::Any, task, &Terms::within(LONG), tag)?;
        }
        self.client.flush();
        self.take(count)
    }

    fn take(&mut self, count: u64) -> Outcome<Vec<(u64, u64, u64)>> {
        let (mut times, mut failed) = (Vec::new(), None);
        let end = Instant::now() + PATIENCE;
        while (times.len() as u64) < count {
            let events = self.client.poll(|event| {
                if let Event::Outcome(outcome) = event {
                    match outcome.result {
                        Ok(answer) => times.push((outcome.sent_ns, answer.finished_ns, outcome.received_ns)),
                        Err(why) => failed = Some(why),
                    }
                }
            });
            if let Some(why) = failed {
                return Err(why.into());
            }
            if events == 0 {
                self.client.wait(Duration::from_millis(10));
            }
            if Instant::now() > end {
                return Err("tasks are not answered".into());
            }
        }
        Ok(times)
    }

    fn status(&self) -> FleetStatus {
        self.client.status()
    }

    fn program(arguments: &[&str]) -> Outcome<Duration> {
        let began = Instant::now();
        let said = Command::new("/proc/self/exe").arg(SELF).args(arguments).output()?;
        let took = began.elapsed();
        if said.status.success() {
            Ok(took)
        } else {
            Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&said.stderr)).into())
        }
    }

    fn stop(mut self) -> Outcome<()> {
        match self.fleet.stop().how {
            Some(how) => Err(how.into()),
            None => Ok(()),
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) -> Outcome<Duration> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > PATIENCE {
            return Err(format!("waited in vain: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(began.elapsed())
}

fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn us(values: &mut [f64]) -> String {
    format!("p50 {:.0} µs, p99 {:.0} µs", at(values, 0.5), at(values, 0.99))
}

fn times(ours: Duration, beside: Duration) -> String {
    format!("{:.2}", ours.as_secs_f64() / beside.as_secs_f64())
}

/// As many processes as there are, forked one after the other, each gone at once; until the last is reaped.
fn bare_forks(count: u32) -> Outcome<Duration> {
    let began = Instant::now();
    let (mut pids, mut refused) = (Vec::new(), None);
    while refused.is_none() && pids.len() < count as usize {
        match fork::spawn("bare", None, || 0) {
            Ok(pid) => pids.push(pid),
            Err(errno) => refused = Some(errno),
        }
    }
    for pid in pids {
        waitpid(pid, None)?;
    }
    refused.map_or_else(|| Ok(began.elapsed()), |errno| Err(errno.into()))
}

/// Bytes of memory of these processes, shared ones divided among those who share them.
fn pss(pids: &[u32]) -> Outcome<u64> {
    let mut sum = 0;
    for pid in pids {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find(|line| line.starts_with("Pss:")).ok_or("no Pss")?;
        sum += line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? * 1024;
    }
    Ok(sum)
}

fn starts() -> Outcome<Vec<Row>> {
    let few = Up::start(15, 1, 1, &Policy::default())?;
    let (few_took, few_bare) = (few.started, bare_forks(31)?);
    few.stop()?;
    let all = Up::start(7, 100, 1, &Policy::default())?;
    let (all_took, all_bare) = (all.started, bare_forks(708)?);
    all.stop()?;
    Ok(vec![
        row(
            "T4",
            "15 coordinators up, one worker each",
            ms(few_took),
            format!("31 bare forks {}", ms(few_bare)),
            times(few_took, few_bare),
            "< 500 ms",
        ),
        row(
            "T5",
            "708 processes up, each at work",
            ms(all_took),
            format!("708 bare forks {}", ms(all_bare)),
            times(all_took, all_bare),
            "within 2",
        ),
    ])
}

fn scaling() -> Outcome<Vec<Row>> {
    let policy = Policy { coordinators: Span { min: 1, start: 1, by_load: false }, ..Policy::default() };
    let mut up = Up::start(4, 10, 4, &policy)?;
    up.round(20, Task::Sleep(Duration::from_millis(50)))?;
    for tag in 0..40 {
        up.client.submit(Address::Any, Task::Sleep(Duration::from_millis(200)), &Terms::within(LONG), tag)?;
    }
    up.client.flush();
    let more = Up::program(&["scale", &up.name, "--coordinators", "4"])?;
    up.take(40)?;
    let fewer = Up::program(&["scale", &up.name, "--coordinators", "1"])?;
    up.round(20, Task::Echo(b"still there"))?;
    let ledger = up.client.ledger();
    let lost = ledger.failed + ledger.in_flight + ledger.duplicates;
    up.stop()?;
    let by_load = Policy { workers: Span { min: 2, start: 2, by_load: true }, ..Policy::default() };
    let mut up = Up::start(1, 16, 8, &by_load)?;
    let live = |up: &Up| up.status().coordinators[0].live;
    let (mut sent, mut ended) = (0_u64, 0_u64);
    let mut most = 0;
    let mut turns = 0;
    let began = Instant::now();
    let grown = loop {
        while sent - ended < 32 {
            up.client.submit(
                Address::Any,
                Task::Sleep(Duration::from_millis(10)),
                &Terms::within(LONG),
                sent,
            )?;
            sent += 1;
        }
        up.client.flush();
        up.client.poll(|event| ended += u64::from(matches!(event, Event::Outcome(_))));
        let now = live(&up);
        turns += u32::from(now < most);
        most = most.max(now);
        if now == 16 {
            break began.elapsed();
        }
        if began.elapsed() > PATIENCE {
            return Err("the pool does not grow".into());
        }
        up.client.wait(Duration::from_millis(5));
    };
    up.take(sent - ended)?;
    let shrunk = until("the pool shrinks", || live(&up) == 2)?;
    up.stop()?;
    Ok(vec![
        row(
            "T6",
            "1 → 4 coordinators of 10 under load, by hand; and back",
            format!("{}; {}; {lost} lost or twice", ms(more), ms(fewer)),
            "the bar, 5 s".to_owned(),
            times(more, Duration::from_secs(5)),
            "< 5 s, nothing lost",
        ),
        row(
            "P2",
            "2 → 16 workers by load, and back when idle",
            format!("{}; {}; {turns} turns on the way", ms(grown), ms(shrunk)),
            "hold 0.2 s, cool-down 1 s, a quarter at a time".to_owned(),
            "—".to_owned(),
            "hysteresis",
        ),
    ])
}

fn balance() -> Outcome<Vec<Row>> {
    let mut up = Up::start(10, 10, 4, &Policy::default())?;
    let mut by = [0_f64; 10];
    let (mut sent, mut ended) = (0_u64, 0_u64);
    while ended < 20_000 {
        while sent < 20_000 && sent - ended < 200 {
            let time = Duration::from_micros(100 + sent % 11 * 200);
            up.client.submit(Address::Any, Task::Sleep(time), &Terms::within(LONG), sent)?;
            sent += 1;
        }
        up.client.flush();
        let events = up.client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                by[outcome.worker.coordinator as usize] += 1.0;
                ended += 1;
            }
        });
        if events == 0 {
            up.client.wait(Duration::from_millis(5));
        }
    }
    up.stop()?;
    let mean = by.iter().sum::<f64>() / 10.0;
    let deviation = (by.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 10.0).sqrt();
    let percent = deviation / mean * 100.0;
    Ok(vec![row(
        "T7",
        "20,000 uneven tasks for anybody over 10 coordinators",
        format!("coefficient of variation {percent:.2} %"),
        "even".to_owned(),
        "—".to_owned(),
        "< 5 %",
    )])
}

fn completion() -> Outcome<Vec<Row>> {
    let mut up = Up::start(10, 50, 1, &Policy::default())?;
    let (mut behind, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let times = up.round(500, Task::Echo(b"round"))?;
        let first = times.iter().map(|time| time.0).min().unwrap_or(0);
        let done = times.iter().map(|time| time.1).max().unwrap_or(0);
        let told = times.iter().map(|time| time.2).max().unwrap_or(0);
        behind.push(told.saturating_sub(done) as f64 / 1e3);
        whole.push(told.saturating_sub(first) as f64 / 1e3);
    }
    let ratio = format!("{:.2}", at(&mut behind, 0.5) / at(&mut whole, 0.5));
    let mut late = Vec::new();
    let timeout = Duration::from_millis(100);
    let terms = Terms { timeout: Some(timeout), attempts_max: Some(1), ..Terms::within(LONG) };
    for tag in 0..50 {
        let began = Instant::now();
        up.client.submit(Address::Any, Task::Sleep(LONG), &terms, tag)?;
        up.client.flush();
        let mut told = false;
        while !told {
            up.client.wait(Duration::from_millis(10));
            up.client.poll(|event| told |= matches!(event, Event::Outcome(o) if o.result.is_err()));
        }
        late.push(began.elapsed().saturating_sub(timeout).as_secs_f64() * 1e6);
    }
    up.stop()?;
    Ok(vec![
        row(
            "C5",
            "500 agents: the last answer made → all told",
            us(&mut behind),
            format!("a whole round {}", us(&mut whole)),
            ratio,
            "the moment it lands",
        ),
        row(
            "C7",
            "a time-out of 100 ms: told so long after it",
            us(&mut late),
            "100 ms".to_owned(),
            format!("{:.3}", 1.0 + at(&mut late, 0.5) / 1e5),
            "configurable, per task",
        ),
    ])
}

/// Kills `victims` of ten coordinators with 500 agents at work: seen, serving, in ms; and what was lost.
fn failover(victims: u32) -> Outcome<Vec<Row>> {
    let (mut seen, mut serving, mut lost, mut redone) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..5 {
        let mut up = Up::start(10, 50, 2, &Policy::default())?;
        let shape = *up.client.shape();
        for tag in 0..1000 {
            let to = WorkerRef::nth(&shape, (tag % 500) as u32);
            up.client.send(to, Task::Sleep(Duration::from_millis(100)), LONG, tag)?;
        }
        up.client.flush();
        let work = |up: &Up| up.status().coordinators.iter().map(|one| one.busy).sum::<u32>();
        until("all are at work", || work(&up) >= 450)?;
        let before = up.status();
        let at_ns = now_ns();
        for coordinator in &before.coordinators[..victims as usize] {
            kill(Pid::from_raw(coordinator.process.pid as i32), Signal::SIGKILL)?;
        }
        let times = up.take(1000)?;
        lost += 1000 - times.len() as u64;
        let ledger = up.client.ledger();
        lost += ledger.failed + ledger.in_flight + ledger.duplicates;
        let after = up.status();
        redone += after.coordinators.iter().map(|one| one.requeued).sum::<u64>();
        for coordinator in &after.coordinators[..victims as usize] {
            let death = coordinator.process.last_death.as_ref().ok_or("nobody saw the death")?;
            seen.push(death.seen_ns.saturating_sub(at_ns) as f64 / 1e3);
            serving.push(death.recovered_ns.ok_or("nobody serves")?.saturating_sub(at_ns) as f64 / 1e3);
        }
        up.stop()?;
    }
    let (id, what) = if victims == 1 {
        ("C8, C9", "kill 1 of 10 coordinators, 500 agents at work")
    } else {
        ("C9", "kill 3 of 10 at once")
    };
    let ours = format!(
        "seen {}; serving {}, at most {:.1} ms; {lost} lost or twice; {redone} queued again",
        us(&mut seen),
        us(&mut serving),
        at(&mut serving, 1.0) / 1e3
    );
    Ok(vec![row(
        id,
        what,
        ours,
        "the bus bar, 50 ms".to_owned(),
        format!("{:.2}", at(&mut serving, 0.5) / 5e4),
        "seen < 100 ms, < 1 s, loss 0",
    )])
}

fn pool() -> Outcome<Vec<Row>> {
    let each = |policy: &Policy, workers: u32, tasks: u64, at_once: u64| -> Outcome<(Vec<f64>, f64, f64)> {
        let mut up = Up::start(1, workers, at_once.div_ceil(workers.into()).max(1) as u32, policy)?;
        let mut one = Vec::new();
        for _ in 0..200 {
            let times = up.round(1, Task::Echo(b"one"))?;
            one.push((times[0].2 - times[0].0) as f64 / 1e3);
        }
        let began = Instant::now();
        let mut left = tasks;
        while left > 0 {
            let now = left.min(at_once);
            up.round(now, Task::Echo(b"many"))?;
            left -= now;
        }
        let rate = tasks as f64 / began.elapsed().as_secs_f64();
        let counts = up.status().coordinators[0].counts;
        let reused = counts.hits as f64 / (counts.hits + counts.misses).max(1) as f64;
        up.stop()?;
        Ok((one, rate, reused * 100.0))
    };
    let (mut hit, pooled, reused) = each(&Policy::default(), 16, 20_000, 16)?;
    let fresh = Policy { recycle_after: Some(1), ..Policy::default() };
    let (mut miss, per_task, _) = each(&fresh, 16, 2_000, 16)?;
    let (mut spawned, mut forked) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let began = Instant::now();
        Command::new("/bin/true").stdin(Stdio::null()).status()?;
        spawned.push(began.elapsed().as_secs_f64() * 1e6);
        forked.push(bare_forks(1)?.as_secs_f64() * 1e6);
    }
    let less = (1.0 - at(&mut hit, 0.5) / at(&mut spawned, 0.5)) * 100.0;
    let up = Up::start(1, 100, 1, &Policy::default())?;
    let workers: Vec<u32> =
        up.status().coordinators[0].workers.iter().map(|worker| worker.process.pid).collect();
    let ours = pss(&workers)?;
    let sleepers = (0..100)
        .map(|_| {
            fork::spawn("sleeper", None, || {
                std::thread::sleep(LONG);
                0
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(Duration::from_millis(200));
    let theirs = pss(&sleepers.iter().map(|pid| pid.as_raw() as u32).collect::<Vec<_>>())?;
    for pid in sleepers {
        kill(pid, Signal::SIGKILL)?;
        waitpid(pid, None)?;
    }
    up.stop()?;
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    Ok(vec![
        row(
            "P1",
            "a task on a pooled worker, reset after the one before",
            us(&mut hit),
            format!("fork and exec of `true` {}", us(&mut spawned)),
            format!("−{less:.0} %; {reused:.1} % reused"),
            "−40 to −50 %; > 90 %",
        ),
        row(
            "P3",
            "first answer on a pool hit",
            us(&mut hit),
            format!("a fork, its end and its reaping {}", us(&mut forked)),
            format!("{:.2}", at(&mut hit, 0.5) / at(&mut forked, 0.5)),
            "p99 < 1 ms",
        ),
        row(
            "P4",
            "PSS of 100 idle workers, a share of the rings included",
            format!("{:.0} KiB, {:.0} each", kib(ours), kib(ours) / 100.0),
            format!("100 forked sleepers {:.0} KiB", kib(theirs)),
            format!("+{:.2} MiB", (kib(ours) - kib(theirs)) / 1024.0),
            "< 10 MB",
        ),
        row(
            "P5",
            "echo tasks a second, 16 workers",
            format!("{pooled:.0}"),
            format!("a new worker for each task {per_task:.0}; its answers {}", us(&mut miss)),
            format!("{:.1}", pooled / per_task),
            "compared",
        ),
    ])
}

fn disaster() -> Outcome<Vec<Row>> {
    let mut up = Up::start(7, 100, 4, &Policy::default())?;
    let shape = *up.client.shape();
    for tag in 0..2_100 {
        let to = WorkerRef::nth(&shape, (tag % 700) as u32);
        up.client.send(to, Task::Sleep(Duration::from_millis(500)), LONG, tag)?;
    }
    up.client.flush();
    let room = tempfile::tempdir()?;
    let file = room.path().join("backup").display().to_string();
    let results = room.path().join("results").display().to_string();
    until("they are accepted", || up.status().ledger().accepted == 2_100)?;
    let backup = Up::program(&["backup", &file, "--name", &up.name])?;
    up.fleet.kill();
    let restored = format!("{}-again", up.name);
    let restore = Up::program(&["restore", &file, "--name", &restored, "--results", &results])?;
    let answers = std::fs::read_to_string(&results)?.lines().count();
    drop(up);
    // What the tasks take by themselves: three in a row.
    let work = Duration::from_millis(1_500);
    let over = restore.saturating_sub(work);
    Ok(vec![row(
        "C11",
        "708 processes, 2,100 tasks in flight: backup; restore without the tasks' own time",
        format!("{}; {}; {answers} answers", ms(backup), ms(over)),
        format!("the tasks themselves {}", ms(work)),
        times(restore, work),
        "< 5 s",
    )])
}

fn many(beyond: bool) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let sizes: &[u32] = if beyond { &[50, 75, 100, 150, 200, 250] } else { &[50] };
    for coordinators in sizes {
        let count = coordinators * 100;
        let mut up = match Up::start(*coordinators, 100, 1, &Policy::default()) {
            Ok(up) => up,
            Err(why) => {
                rows.push(row(
                    "T3",
                    &format!("{count} echo workers"),
                    format!("do not come up: {why}"),
                    String::new(),
                    String::new(),
                    "5,000",
                ));
                break;
            }
        };
        let mut rounds = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            let shape = *up.client.shape();
            for tag in 0..count {
                up.client.send(WorkerRef::nth(&shape, tag), Task::Echo(b"one of many"), LONG, tag.into())?;
            }
            up.client.flush();
            up.take(count.into())?;
            rounds.push(began.elapsed().as_secs_f64() * 1e6);
        }
        let pids: Vec<u32> = up.status().processes().map(|process| process.pid).collect();
        let bytes = pss(&pids)?;
        let ours = format!(
            "up in {}; a round {}; {:.0} MiB",
            ms(up.started),
            us(&mut rounds),
            bytes as f64 / 1_048_576.0
        );
        let started = up.started;
        up.stop()?;
        let (beside, ratio) = match bare_forks(count) {
            Ok(bare) => (format!("as many bare forks {}", ms(bare)), times(started, bare)),
            Err(why) => (format!("as many bare forks: {why}"), "—".to_owned()),
        };
        let what = format!("{count} echo workers");
        println!("{what}: {ours}");
        rows.push(row("T3", &what, ours, beside, ratio, "5,000"));
    }
    Ok(rows)
}

fn measure(only: Option<&str>, beyond: bool) -> Outcome<Vec<Row>> {
    type Part = (&'static str, fn() -> Outcome<Vec<Row>>);
    let parts: [Part; 8] = [
        ("starts", starts),
        ("scaling", scaling),
        ("balance", balance),
        ("completion", completion),
        ("one", || failover(1)),
        ("three", || failover(3)),
        ("pool", pool),
        ("disaster", disaster),
    ];
    let mut rows = Vec::new();
    for (name, part) in parts {
        if only.is_none_or(|only| only == name) && !(beyond && only.is_none()) {
            rows.extend(part().map_err(|why| format!("{name}: {why}"))?);
        }
    }
    if only.is_none_or(|only| only == "many") {
        rows.extend(many(beyond)?);
    }
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| row | what | ours | beside | ratio | bar |\n|---|---|---|---|---|---|\n");
    for Row { id, what, ours, beside, ratio, bar } in rows {
        let _ = writeln!(text, "| {id} | {what} | {ours} | {beside} | {ratio} | {bar} |");
    }
    text
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == SELF) {
        return ExitCode::from(coordinator::cli::main(std::env::args_os().skip(1), &[SELF]));
    }
    let only = arguments.iter().position(|word| word == "--only").and_then(|at| arguments.get(at + 1));
    let beyond = arguments.iter().any(|word| word == "--beyond");
    let rows = match measure(only.map(String::as_str), beyond) {
        Ok(rows) => rows,
        Err(why) => {
            println!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let text = table(&rows);
    println!("{text}");
    let file = arguments.get(1).filter(|first| !first.starts_with("--"));
    let head = "# Fleets\n\nMade by `cargo run --release -p benches --bin fleets -- docs/performance/fleets.md`.\n\n";
    match file.map(|file| std::fs::write(file, format!("{head}{text}"))) {
        Some(Err(why)) => {
            println!("error: {why}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
