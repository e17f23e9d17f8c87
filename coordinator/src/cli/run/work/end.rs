//! The end of a task: its result, its output, and its place in the journal.

use super::super::output::{Printer, Unprinted};
use super::super::results::{End, Status, Whose, is_elsewhere};
use super::super::source::Source;
use super::super::task::Job;
use super::super::{UNFIT, print};
use super::{Run, Started, Stop};
use crate::client::WorkerRef;

/// How many failures are printed one by one.
pub(super) const FAILURES_SHOWN: u64 = 10;

impl Run {
    /// Writes down how a task ended; true if its result is where it was to go.
    pub(super) fn end(&mut self, task: &Started, worker: Option<WorkerRef>, end: &End<'_>) -> bool {
        let job = &task.job;
        // A task that an operator has cancelled while the run continues has ended like any other.
        let ended = end.status != Status::Cancelled || self.stop.is_none();
        self.counts.ended += u64::from(ended);
        let hash = job.hash_text();
        let whose = Whose {
            id: &job.id,
            number: Some(job.number),
            hash: Some(&hash),
            input: job.input.as_deref(),
            worker,
            sent_ns: task.sent.map_or(0, |(_, sent_ns)| sent_ns),
            attempts_before: task.deaths,
            before: false,
        };
        let mut is_written = true;
        if let Err(error) = self.work.results.put(&whose, end, self.unix_ns) {
            is_written = false;
            self.unwritten(&error);
        }
        if self.work.printer.prints() {
            self.work.progress.clear();
            let output = &end.output;
            // The answer of an agent program is printed as a line.
            let answer = output.result.as_ref().map(|result| format!("{}\n", result.get()));
            let answer = answer.as_ref().map(|answer| Source::Bytes(answer.as_bytes()));
            let stdout = answer.as_ref().unwrap_or(&output.stdout);
            let printed = self.work.printer.take(task.turn, &job.id, stdout, &output.stderr);
            is_written &= printed.is_ok() || self.work.results.is_file();
            is_written &= !self.is_held(task, end, ended);
            self.note_printed();
            self.printed(printed);
            if output.truncated {
                let hint = "`--output-max` keeps more; without it, all of it is kept";
                print::warn(format!("task {}: output was cut off: {hint}", job.name()));
            }
        }
        if is_written {
            end.output.remove();
        }
        if end.output.code.is_some() {
            self.work.outputs.note(&job.id);
        }
        if ended && end.status != Status::Ok {
            self.counts.failed += 1;
            self.report_failure(job, end);
        }
        if let (Some(journal), Some(entry), true) = (&mut self.work.journal, task.entry, ended && is_written)
        {
            journal.ended(entry, end.status);
        }
        is_written
    }

    fn report_failure(&mut self, job: &Job, end: &End<'_>) {
        if self.counts.failed > FAILURES_SHOWN {
            return;
        }
        self.work.progress.clear();
        let why = end.error.as_deref().unwrap_or("failed");
        print::error(format_args!("task {}: {why}", job.name()), "");
    }

    pub(super) fn printed(&mut self, printed: Result<(), Unprinted>) {
        match printed {
            // The results are what was asked for; the printed output was an extra.
            Err(Unprinted::ReaderGone) if self.work.results.is_file() => {
                self.work.printer = Printer::new(false, false, false);
            }
            Err(Unprinted::ReaderGone) if self.stop.is_none() => self.stop = Some(Stop::ReaderGone),
            Ok(()) | Err(Unprinted::ReaderGone | Unprinted::Stopped) => {}
            Err(Unprinted::Stalled) => {
                self.lost("standard output is not read: the output of the tasks that end now is not printed");
            }
            Err(Unprinted::Unheard) => {
                self.lost(
                    "standard error is not read: what the tasks that end now wrote there is not printed",
                );
            }
            // The output is what was asked for: more tasks would only lose more of it.
            Err(Unprinted::Error(error)) => self.broken(UNFIT, &error, ""),
        }
    }

    /// Output is not printed. Where it was to go to no other place, the run has not done all that was asked.
    fn lost(&mut self, what: &str) {
        let is_kept = self.work.results.is_file();
        print::error(what, if is_kept { "it is in the results" } else { "" });
        if !is_kept && self.stop.is_none() {
            self.stop = Some(Stop::Interrupted);
        }
    }

    /// A result cannot be written: no more tasks are done.
    fn unwritten(&mut self, error: &str) {
        if !self.work.results.is_stalled() {
            let hint = match self.work.results.regular() {
                Some(_) => "the results so far are complete; find out why, and then continue as below",
                None => "name a file on a disk: what is written there cannot be read again",
            };
            if is_elsewhere(error) {
                // They cannot say any more which tasks are done.
                self.work.resume_command = None;
            }
            return self.broken(UNFIT, error, if is_elsewhere(error) { "" } else { hint });
        }
        if !matches!(self.stop, Some(Stop::Interrupted | Stop::Broken(_))) {
            self.stop = Some(Stop::Interrupted);
        }
    }

    /// Stops the run with an error, and prints it unless another one came first.
    pub(super) fn broken(&mut self, status: u8, error: &str, hint: &str) {
        if !matches!(self.stop, Some(Stop::Broken(_))) {
            self.work.progress.clear();
            print::error(error, hint);
            self.stop = Some(Stop::Broken(status));
        }
    }
}
