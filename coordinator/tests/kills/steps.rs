//! Each operation of a channel, ended at each of its steps.

use super::ledger::{Journal, PAYLOAD_MAX, Who, counts_from_one, demand, drain, payload};
use super::victim::{BATCH, BEFORE, RECORDS, path};
use super::{End, Victim, shm, was_killed};
use coordinator::bus::channel::{Channel, Receiver, SendError, Sender, Side};
use coordinator::bus::sync::Bug;
use coordinator::bus::tune::Tuning;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use std::path::Path;
use std::time::Duration;

/// The longest operation has fewer steps; more would mean that one never ends.
const STEPS_MAX: u64 = 2000;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub operation: &'static str,
    /// Records that wait for the victim.
    pub waiting: u64,
    pub touch: bool,
    pub bug: Option<Bug>,
}

pub const fn trial(operation: &'static str) -> Trial {
    Trial { operation, waiting: 0, touch: false, bug: None }
}

/// The side that the test has, and the channel.
struct Peer {
    channel: Channel,
    sender: Sender,
    receiver: Receiver,
    /// Records sent to the victim.
    sent: u64,
    heard: Vec<u64>,
}

impl Peer {
    fn new(dir: &Path, trial: Trial) -> Self {
        let tuning = Tuning { touch: trial.touch, ..Tuning::PLAIN };
        let channel = Channel::create_tuned(&path(dir), RECORDS, PAYLOAD_MAX, tuning).unwrap();
        let (sender, receiver) = channel.ends(Side::Second).unwrap();
        let mut peer = Self { channel, sender, receiver, sent: 0, heard: Vec::new() };
        for _ in 0..trial.waiting {
            peer.send().unwrap();
        }
        peer
    }

    fn send(&mut self) -> Result<(), SendError> {
        self.sender.try_send(1, &payload(Who::Peer, self.sent + 1))?;
        self.sent += 1;
        Ok(())
    }

    fn hear(&mut self) -> Result<(), String> {
        self.heard.extend(drain(&mut self.receiver, Who::Victim)?);
        Ok(())
    }

    /// Nothing that was told is missing, nothing is torn, a batch comes whole or not at all.
    fn audit(&self, dir: &Path, trial: Trial) -> Result<(), String> {
        let heard = counts_from_one("heard", &self.heard)?;
        let told = counts_from_one("told", &Journal::told(dir).read())?;
        demand(heard >= told, || format!("told {told} were sent, heard {heard}"))?;
        demand(heard <= told + BATCH, || format!("heard {heard}, and {told} were sent"))?;
        let half = trial.operation == "batch" && (BEFORE + 1..BEFORE + BATCH).contains(&heard);
        demand(!half, || format!("heard {heard}: a part of a batch"))
    }

    /// The dead one's side is taken over, and everything goes on.
    fn succeed(mut self, dir: &Path) -> Result<(), String> {
        let side = Side::First;
        // Dead before it had written itself down, it was never there.
        let ends = self.channel.take_over(side).or_else(|_| self.channel.ends(side));
        let (mut sender, mut receiver) = ends.map_err(|error| error.to_string())?;
        let late = drain(&mut self.receiver, Who::Heir)?;
        demand(late.is_empty(), || format!("heard {late:?} of an heir that sent nothing"))?;

        let recorded = counts_from_one("recorded", &Journal::recorded(dir).read())?;
        let again = drain(&mut receiver, Who::Peer)?;
        let first = again.first().copied().unwrap_or(self.sent + 1);
        demand(first <= recorded + 1, || format!("recorded {recorded}, and the heir begins with {first}"))?;
        demand(again.iter().copied().eq(first..=self.sent), || format!("the heir heard {again:?}"))?;

        // Often enough for every slot to be written three times, in batches that leave words staged.
        let mut number = 0;
        for round in 0..u64::from(RECORDS) {
            for _ in 0..=round % 4 {
                number += 1;
                sender.stage(1, &payload(Who::Heir, number)).map_err(|error| error.to_string())?;
            }
            sender.flush().map_err(|error| error.to_string())?;
            let heard = drain(&mut self.receiver, Who::Heir)?;
            let expected = number - round % 4..=number;
            demand(heard.iter().copied().eq(expected), || format!("heard {heard:?} up to {number}"))?;
            if !self.sender_is_sealed() {
                self.send().map_err(|error| error.to_string())?;
                let heard = drain(&mut receiver, Who::Peer)?;
                demand(heard == [self.sent], || format!("the heir heard {heard:?}, sent {}", self.sent))?;
            }
        }
        Ok(())
    }

    fn sender_is_sealed(&mut self) -> bool {
        matches!(self.sender.flush(), Err(SendError::Fenced))
    }
}

/// Kills at every step, and looks each time; how many steps there were, or what was found.
pub fn killed_at_every_step(trial: Trial) -> Result<u64, String> {
    for at in 0..STEPS_MAX {
        let dir = shm();
        let found = |why: String| format!("{trial:?}, killed at step {at}: {why}");
        if trial.operation == "create" {
            let victim = Victim::start("create", dir.path(), End::Killed, at, trial.bug);
            let killed = was_killed(victim.wait()).map_err(found)?;
            // Killed, it has left no channel, and nothing in the way of one.
            let whole = Channel::attach(&path(dir.path())).is_ok();
            demand(whole != killed, || found(format!("a whole channel: {whole}")))?;
            if !killed {
                return Ok(at);
            }
            let _peer = Peer::new(dir.path(), trial);
            continue;
        }
        let mut peer = Peer::new(dir.path(), trial);
        if trial.operation == "take over" {
            let dead = Victim::start("predecessor", dir.path(), End::Killed, u64::MAX, None);
            assert!(matches!(dead.wait(), WaitStatus::Exited(_, 0)));
        }
        let victim = Victim::start(trial.operation, dir.path(), End::Killed, at, trial.bug);
        let killed = was_killed(victim.wait()).map_err(found)?;
        peer.hear().and_then(|()| peer.audit(dir.path(), trial)).map_err(found)?;
        peer.succeed(dir.path()).map_err(found)?;
        if !killed {
            return Ok(at);
        }
    }
    panic!("{trial:?} has more than {STEPS_MAX} steps")
}

/// Stops at every step: no process takes over; the other side seals the stopped one off; it continues, and
/// nothing of what it does then is heard, nor was it told that it would be.
pub fn stopped_at_every_step(trial: Trial) -> Result<u64, String> {
    for at in 0..STEPS_MAX {
        let dir = shm();
        let found = |why: String| format!("{trial:?}, stopped at step {at}: {why}");
        let mut peer = Peer::new(dir.path(), trial);
        let victim = Victim::start(trial.operation, dir.path(), End::Stopped, at, trial.bug);
        let status = victim.wait();
        if let WaitStatus::Exited(_, 0) = status {
            return Ok(at);
        }
        if !matches!(status, WaitStatus::Stopped(_, Signal::SIGSTOP)) {
            return Err(found(format!("{status:?}")));
        }
        let stopped = || -> Result<(), String> {
            let refused = peer.channel.take_over(Side::First).err().map(|error| error.to_string());
            demand(refused.as_ref().is_some_and(|why| why.contains("is alive")), || format!("{refused:?}"))?;
            peer.receiver.seal();
            peer.hear()?;
            victim.signal(Signal::SIGCONT);
            let status = victim.wait();
            demand(matches!(status, WaitStatus::Exited(_, 0)), || format!("{status:?}"))?;
            let late = drain(&mut peer.receiver, Who::Victim)?;
            demand(late.is_empty(), || format!("heard {late:?} after the last"))?;
            peer.audit(dir.path(), trial)?;
            peer.succeed(dir.path())
        };
        stopped().map_err(found)?;
    }
    panic!("{trial:?} has more than {STEPS_MAX} steps")
}

/// A line for each trial: how many steps there were.
fn survives(ended: fn(Trial) -> Result<u64, String>, trials: &[Trial]) -> String {
    let steps = |trial: &Trial| match ended(*trial) {
        Ok(steps) => format!("{trial:?}: {steps} steps"),
        Err(why) => panic!("{why}"),
    };
    trials.iter().map(steps).collect::<Vec<_>>().join("\n")
}

const SENDING: [Trial; 5] = [trial("send"), trial("batch"), trial("claim"), trial("control"), trial("flood")];

const fn hearing(waiting: u64, touch: bool) -> Trial {
    Trial { waiting, touch, ..trial("hear") }
}

/// Three are taken in one close look; twelve, and the receiver begins to stream.
const HEARING: [Trial; 5] =
    [hearing(3, false), hearing(3, true), hearing(12, false), hearing(12, true), trial("wait")];
const SEALING: Trial = Trial { waiting: 3, ..trial("seal") };

#[test]
fn a_sender_killed_at_any_step_leaves_whole_records_and_a_channel_that_works() {
    println!("{}", survives(killed_at_every_step, &SENDING));
}

#[test]
fn a_receiver_killed_at_any_step_has_acknowledged_only_what_it_recorded() {
    println!("{}", survives(killed_at_every_step, &HEARING));
    println!("{}", survives(killed_at_every_step, &[SEALING]));
}

#[test]
fn an_heir_killed_at_any_step_leaves_no_more_than_its_predecessor_did() {
    println!("{}", survives(killed_at_every_step, &[Trial { waiting: 5, ..trial("take over") }]));
}

#[test]
fn a_process_killed_while_it_makes_or_enters_a_channel_blocks_no_other() {
    println!("{}", survives(killed_at_every_step, &[trial("create"), trial("ends")]));
}

#[test]
fn a_sender_stopped_at_any_step_is_not_taken_for_dead_and_once_sealed_off_not_heard() {
    println!("{}", survives(stopped_at_every_step, &SENDING));
}

#[test]
fn a_receiver_stopped_at_any_step_is_not_taken_for_dead() {
    println!("{}", survives(stopped_at_every_step, &HEARING));
    println!("{}", survives(stopped_at_every_step, &[SEALING]));
}

/// The peer sleeps with no time-out to speak of, or waits for room, while its victim dies.
#[test]
fn a_sleeping_peer_is_woken_whatever_step_its_partner_died_at() {
    const HOUR: Duration = Duration::from_secs(3600);
    for trial in [trial("send"), hearing(RECORDS.into(), false)] {
        for at in 0..STEPS_MAX {
            let dir = shm();
            // A full ring: as many as are not kept for control.
            let waiting = if trial.waiting == 0 { 0 } else { u64::from(RECORDS) - 1 };
            let mut peer = Peer::new(dir.path(), Trial { waiting, ..trial });
            let channel = peer.channel;
            let sleeper = std::thread::spawn(move || -> Result<(), String> {
                if waiting > 0 {
                    let sent = peer.sent + 1;
                    return peer.sender.send(1, &payload(Who::Peer, sent), HOUR).map_err(|e| e.to_string());
                }
                let mut heard = Vec::new();
                while heard.last() != Some(&100) {
                    peer.receiver.wait(HOUR);
                    heard.extend(drain(&mut peer.receiver, Who::Victim)?);
                }
                Ok(())
            });
            let victim = Victim::start(trial.operation, dir.path(), End::Killed, at, None);
            let killed = was_killed(victim.wait()).unwrap();
            let (mut sender, mut receiver) = channel.take_over(Side::First).unwrap();
            sender.try_send(1, &payload(Who::Victim, 100)).unwrap();
            let begun = std::time::Instant::now();
            while !sleeper.is_finished() {
                drain(&mut receiver, Who::Peer).unwrap();
                assert!(begun.elapsed() < super::WATCHDOG, "{trial:?} killed at {at}: no sleeper was woken");
                std::thread::park_timeout(Duration::from_micros(200));
            }
            sleeper.join().unwrap().unwrap();
            if !killed {
                break;
            }
        }
    }
}
