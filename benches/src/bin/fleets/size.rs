//! How many there are: starting, adding, sharing out, and as many as this machine carries.

use super::fleet::{LONG, PATIENCE, Up, bare_forks, ms, pss, times, until, us};
use super::{Outcome, Row, row};
use coordinator::client::{Address, Event, Task, Terms, WorkerRef};
use coordinator::config::{Policy, Span};
use std::time::{Duration, Instant};

pub(super) fn starts() -> Outcome<Vec<Row>> {
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

pub(super) fn scaling() -> Outcome<Vec<Row>> {
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

pub(super) fn balance() -> Outcome<Vec<Row>> {
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
        "20,000 uneven tasks for any worker over 10 coordinators",
        format!("coefficient of variation {percent:.2} %"),
        "even".to_owned(),
        "—".to_owned(),
        "< 5 %",
    )])
}

pub(super) fn many(beyond: bool) -> Outcome<Vec<Row>> {
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
