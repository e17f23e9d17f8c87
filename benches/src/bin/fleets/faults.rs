//! What ends badly: tasks, coordinators, all of it.

use super::fleet::{LONG, Up, at, ms, times, until, us};
use super::{Outcome, Row, row};
use coordinator::client::{Address, Event, Task, Terms, WorkerRef, now_ns};
use coordinator::config::Policy;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub(super) fn completion() -> Outcome<Vec<Row>> {
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
pub(super) fn failover(victims: u32) -> Outcome<Vec<Row>> {
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
            let death = coordinator.process.last_death.as_ref().ok_or("the death was not seen")?;
            seen.push(death.seen_ns.saturating_sub(at_ns) as f64 / 1e3);
            serving.push(death.recovered_ns.ok_or("no successor serves")?.saturating_sub(at_ns) as f64 / 1e3);
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

pub(super) fn disaster() -> Outcome<Vec<Row>> {
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
