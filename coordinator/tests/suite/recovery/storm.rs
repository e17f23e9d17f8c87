//! Kills, stops and goes at random, under load, and an exact ledger of every task's content.
//!
//! Workers, coordinators and, in fleets that outlive it, the supervisor; tasks for one worker and for any worker. Small by
//! default. A thousand kills with recovery times, and any of the episodes again:
//!
//!     STORM_KILLS=1000 cargo test --release -p coordinator --test recovery storm -- --nocapture
//!     STORM_KILLS=200 STORM_SEED=<the episode's> cargo test … (the same)
//!
//! A seed gives the same choices and the same kind of failover; when they meet the fleet is the machine's business.

use super::times::{Times, hold};
use super::{LONG, Up, is_empty, shm};
use crate::support::outcomes::Outcomes;
use crate::support::random::Random;
use coordinator::client::status::FleetStatus;
use coordinator::client::{Address, Client, Failure, Identity, SendError, Task, Terms, WorkerRef, now_ns};
use rustix::process::{Signal, pidfd_send_signal};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

const KILLS: u64 = 60;
const SEED: u64 = 1;
/// An episode has a fleet of its own, so that any can be had again without those before it.
const EPISODE_KILLS: u64 = 200;
const COORDINATORS: u32 = 3;
const WORKERS: u32 = 5;
/// Without an outcome for this long something hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// What an episode's fleet does about deaths, by its seed.
const MODES: [(&str, &[&str]); 3] =
    [("fresh", &[]), ("adopted", &["--on-supervisor-death", "adopt"]), ("spare", &["--failover", "spare"])];

/// One task in so many takes a while, so that some are met in their workers' hands.
const LONG_ONES: u64 = 16;
const A_WHILE: Duration = Duration::from_millis(2);

/// What a task carries: no process can guess it without its tag.
fn content(seed: u64, tag: u64) -> Vec<u8> {
    let mut choice = Random(seed ^ tag.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let len = choice.below(1500);
    (0..len).map(|_| choice.next() as u8).collect()
}

fn is_long(tag: u64) -> bool {
    tag.is_multiple_of(LONG_ONES)
}

#[derive(Default)]
struct Storm {
    kills: u64,
    stops: u64,
    tasks: u64,
    failed: u64,
    repeated: u64,
    second_attempts: u64,
    requeued: u64,
    workers: Times,
    coordinators: Times,
    supervisors: Vec<u64>,
}

struct Episode<'a> {
    seed: u64,
    choice: Random,
    client: Client,
    outcomes: Outcomes,
    sent: u64,
    /// Whom to let go on, and when.
    stopped: Vec<(u64, Identity, OwnedFd)>,
    /// When whom was killed, until the fleet says how it went on.
    killed: BTreeMap<(u32, u64), (u64, bool)>,
    /// When the supervisor was killed, and who it was, until there is another.
    orphaned: Option<(u64, Identity)>,
    /// Where it may be killed.
    adopted: bool,
    storm: &'a mut Storm,
}

#[test]
fn a_storm_of_kills_and_stops_loses_nothing_and_answers_each_task_once() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
    };
    let (kills, first) = (number("STORM_KILLS", KILLS), number("STORM_SEED", SEED));
    let mut storm = Storm::default();
    let mut seed = first;
    while storm.kills < kills {
        // So that each kind has its turn.
        let goal = kills.min(storm.kills + EPISODE_KILLS.min(kills.div_ceil(MODES.len() as u64)));
        println!("seed {seed}, {}: from kill {} to {goal}", mode(seed).0, storm.kills);
        episode(seed, goal, &mut storm);
        seed += 1;
    }
    let Storm { stops, tasks, failed, repeated, second_attempts, requeued, .. } = storm;
    println!("{} kills, {stops} stops, from seed {first}", storm.kills);
    println!(
        "{tasks} tasks = {} answered + {failed} failed; {requeued} taken back, \
         {second_attempts} answered at a later attempt, {repeated} told twice",
        tasks - failed
    );
    println!("Times of a storm: who has to see a death may itself be stopped, or dead.");
    println!("{}", storm.workers.told("worker", "tasks queued again"));
    println!("{}", storm.coordinators.told("coordinator", "serving again"));
    println!("supervisor killed → another has the fleet: {}", super::times::line(&mut storm.supervisors));
}

fn mode(seed: u64) -> (&'static str, &'static [&'static str]) {
    MODES[((seed + MODES.len() as u64 - 1) % MODES.len() as u64) as usize]
}

fn episode(seed: u64, goal: u64, storm: &mut Storm) {
    let shm = shm();
    let (kind, options) = mode(seed);
    let options = [&["--restarts-max", "1000000"], options].concat();
    let mut up = Up::start(shm.path(), COORDINATORS, WORKERS, &options);
    let mut episode = Episode {
        seed,
        choice: Random(seed),
        client: Client::attach(&up.dir).unwrap(),
        outcomes: Outcomes::default(),
        sent: 0,
        stopped: Vec::new(),
        killed: BTreeMap::new(),
        orphaned: None,
        adopted: kind == "adopted",
        storm,
    };
    let mut next_ns = now_ns();
    while episode.storm.kills < goal {
        episode.load();
        episode.take();
        let now = now_ns();
        episode.let_go(now);
        if now >= next_ns {
            episode.strike(now);
            next_ns = now + episode.choice.below(6_000_000);
        }
        episode.client.wait(Duration::from_micros(200));
    }
    episode.end();
    if up.child.try_wait().unwrap().is_some() {
        // Its supervisor is another one now.
        let stop = ["stop", "test", "--shm-dir"];
        let said = Command::new(crate::support::up::PROGRAM).args(stop).arg(shm.path()).output().unwrap();
        assert!(said.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&said.stderr));
    } else {
        assert_eq!(up.stop(), Some(0), "seed {seed}");
    }
    assert!(is_empty(shm.path()), "seed {seed}");
}

impl Episode<'_> {
    /// A handful of tasks, to whom it may be.
    fn load(&mut self) {
        for _ in 0..self.choice.below(40) {
            let to = WorkerRef::nth(
                self.client.shape(),
                self.choice.below((COORDINATORS * WORKERS).into()) as u32,
            );
            let body = content(self.seed, self.sent);
            let task = if is_long(self.sent) { Task::Sleep(A_WHILE) } else { Task::Echo(&body) };
            let address = if self.choice.below(2) == 0 { Address::Any } else { Address::Worker(to) };
            match self.client.submit(address, task, &Terms::within(LONG), self.sent) {
                Ok(_) => self.sent += 1,
                Err(SendError::Backpressure) => {}
                Err(other) => panic!("seed {}: {to}: {other}", self.seed),
            }
        }
        self.client.flush();
    }

    /// Checks every outcome and keeps its count alone.
    fn take(&mut self) {
        self.outcomes.take(&mut self.client);
        for (tag, came) in std::mem::take(&mut self.outcomes.all) {
            self.storm.tasks += 1;
            match came {
                Ok(came) => {
                    let sent = if is_long(tag) { Vec::new() } else { content(self.seed, tag) };
                    assert!(came.body == sent, "seed {}: task {tag}: other bytes", self.seed);
                    self.storm.second_attempts += u64::from(came.attempt > 1);
                }
                Err(Failure::WorkerDied(..)) => self.storm.failed += 1,
                Err(other) => panic!("seed {}: task {tag}: {other}", self.seed),
            }
        }
    }

    fn let_go(&mut self, now: u64) {
        self.stopped.retain(|(until_ns, _, fd)| {
            if *until_ns <= now {
                // It may have been killed meanwhile.
                let _ = pidfd_send_signal(fd, Signal::CONT);
            }
            *until_ns > now
        });
    }

    fn strike(&mut self, now: u64) {
        let status = self.client.status();
        self.note(&status);
        let what = self.choice.below(100);
        if what >= 97 && self.strike_supervisor(&status, what > 97) {
            return;
        }
        let coordinator = &status.coordinators[self.choice.below(COORDINATORS.into()) as usize];
        let worker = &coordinator.workers[self.choice.below(WORKERS.into()) as usize];
        // Without a supervisor a process must be left that gets them another.
        let process = if what.is_multiple_of(4) && self.orphaned.is_none() {
            &coordinator.process
        } else {
            &worker.process
        };
        let Some((identity, fd)) = hold(process) else { return };
        if what < 70 {
            let killed_ns = now_ns();
            if pidfd_send_signal(&fd, Signal::KILL).is_ok() {
                self.storm.kills += 1;
                self.killed.insert(
                    (identity.pid, identity.start_ticks),
                    (killed_ns, process.place.role() == coordinator::client::Role::Coordinator),
                );
            }
        } else if pidfd_send_signal(&fd, Signal::STOP).is_ok() {
            self.storm.stops += 1;
            self.stopped.push((now + 1_000_000 + self.choice.below(40_000_000), identity, fd));
        }
    }

    /// Kills it where that is survived, or stops it for a while. False if nothing was done.
    fn strike_supervisor(&mut self, status: &FleetStatus, kill: bool) -> bool {
        let survivor = status.coordinators.iter().any(|coordinator| {
            let identity = coordinator.process.identity();
            let stopped = self.stopped.iter().any(|(_, other, _)| *other == identity);
            coordinator.process.is_live() && identity.is_alive() && !stopped
        });
        let Some((identity, fd)) = hold(&status.supervisor) else { return false };
        if self.orphaned.is_some() {
            return false;
        }
        if !kill {
            if pidfd_send_signal(&fd, Signal::STOP).is_ok() {
                self.storm.stops += 1;
                self.stopped.push((now_ns() + 1_000_000 + self.choice.below(40_000_000), identity, fd));
            }
            return true;
        }
        if self.adopted && survivor {
            let killed_ns = now_ns();
            if pidfd_send_signal(&fd, Signal::KILL).is_ok() {
                self.storm.kills += 1;
                self.orphaned = Some((killed_ns, identity));
            }
        }
        self.adopted
    }

    /// What the fleet says of its last deaths. Who died again before we looked is not counted here.
    fn note(&mut self, status: &FleetStatus) {
        if let Some((killed_ns, dead)) = self.orphaned
            && status.supervisor.identity() != dead
            && status.supervisor.identity().is_alive()
        {
            self.storm.supervisors.push(now_ns() - killed_ns);
            self.orphaned = None;
        }
        for process in status.processes() {
            let Some(death) = &process.last_death else { continue };
            let Some(recovered_ns) = death.recovered_ns else { continue };
            let Some((killed_ns, coordinator)) = self.killed.remove(&(death.pid, death.start_ticks)) else {
                continue;
            };
            let times = if coordinator { &mut self.storm.coordinators } else { &mut self.storm.workers };
            times.note(killed_ns, death.seen_ns, recovered_ns);
        }
    }

    /// Everybody goes on, everything comes in, and both ends agree.
    fn end(mut self) {
        let seed = self.seed;
        self.let_go(u64::MAX);
        let begun = now_ns();
        let watchdog = WATCHDOG.as_nanos() as u64;
        while self.client.in_flight() > 0 {
            self.take();
            assert!(now_ns() - begun < watchdog, "seed {seed}: {:#?}", self.client.status());
            self.client.wait(Duration::from_millis(5));
        }
        let all_there = |status: &FleetStatus| {
            status.processes().all(|process| process.is_live() && process.identity().is_alive())
        };
        while !all_there(&self.client.status()) {
            assert!(now_ns() - begun < watchdog, "seed {seed}: {:#?}", self.client.status());
            std::thread::park_timeout(Duration::from_millis(2));
        }
        self.take();
        let status = self.client.status();
        self.note(&status);
        let (own, theirs) = (self.client.ledger(), status.ledger());
        assert_eq!(own, theirs, "seed {seed}");
        assert_eq!((own.in_flight, own.duplicates), (0, 0), "seed {seed}");
        assert_eq!(own.answered + own.failed, self.sent, "seed {seed}");
        assert!(
            status.coordinators.iter().all(|c| c.damaged == 0 && c.fenced == 0),
            "seed {seed}: {status:#?}"
        );
        self.storm.repeated += self.client.repeated();
        self.storm.requeued += status.coordinators.iter().map(|c| c.requeued).sum::<u64>();
    }
}
