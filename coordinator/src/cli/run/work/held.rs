//! Ended tasks whose output waits for its turn, and stands nowhere else: they are noted as ended once it is printed.

use super::super::results::{End, Status};
use super::{Run, Started};
use crate::snapshot::{Ended, Entry};
use crate::wire::spooled::Spooled;

#[derive(Debug)]
pub(super) struct Held {
    status: Status,
    /// Its entry in the journal.
    entry: Option<Entry>,
    /// The same, in the journal of the fleet's clients.
    noted: Option<Entry>,
    /// Its output for the next client, should this one be killed.
    spooled: Option<Spooled>,
}

impl Run {
    /// Whether the output of the task is only held, and a journal must not yet say that the task has ended. `ended` is whether
    /// it has.
    pub(super) fn is_held(&mut self, task: &Started, end: &End<'_>, ended: bool) -> bool {
        let has_journal = self.work.journal.is_some() || self.work.clients.is_some();
        if !has_journal || self.work.results.is_file() || !self.work.printer.is_held(task.turn) {
            return false;
        }
        let entry = task.entry.filter(|_| ended);
        let spooled = self.work.clients.as_ref().and_then(|_| end.output.spooled());
        self.held.insert(task.turn, Held { status: end.status, entry, noted: None, spooled });
        true
    }

    /// The next client gets the answer, unless its output is printed before.
    pub(super) fn hold_noted(&mut self, task: &Started, noted: Entry) {
        if let Some(held) = self.held.get_mut(&task.turn) {
            held.noted = Some(noted);
        }
    }

    /// Notes the tasks whose turn has come.
    pub(super) fn note_printed(&mut self) {
        for turn in self.work.printer.came_out() {
            let Some(held) = self.held.remove(&turn) else { continue };
            if let (Some(journal), Some(entry)) = (&mut self.work.journal, held.entry) {
                journal.ended(entry, held.status);
            }
            if let (Some(clients), Some(noted)) = (&mut self.work.clients, held.noted) {
                clients.ended(noted, Ended::Answered);
            }
            held.spooled.iter().for_each(Spooled::remove);
        }
    }
}
