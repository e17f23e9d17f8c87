//! What a victim does, in a process of its own, until its step comes.

use super::ledger::{Journal, Who, note, number, payload};
use super::{DIR, END, ROLE, arm};
use coordinator::bus::channel::{Channel, Receiver, SendError, Sender, Side};
use coordinator::bus::copy::copy_in;
use coordinator::bus::sync::call;
use coordinator::bus::tune::Tuning;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Told before the steps begin.
pub const BEFORE: u64 = 2;
/// Records of a staged batch.
pub const BATCH: u64 = 3;
/// Of the ring, so that numbers wrap.
pub const RECORDS: u32 = 16;
const SHORT: Duration = Duration::from_millis(15);

/// The test that victims run; without a role it has nothing to do.
#[test]
fn a_victim_does_what_it_is_told() {
    let Ok(role) = std::env::var(ROLE) else { return };
    // Stopped or flooding, it ends with its parent.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    match role.as_str() {
        "create" => create(&dir),
        "ends" => {
            let channel = attach(&dir);
            arm();
            let _ends = channel.ends(Side::First).unwrap();
        }
        "predecessor" => predecessor(&dir),
        "take over" => {
            let channel = attach(&dir);
            arm();
            let ends = channel.take_over(Side::First).unwrap();
            Victim::new(&dir, ends, 4).send();
        }
        "worker" => super::fleet::worker(&dir),
        "coordinator" => super::fleet::coordinator(&dir),
        storm if storm.starts_with("storm ") => super::storm::side(&dir, storm),
        operation => {
            let ends = attach(&dir).ends(Side::First).unwrap();
            let mut victim = Victim::new(&dir, ends, 1);
            for _ in 0..BEFORE {
                victim.send();
            }
            victim.operate(operation);
            if std::env::var(END).unwrap() == "stop" {
                // One that goes on after it was sealed off.
                victim.send();
            }
        }
    }
}

pub fn path(dir: &Path) -> PathBuf {
    dir.join("channel")
}

pub fn attach(dir: &Path) -> Channel {
    Channel::attach(&path(dir)).unwrap()
}

fn create(dir: &Path) {
    let plain = Tuning::PLAIN;
    arm();
    Channel::create_tuned(&path(dir), RECORDS, super::ledger::PAYLOAD_MAX, plain).unwrap();
}

/// Leaves three records, three staged ones, and two that it heard and did not acknowledge.
fn predecessor(dir: &Path) {
    let ends = attach(dir).ends(Side::First).unwrap();
    let mut victim = Victim::new(dir, ends, 1);
    for _ in 0..3 {
        victim.send();
    }
    for lost in 101..=103 {
        victim.sender.stage(1, &payload(Who::Victim, lost)).unwrap();
    }
    victim.hear(2);
}

struct Victim {
    sender: Sender,
    receiver: Receiver,
    told: File,
    recorded: File,
    /// The number of its next record.
    next: u64,
}

impl Victim {
    fn new(dir: &Path, (sender, receiver): (Sender, Receiver), next: u64) -> Self {
        let (told, recorded) = (Journal::told(dir).open(), Journal::recorded(dir).open());
        Self { sender, receiver, told, recorded, next }
    }

    fn send(&mut self) {
        let sent = self.sender.try_send(1, &payload(Who::Victim, self.next));
        self.told(1, sent);
    }

    fn told(&mut self, records: u64, sent: Result<(), SendError>) {
        for number in self.next..self.next + records {
            if sent.is_ok() {
                note(&mut self.told, number);
            }
        }
        self.next += records;
    }

    /// One look.
    fn hear(&mut self, limit: usize) -> usize {
        let recorded = &mut self.recorded;
        self.receiver
            .poll(limit, |message| {
                let number = number(&message, Who::Peer).unwrap();
                // Where the record is made to last.
                call();
                note(recorded, number);
            })
            .unwrap()
    }

    fn operate(&mut self, operation: &str) {
        if operation == "flood" {
            // Up to what is kept for control records.
            while self.sender.stage(1, &payload(Who::Victim, self.next)).is_ok() {
                self.next += 1;
            }
            let staged = self.next - BEFORE - 1;
            self.next -= staged;
            let sent = self.sender.flush();
            self.told(staged, sent);
        }
        arm();
        match operation {
            "send" => self.send(),
            "batch" => {
                let first = self.next;
                for number in first..first + BATCH {
                    // A sender that is sealed off stages nothing.
                    let _ = self.sender.stage(1, &payload(Who::Victim, number));
                }
                let sent = self.sender.flush();
                self.told(BATCH, sent);
            }
            "claim" => {
                let bytes = payload(Who::Victim, self.next);
                let claimed = self.sender.claim().map(|claim| {
                    copy_in(claim.words(), &bytes);
                    claim.commit(1, bytes.len());
                });
                let sent = claimed.and_then(|()| self.sender.flush());
                self.told(1, sent);
            }
            "control" => {
                let sent = self.sender.try_send_control(2, &payload(Who::Victim, self.next));
                self.told(1, sent);
            }
            "flood" => {
                let bytes = payload(Who::Victim, self.next);
                let sent = self.sender.send(1, &bytes, SHORT);
                if sent.is_ok() {
                    self.told(1, sent);
                }
            }
            "hear" => while self.hear(256) > 0 {},
            "wait" => {
                self.receiver.wait(SHORT);
            }
            "seal" => {
                self.receiver.seal();
                while self.hear(256) > 0 {}
            }
            other => panic!("unknown operation {other}"),
        }
    }
}
