//! Words that one process alone writes, as it wrote them: to compare, to put back and to name.
//!
//! Any program of the same user may write anywhere in a fleet's files at any time. An identity that was overwritten would
//! make every reader believe in a death, so its writer looks after it.

use super::slot::{ProcessCell, Stamp};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use crate::raw::raw_enum;

raw_enum! {
    /// A word that is put back if another program has overwritten it, as its number in an event.
    pub enum OwnWord: u64 {
        Stopping = 0,
        Epoch = 1,
        Stage = 2,
        /// Which one is in the event's last detail: see [`stamp_word`].
        Stamp = 3,
        Supervisors = 4,
        Adoptable = 5,
        Pid = 6,
        StartTicks = 7,
        Incarnation = 8,
        Deaths = 9,
        WaitStatus = 10,
        DeadPid = 11,
        DeadStart = 12,
        DeadStatus = 13,
        Life = 14,
        Marker = 15,
        DeadSeen = 16,
        Attached = 17,
        Recovered = 18,
        Closed = 19,
        LeftUntil = 20,
        Suspected = 21,
        Beat = 22,
        FleetDeaths = 23,
        OwnDeaths = 24,
        ClientPid = 25,
        ClientStart = 26,
        ClientMoves = 27,
    }
}

impl OwnWord {
    /// As in the source: `process.pid`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopping => "state.stopping",
            Self::Epoch => "state.epoch",
            Self::Stage => "control.stage",
            Self::Stamp => "stamp",
            Self::Supervisors => "control.supervisors",
            Self::Adoptable => "control.adoptable",
            Self::Pid => "process.pid",
            Self::StartTicks => "process.start_ticks",
            Self::Incarnation => "process.incarnation",
            Self::Deaths => "process.deaths",
            Self::WaitStatus => "process.wait_status",
            Self::DeadPid => "process.dead_pid",
            Self::DeadStart => "process.dead_start",
            Self::DeadStatus => "process.dead_status",
            Self::Life => "process.life",
            Self::Marker => "control.marker",
            Self::DeadSeen => "process.dead_seen_ns",
            Self::Attached => "process.attached_ns",
            Self::Recovered => "process.recovered_ns",
            Self::Closed => "own.closed",
            Self::LeftUntil => "own.left_until",
            Self::Suspected => "orders.suspected_ns",
            Self::Beat => "control.beat",
            Self::FleetDeaths => "control.deaths",
            Self::OwnDeaths => "own.deaths",
            Self::ClientPid => "control.client_pid",
            Self::ClientStart => "control.client_start",
            Self::ClientMoves => "control.client_moves",
        }
    }
}

/// What was found where its writer had written something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    pub word: OwnWord,
    pub found: u64,
    /// Of a stamp: see [`stamp_word`].
    pub part: u64,
}

impl Foreign {
    pub fn new(word: OwnWord, found: impl Into<u64>) -> Self {
        Self { word, found: found.into(), part: 0 }
    }

    /// Of an event.
    pub fn details(self) -> [u64; 3] {
        [self.word as u64, self.found, self.part]
    }
}

/// Puts `written` back if something else is there.
pub fn put_back(word: OwnWord, at: &AtomicU32, written: u32) -> Option<Foreign> {
    let found = at.load(Ordering::Relaxed);
    (found != written).then(|| {
        at.store(written, Ordering::Release);
        Foreign::new(word, found)
    })
}

/// As [`put_back`], of a word of eight bytes.
pub fn put_back_wide(word: OwnWord, at: &AtomicU64, written: u64) -> Option<Foreign> {
    let found = at.load(Ordering::Relaxed);
    (found != written).then(|| {
        at.store(written, Ordering::Release);
        Foreign::new(word, found)
    })
}

/// What the parent of a place's processes has written there. (The identity is written by the process too, and is the same.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenCell {
    start_ticks: u64,
    dead_start: u64,
    dead_seen_ns: u64,
    /// When a successor had what a dead one had left, and when nothing waited for it any more; `None` if another process
    /// writes these.
    successor_ns: Option<[u64; 2]>,
    words: [u32; 6],
}

/// The words of [`WrittenCell::words`], in their order.
#[derive(Debug, Clone, Copy)]
enum CellWord {
    Pid,
    Incarnation,
    Deaths,
    DeadPid,
    WaitStatus,
    DeadStatus,
}

const CELL_WORDS: [CellWord; 6] = [
    CellWord::Pid,
    CellWord::Incarnation,
    CellWord::Deaths,
    CellWord::DeadPid,
    CellWord::WaitStatus,
    CellWord::DeadStatus,
];

impl CellWord {
    fn word(self) -> OwnWord {
        match self {
            Self::Pid => OwnWord::Pid,
            Self::Incarnation => OwnWord::Incarnation,
            Self::Deaths => OwnWord::Deaths,
            Self::DeadPid => OwnWord::DeadPid,
            Self::WaitStatus => OwnWord::WaitStatus,
            Self::DeadStatus => OwnWord::DeadStatus,
        }
    }

    fn store(self, cell: &ProcessCell, value: u32) {
        match self {
            Self::Pid => cell.pid.store(value, Ordering::Release),
            Self::Incarnation => cell.incarnation.store(value, Ordering::Release),
            Self::Deaths => cell.deaths.store(value, Ordering::Release),
            Self::DeadPid => cell.dead_pid.store(value, Ordering::Release),
            Self::WaitStatus => cell.wait_status.store(value as i32, Ordering::Release),
            Self::DeadStatus => cell.dead_status.store(value as i32, Ordering::Release),
        }
    }
}

impl WrittenCell {
    /// To be taken right after this process has written there.
    pub fn of(cell: &ProcessCell) -> Self {
        let relaxed = Ordering::Relaxed;
        Self {
            start_ticks: cell.start_ticks.load(relaxed),
            dead_start: cell.dead_start.load(relaxed),
            dead_seen_ns: cell.dead_seen_ns.load(relaxed),
            successor_ns: None,
            words: [
                cell.pid.load(relaxed),
                cell.incarnation.load(relaxed),
                cell.deaths.load(relaxed),
                cell.dead_pid.load(relaxed),
                cell.wait_status.load(relaxed) as u32,
                cell.dead_status.load(relaxed) as u32,
            ],
        }
    }

    /// Of a worker's place: its parent writes all of it.
    pub fn of_worker(cell: &ProcessCell) -> Self {
        let successor_ns = [&cell.attached_ns, &cell.recovered_ns].map(|at| at.load(Ordering::Relaxed));
        Self { successor_ns: Some(successor_ns), ..Self::of(cell) }
    }

    /// Nothing is allocated unless a word was overwritten.
    pub fn put_back(&self, cell: &ProcessCell) -> Vec<Foreign> {
        let found = Self::of(cell);
        let mut foreign = Vec::new();
        // A start time that its parent could not read is written by the process alone.
        if found.start_ticks != self.start_ticks && self.start_ticks != 0 {
            cell.start_ticks.store(self.start_ticks, Ordering::Release);
            foreign.push(Foreign::new(OwnWord::StartTicks, found.start_ticks));
        }
        foreign.extend(put_back_wide(OwnWord::DeadStart, &cell.dead_start, self.dead_start));
        foreign.extend(put_back_wide(OwnWord::DeadSeen, &cell.dead_seen_ns, self.dead_seen_ns));
        if let Some([attached_ns, recovered_ns]) = self.successor_ns {
            foreign.extend(put_back_wide(OwnWord::Attached, &cell.attached_ns, attached_ns));
            foreign.extend(put_back_wide(OwnWord::Recovered, &cell.recovered_ns, recovered_ns));
        }
        for ((word, found), written) in CELL_WORDS.into_iter().zip(found.words).zip(self.words) {
            if found != written {
                word.store(cell, written);
                foreign.push(Foreign::new(word.word(), found));
            }
        }
        foreign
    }
}

/// A stamp is seen here as words of four bytes.
pub(super) const STAMP_WORDS: usize = size_of::<Stamp>() / 4;

/// A stamp as it was written: nothing of it changes, except its owner when a supervisor adopts the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenStamp([u32; STAMP_WORDS]);

impl WrittenStamp {
    pub(super) fn of(words: &[AtomicU32]) -> Self {
        Self(std::array::from_fn(|at| words[at].load(Ordering::Relaxed)))
    }

    pub(super) fn put_back(&self, words: &[AtomicU32]) -> Vec<Foreign> {
        let pairs = words.iter().zip(self.0).zip(0..);
        pairs
            .filter_map(|((at, written), part)| {
                put_back(OwnWord::Stamp, at, written).map(|foreign| Foreign { part, ..foreign })
            })
            .collect()
    }
}

/// The name of a word of four bytes in a stamp.
pub fn stamp_word(part: u64) -> &'static str {
    const NAMES: [(&str, u64); 15] = [
        ("stamp.magic", 2),
        ("stamp.layout", 2),
        ("stamp.boot", 4),
        ("stamp.created_unix_ns", 2),
        ("stamp.owner_start", 2),
        ("stamp.owner_namespace", 2),
        ("stamp.owner_pid", 1),
        ("stamp.version", 1),
        ("stamp.epoch", 1),
        ("stamp.coordinators", 1),
        ("stamp.workers", 1),
        ("stamp.payload_max", 1),
        ("stamp.depth", 1),
        ("stamp.file", 1),
        ("stamp.within", 10),
    ];
    let mut before = 0;
    for (name, words) in NAMES {
        before += words;
        if part < before {
            return name;
        }
    }
    OwnWord::Stamp.name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::fields::of_control;
    use crate::bus::shape::FleetShape;

    #[test]
    fn each_word_of_a_stamp_has_the_name_that_its_field_has() {
        let fields = of_control(&FleetShape::new(1, 1, 64, 1).unwrap());
        for field in fields.iter().filter(|field| field.name.starts_with("stamp.")) {
            let name = field.name.split('[').next().unwrap();
            assert_eq!(stamp_word(field.at / 4), name);
            assert_eq!(stamp_word((field.at + field.bytes - 1) / 4), name);
        }
    }
}
