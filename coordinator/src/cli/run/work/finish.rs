//! The end of a run: what is left to write, the last report, and the exit status.

use super::super::kept::Kept;
use super::super::progress::Counts;
use super::super::results::{End, Output, Status};
use super::super::{FAILED, INTERRUPTED, OK, UNFIT, print};
use super::end::FAILURES_SHOWN;
use super::{Run, Stop};

impl Run {
    /// Writes what is left, and reports how the run ended; the exit status.
    pub(super) fn finish(mut self) -> u8 {
        self.write_rest();
        if self.stop.is_none()
            && let Err(error) = self.work.list.check_again()
        {
            let hint =
                "the tasks of the list as it was are done; do not change a list before its run has ended";
            self.broken(FAILED, &error, hint);
        }
        if let Err(error) = self.work.outputs.check() {
            self.broken(
                UNFIT,
                &error,
                "find the program that did that; `--resume` does not do such a task again",
            );
        }
        let counts = self.counts();
        self.work.progress.finish(&counts);
        let is_all = self.is_done() && self.stop != Some(Stop::Interrupted);
        if is_all {
            report_failures(&counts);
        } else {
            self.report_stop(&counts);
        }
        self.report_left();
        let earlier = self.work.journal.as_ref().map_or(0, Kept::earlier);
        if is_all && earlier > 0 {
            print::warn(format_args!(
                "{earlier} open tasks of the journal are not in this list: `coordinator restore` does them"
            ));
        }
        let (failed, failed_before) = (counts.failed, self.work.list.facts.failed_before);
        if is_all && failed_before > 0 {
            let hint = "`--retry-failed` does them again";
            print::error(format_args!("{failed_before} tasks had failed in an earlier run"), hint);
        }
        match self.stop {
            Some(Stop::Broken(status)) => status,
            Some(Stop::Interrupted | Stop::ReaderGone) => INTERRUPTED,
            Some(Stop::Halted) if self.work.rules.halt.is_failure(failed) => FAILED,
            None if failed > 0 || failed_before > 0 => FAILED,
            Some(Stop::Halted) | None => OK,
        }
    }

    /// Writes results for the tasks that have not ended, and the output that still waits for its turn.
    fn write_rest(&mut self) {
        let unfinished = std::mem::take(&mut self.in_flight).into_values();
        for task in unfinished.chain(std::mem::take(&mut self.again)) {
            if matches!(self.stop, Some(Stop::Broken(UNFIT))) {
                break;
            }
            let error = Some("the run ended before it did".to_owned());
            let end = End { status: Status::Cancelled, output: Output::default(), error };
            self.end(&task, None, &end);
        }
        let printed = self.work.printer.finish();
        self.note_printed();
        self.printed(printed);
        if let Err(error) = self.work.results.sync() {
            self.broken(UNFIT, &error, "");
        } else if !matches!(self.stop, Some(Stop::Broken(UNFIT))) {
            self.update_journal();
        }
    }

    /// Not all tasks were done: why, and how to continue.
    fn report_stop(&self, counts: &Counts) {
        let Counts { wanted, ended, failed, .. } = *counts;
        let so_far = if self.work.list.facts.open { " so far" } else { "" };
        let why = match &self.stop {
            Some(Stop::Interrupted) => "interrupted: ",
            Some(Stop::Halted) => "halted: ",
            Some(Stop::ReaderGone) => "the reader of the output has gone: ",
            Some(Stop::Broken(_)) => "stopped: ",
            None => "",
        };
        let text = format!("{why}{ended} of {wanted} tasks{so_far} had ended, {failed} of them failed");
        if self.stop == Some(Stop::Halted) && !self.work.rules.halt.is_failure(failed) {
            return print::report(text);
        }
        let hint = match &self.work.resume_command {
            _ if self.stop == Some(Stop::ReaderGone) => String::new(),
            Some(command) => format!("continue with: {command}"),
            None => "with `--results FILE`, a file on a disk, `--resume` can continue such a run".to_owned(),
        };
        print::error(text, &hint);
    }
}

/// All tasks were done: how many of them failed.
fn report_failures(counts: &Counts) {
    let Counts { wanted, failed, .. } = *counts;
    if failed == 0 {
        return;
    }
    let more = match failed.saturating_sub(FAILURES_SHOWN) {
        0 => String::new(),
        more => format!(": {FAILURES_SHOWN} of them above, and {more} more"),
    };
    print::error(format_args!("{failed} of {wanted} tasks failed{more}"), "");
}
