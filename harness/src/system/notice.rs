//! What a system says of itself.

use super::PlaceId;

/// Something that a system says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub at_ns: u64,
    /// What it is about.
    pub place: PlaceId,
    pub what: Noticed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    /// The process makes no progress. Its pid, here and below; 0 if that is not known.
    Suspected { pid: u32 },
    /// It made progress after all.
    Healed { pid: u32 },
    /// It made none for too long, and is ended.
    Hung { pid: u32 },
    /// A process of this place died unasked.
    Died { pid: u32 },
    /// A process of this place was started,
    Started,
    /// or ended in order.
    Ended,
    /// By load: another number of processes is wanted below this place.
    Resized { from: u64, to: u64 },
    /// An operator asked for another number of processes below this place.
    Scaled { from: u64, to: u64 },
    /// Another program has written this into a word of its own, and it was put back; also in words.
    Overwritten { word: &'static str, found: u64, text: String },
    /// A process of the system that has no place in it (its guard, a spare) ended, and nothing had asked it to. Its name,
    /// its pid (0 if that is not known), and how it ended, in words.
    HelperDied { name: &'static str, pid: u32, how: String },
    /// In words: why there may have been more notices, or why what happens may not be the system's own doing.
    Unread(String),
}
