//! The open tasks of a coordinator, read from its task table while it works.

use crate::bus::copy::copy_out;
use crate::bus::ring::HEADER;
use crate::bus::slot::TableEntry;
use crate::bus::sync::Ordering;
use crate::bus::view::Region;
use crate::plan::lease::{State, Word};
use crate::wire::{AnswerHeader, TaskHeader};
use zerocopy::FromBytes;

/// A task that waits, or that a worker has in hand.
pub(super) struct Open {
    pub(super) task: TaskHeader,
    pub(super) is_queued: bool,
    pub(super) leased_to: Option<u32>,
    /// How many workers have begun it.
    pub(super) attempt: u8,
}

/// The open tasks of the table. The table is written meanwhile: an entry counts only if it was the same before and
/// after the reading.
pub(super) fn open(region: Region) -> Vec<Open> {
    region.table().iter().filter_map(open_entry).collect()
}

fn open_entry(entry: &TableEntry) -> Option<Open> {
    let raw = entry.word.load(Ordering::Acquire);
    let word = Word::from_raw(raw);
    let state = word.state().filter(|state| matches!(state, State::Queued | State::Leased))?;
    let mut header = [0; HEADER];
    copy_out(&entry.task, &mut header);
    if Word::from_raw(entry.word.load(Ordering::Acquire)).generation() != word.generation() {
        return None;
    }
    Some(Open {
        task: TaskHeader::read_from_bytes(&header).ok()?,
        is_queued: state == State::Queued,
        leased_to: (state == State::Leased).then(|| word.worker().into()),
        attempt: word.attempt(),
    })
}

/// The task that an entry holds, if it is queued or in hand.
pub(crate) fn open_task(entry: &TableEntry) -> Option<TaskHeader> {
    open_entry(entry).map(|open| open.task)
}

/// The tasks that are queued or in hand, by their entries.
pub(crate) fn open_tasks(region: Region) -> impl Iterator<Item = (u32, TaskHeader)> {
    (0..).zip(region.table()).filter_map(|(at, entry)| Some((at, open_task(entry)?)))
}

/// The last answer that an entry held.
pub(crate) fn answer_of(entry: &TableEntry) -> AnswerHeader {
    let mut header = [0; HEADER];
    copy_out(&entry.answer, &mut header);
    AnswerHeader::read_from_bytes(&header)
        .expect("HEADER is the size of an AnswerHeader: asserted at compile time in wire.rs")
}
