//! Our own fleets, as their users get them: how soon they are there, what they hold open, and what it costs when
//! a process in them is killed.
//!
//! 708 processes are one supervisor, seven coordinators and 700 workers. Times of recoveries are those that the fleet
//! itself writes down (`status`), from the instant before the kill; all clocks are CLOCK_MONOTONIC.
//!
//! Absent: peers. Nothing else here starts processes or replaces them; what iceoryx2 needs for as many nodes is a
//! row of its own.

use crate::table::Spread;
use anyhow::{Context, Result, bail, ensure};
use coordinator::client::launch::{Fleet, Program, launch};
use coordinator::client::status::{Death, FleetStatus, ProcessStatus};
use coordinator::client::{Client, Event, Task, WorkerRef, now_ns};
use coordinator::config::{FleetShape, Policy};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The argument that makes this program the supervisor of a fleet.
pub const SUPERVISE: &str = "coordinator";
/// Chosen by this, as rows are by theirs.
pub const KEY: &str = "fleet-own";
const SHM: &str = "/dev/shm";
const COORDINATORS: u32 = 7;
const WORKERS: u32 = 100;
/// Tasks that are in hand when their worker is killed.
const IN_HAND: Duration = Duration::from_millis(20);
/// And longer for each worker that has one, so that the first is still at it when the last begins.
const EACH: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an idle fleet is watched.
const IDLE: Duration = Duration::from_secs(10);

/// What was measured, and its values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    pub what: String,
    pub unit: String,
    pub values: Vec<f64>,
}

impl Figure {
    fn new(what: &str, unit: &str, values: Vec<f64>) -> Self {
        Self { what: what.to_owned(), unit: unit.to_owned(), values }
    }

    /// Median, least, greatest; and the 99th percentile where there are enough for one.
    pub fn spread(&self) -> (Option<Spread>, Option<f64>) {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let p99 = (sorted.len() >= 100).then(|| sorted[(sorted.len() * 99).div_ceil(100) - 1]);
        (Spread::of(self.values.iter().copied()), p99)
    }
}

struct Up {
    fleet: Fleet,
    client: Client,
    started: Duration,
    _room: tempfile::TempDir,
}

impl Up {
    fn start(coordinators: u32, workers: u32) -> Result<Self> {
        let room = tempfile::Builder::new().prefix("peers-fleet-").tempdir().context("a directory")?;
        let shape = FleetShape::new(coordinators, workers, 64, 1)?;
        let program = Program::own(&[SUPERVISE]);
        let id = format!("peers-{}", std::process::id());
        let began = Instant::now();
        let fleet = launch(&program, Path::new(SHM), &id, (&shape, &Policy::default()), Some(&room.path().join("errors")), || false)
            .context("launching a fleet")?;
        let started = began.elapsed();
        let client = Client::attach(fleet.dir())?;
        Ok(Self { fleet, client, started, _room: room })
    }

    fn shape(&self) -> FleetShape {
        *self.client.shape()
    }

    /// A task for everyone, so long that all are at work when this returns; how long.
    fn everyone_at_work(&mut self) -> Result<Duration> {
        let shape = self.shape();
        let workers = shape.coordinators() * shape.workers_per_coordinator();
        let task = IN_HAND + EACH * workers;
        for tag in 0..workers {
            let place = WorkerRef::nth(&shape, tag);
            self.client.send(place, Task::Sleep(task), LONG, tag.into())?;
        }
        self.client.flush();
        wait_until("everyone is at work", || {
            Ok(self.client.status().coordinators.iter().flat_map(|c| &c.workers).all(|w| w.task.is_some()))
        })?;
        Ok(task)
    }

    /// Takes outcomes until none is missing; every one must be an answer.
    fn all_answered(&mut self) -> Result<()> {
        let mut failed = None;
        let end = Instant::now() + PATIENCE;
        while self.client.in_flight() > 0 {
            self.client.wait(Duration::from_millis(20));
            self.client.poll(|event| {
                if let Event::Outcome(outcome) = event
                    && let Err(why) = outcome.result
                {
                    failed = Some(why);
                }
            });
            ensure!(Instant::now() < end, "tasks are not answered");
        }
        match failed {
            Some(why) => bail!("a task failed: {why}"),
            None => Ok(()),
        }
    }

    fn all_live(&self) -> Result<()> {
        wait_until("everyone is there", || {
            Ok(self.client.status().processes().all(|process| process.is_live()))
        })
    }

    fn stop(mut self) -> Result<()> {
        let stopped = self.fleet.stop();
        ensure!(stopped.how.is_none() && stopped.cleaned.is_empty(), "the fleet ended badly: {stopped:?}");
        Ok(())
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() >= end {
            bail!("in vain: {what}");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn kill_now(process: &ProcessStatus) -> Result<u64> {
    let killed_ns = now_ns();
    kill(Pid::from_raw(process.pid as i32), Signal::SIGKILL)?;
    Ok(killed_ns)
}

/// The death of this very process, once what came of it is known.
fn recovered(process: &ProcessStatus, pid: u32) -> Option<Death> {
    process.last_death.clone().filter(|death| death.pid == pid && death.recovered_ns.is_some())
}

/// All figures; `rounds` fleets of 708 are started.
pub fn measure(rounds: usize, mut tell: impl FnMut(&str)) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    tell("fleets: start, kill of all workers");
    let (mut attached, mut all_queued, mut all_there) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut up = Up::start(COORDINATORS, WORKERS)?;
        attached.push(up.started.as_secs_f64() * 1e3);
        if round == 0 {
            figures.extend(held(&up)?);
            figures.push(idle(&up)?);
        }
        let (queued, there) = kill_all_workers(&mut up)?;
        all_queued.push(queued);
        all_there.push(there);
        up.stop()?;
    }
    figures.insert(0, Figure::new("708 processes: launch to the last worker's word", "ms", attached));
    figures.push(Figure::new(
        "700 workers killed at once: all seen, all tasks queued again",
        "ms",
        all_queued,
    ));
    figures.push(Figure::new(
        "700 workers killed at once: all there again, all tasks answered",
        "ms",
        all_there,
    ));
    tell("fleets: kill of a worker");
    figures.extend(kill_a_worker(rounds * 50)?);
    tell("fleets: kill of a coordinator");
    figures.extend(kill_a_coordinator(rounds * 15)?);
    Ok(figures)
}

fn workers(status: &FleetStatus) -> impl Iterator<Item = &ProcessStatus> {
    status.coordinators.iter().flat_map(|coordinator| &coordinator.workers).map(|worker| &worker.process)
}

fn kill_all_workers(up: &mut Up) -> Result<(f64, f64)> {
    up.everyone_at_work()?;
    let victims: Vec<ProcessStatus> = workers(&up.client.status()).cloned().collect();
    let killed_ns = now_ns();
    for victim in &victims {
        kill(Pid::from_raw(victim.pid as i32), Signal::SIGKILL)?;
    }
    let mut last_ns = 0;
    wait_until("all tasks are queued again", || {
        let status = up.client.status();
        let all: Option<Vec<Death>> =
            workers(&status).zip(&victims).map(|(process, victim)| recovered(process, victim.pid)).collect();
        last_ns = all.iter().flatten().filter_map(|death| death.recovered_ns).max().unwrap_or(0);
        Ok(all.is_some())
    })?;
    up.all_answered()?;
    up.all_live()?;
    Ok((ms(last_ns.saturating_sub(killed_ns)), ms(now_ns() - killed_ns)))
}

fn kill_a_worker(kills: usize) -> Result<Vec<Figure>> {
    let mut up = Up::start(1, WORKERS)?;
    let (mut seen, mut queued) = (Vec::new(), Vec::new());
    for number in 0..kills {
        let place = WorkerRef { coordinator: 0, worker: number as u32 % WORKERS };
        up.client.send(place, Task::Sleep(IN_HAND), LONG, 0)?;
        up.client.flush();
        let at = place.worker as usize;
        wait_until("it is at work", || Ok(up.client.status().coordinators[0].workers[at].task.is_some()))?;
        let victim = up.client.status().coordinators[0].workers[at].process.clone();
        let killed_ns = kill_now(&victim)?;
        let mut death = None;
        wait_until("its task is queued again", || {
            death = recovered(&up.client.status().coordinators[0].workers[at].process, victim.pid);
            Ok(death.is_some())
        })?;
        let death = death.context("it was there just now")?;
        seen.push(ms(death.seen_ns.saturating_sub(killed_ns)));
        queued.push(ms(death.recovered_ns.unwrap_or(0).saturating_sub(killed_ns)));
        up.all_answered()?;
        up.all_live()?;
    }
    up.stop()?;
    Ok(vec![
        Figure::new("one worker of 100 killed: seen", "ms", seen),
        Figure::new("one worker of 100 killed: its task queued again", "ms", queued),
    ])
}

fn kill_a_coordinator(kills: usize) -> Result<Vec<Figure>> {
    let (mut seen, mut serving, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    let mut left = kills;
    while left > 0 {
        // A coordinator that is killed too often in a while is not replaced: a new fleet for each few.
        let mut up = Up::start(1, WORKERS)?;
        for _ in 0..left.min(4) {
            let task = up.everyone_at_work()?;
            let victim = up.client.status().coordinators[0].process.clone();
            let killed_ns = kill_now(&victim)?;
            let before = up.client.in_flight();
            while up.client.in_flight() == before {
                up.client.wait(Duration::from_millis(20));
                up.client.poll(|_| ());
                ensure!(now_ns() - killed_ns < PATIENCE.as_nanos() as u64, "nothing is answered");
            }
            answered.push(ms(now_ns() - killed_ns) - task.as_secs_f64() * 1e3);
            let mut death = None;
            wait_until("its successor serves", || {
                death = recovered(&up.client.status().coordinators[0].process, victim.pid);
                Ok(death.is_some())
            })?;
            let death = death.context("it was there just now")?;
            seen.push(ms(death.seen_ns.saturating_sub(killed_ns)));
            serving.push(ms(death.recovered_ns.unwrap_or(0).saturating_sub(killed_ns)));
            up.all_answered()?;
            up.all_live()?;
            left -= 1;
        }
        up.stop()?;
    }
    Ok(vec![
        Figure::new("a coordinator of 100 workers killed: seen", "ms", seen),
        Figure::new("a coordinator of 100 workers killed: successor serving", "ms", serving),
        Figure::new(
            "a coordinator of 100 workers killed: first answer, less the task's own time",
            "ms",
            answered,
        ),
    ])
}

/// Files of the fleet; descriptors and maps of shared memory of its coordinators; bytes against the plan.
fn held(up: &Up) -> Result<Vec<Figure>> {
    let status = up.client.status();
    let files = fs::read_dir(up.fleet.dir())?.count();
    let mut bytes = 0;
    for entry in fs::read_dir(up.fleet.dir())? {
        bytes += entry?.metadata()?.len();
    }
    let planned = up.shape().shm_bytes();
    ensure!(bytes == planned, "{bytes} bytes of shared memory, and {planned} were planned");
    let (mut descriptors, mut maps) = (Vec::new(), Vec::new());
    for coordinator in &status.coordinators {
        let pid = coordinator.process.pid;
        descriptors.push(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as f64);
        let all = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        maps.push(all.lines().filter(|line| line.contains(SHM)).count() as f64);
    }
    Ok(vec![
        Figure::new("files and directories of 7 coordinators, 700 workers", "", vec![files as f64 + 1.0]),
        Figure::new("descriptors of a coordinator", "", descriptors),
        Figure::new("maps of shared memory of a coordinator", "", maps),
        Figure::new("shared memory, as planned", "MiB", vec![bytes as f64 / f64::from(1 << 20)]),
    ])
}

/// Voluntary switches a second of each process of an idle fleet: it sleeps and is woken once for each.
fn idle(up: &Up) -> Result<Figure> {
    let switches = |status: &FleetStatus| -> Result<u64> {
        let mut sum = 0;
        for process in status.processes() {
            let text = fs::read_to_string(format!("/proc/{}/status", process.pid))?;
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum += line.context("no count of switches")?.trim().parse::<u64>()?;
        }
        Ok(sum)
    };
    let status = up.client.status();
    let before = switches(&status)?;
    std::thread::sleep(IDLE);
    let after = switches(&status)?;
    let rate = (after - before) as f64 / IDLE.as_secs_f64();
    Ok(Figure::new("idle fleet of 708: wake-ups a second, all processes together", "1/s", vec![rate]))
}
