//! A fleet of a measurement, what it is held against, and figures in words.

use super::{Outcome, SELF};
use coordinator::client::launch::{Fleet, Program, launch};
use coordinator::client::status::FleetStatus;
use coordinator::client::{Address, Client, Event, Task, Terms, now_ns};
use coordinator::config::{FleetShape, Policy};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) const LONG: Duration = Duration::from_secs(60);
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Up {
    pub(super) fleet: Fleet,
    pub(super) client: Client,
    pub(super) started: Duration,
    pub(super) name: String,
    _room: tempfile::TempDir,
}

impl Up {
    pub(super) fn start(coordinators: u32, workers: u32, depth: u32, policy: &Policy) -> Outcome<Self> {
        let room = tempfile::Builder::new().prefix("fleets-").tempdir()?;
        let shape = FleetShape::new(coordinators, workers, 64, depth)?;
        let name = format!("bench-{}-{}", std::process::id(), now_ns());
        let began = Instant::now();
        let errors = room.path().join("errors");
        let fleet = launch(
            &Program::own(&[SELF]),
            Path::new("/dev/shm"),
            &name,
            (&shape, policy),
            Some(&errors),
            || false,
        )?;
        let started = began.elapsed();
        let client = Client::attach(fleet.dir())?;
        Ok(Self { fleet, client, started, name, _room: room })
    }

    /// A round: a task for any worker from each of `count`, all answered; when each was told and when it was done, ns.
    pub(super) fn round(&mut self, count: u64, task: Task<'_>) -> Outcome<Vec<(u64, u64, u64)>> {
        for tag in 0..count {
            self.client.submit(Address::Any, task, &Terms::within(LONG), tag)?;
        }
        self.client.flush();
        self.take(count)
    }

    pub(super) fn take(&mut self, count: u64) -> Outcome<Vec<(u64, u64, u64)>> {
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

    pub(super) fn status(&self) -> FleetStatus {
        self.client.status()
    }

    pub(super) fn program(arguments: &[&str]) -> Outcome<Duration> {
        let began = Instant::now();
        let said = Command::new("/proc/self/exe").arg(SELF).args(arguments).output()?;
        let took = began.elapsed();
        if said.status.success() {
            Ok(took)
        } else {
            Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&said.stderr)).into())
        }
    }

    pub(super) fn stop(mut self) -> Outcome<()> {
        match self.fleet.stop().how {
            Some(how) => Err(how.into()),
            None => Ok(()),
        }
    }
}

pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) -> Outcome<Duration> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > PATIENCE {
            return Err(format!("waited in vain: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(began.elapsed())
}

pub(super) fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

pub(super) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

pub(super) fn us(values: &mut [f64]) -> String {
    format!("p50 {:.0} µs, p99 {:.0} µs", at(values, 0.5), at(values, 0.99))
}

pub(super) fn times(ours: Duration, beside: Duration) -> String {
    format!("{:.2}", ours.as_secs_f64() / beside.as_secs_f64())
}

/// As many processes as there are, forked one after the other, each gone at once; until the last is reaped.
pub(super) fn bare_forks(count: u32) -> Outcome<Duration> {
    coordinator::process::floor::bare_forks(count).map_err(Into::into)
}

/// Bytes of memory of these processes, shared ones divided among those who share them.
pub(super) fn pss(pids: &[u32]) -> Outcome<u64> {
    let mut sum = 0;
    for pid in pids {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find(|line| line.starts_with("Pss:")).ok_or("no Pss")?;
        sum += line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? * 1024;
    }
    Ok(sum)
}
