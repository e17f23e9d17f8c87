//! The progress of a run: on a terminal, one line on standard error that is redrawn; elsewhere, a line now and then.

use super::console;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How often the line is redrawn on a terminal.
const DRAW: Duration = Duration::from_millis(200);
/// How often a line is added elsewhere.
const ADD: Duration = Duration::from_secs(5);

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    /// If standard error is a terminal
    Auto,
    Always,
    Never,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Tasks of this run.
    pub(super) wanted: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
    pub(super) running: u64,
    /// More tasks may come.
    pub(super) open: bool,
}

#[derive(Debug)]
pub(super) struct Progress {
    form: Form,
    begun: Instant,
    last: Instant,
}

#[derive(Debug)]
enum Form {
    Hidden,
    Lines,
    Status,
}

impl Progress {
    pub(super) fn new(when: When) -> Self {
        let form = match when {
            When::Auto | When::Always if console::can_redraw() => Form::Status,
            When::Auto | When::Always if console::is_terminal() => Form::Lines,
            When::Always => Form::Lines,
            When::Auto | When::Never => Form::Hidden,
        };
        let now = Instant::now();
        Self { form, begun: now, last: now }
    }

    pub(super) fn update(&mut self, counts: &Counts) {
        console::flush();
        let every = match self.form {
            Form::Hidden => return,
            Form::Lines => ADD,
            Form::Status => DRAW,
        };
        if self.last.elapsed() >= every {
            self.last = Instant::now();
            let text = line(counts, self.begun.elapsed());
            match &self.form {
                Form::Status => console::status(&text),
                Form::Lines | Form::Hidden => super::print::report(text),
            }
        }
    }

    /// Shows the final counts.
    pub(super) fn finish(&mut self, counts: &Counts) {
        let text = line(counts, self.begun.elapsed());
        match &self.form {
            Form::Hidden => {}
            Form::Lines | Form::Status => super::print::report(text),
        }
    }

    /// Makes room for the output of commands, until the next update.
    pub(super) fn clear(&mut self) {
        if matches!(self.form, Form::Status) {
            console::clear_status();
        }
    }
}

fn line(counts: &Counts, elapsed: Duration) -> String {
    let Counts { wanted, ended, failed, running, open } = *counts;
    let percent = (ended * 100).checked_div(wanted).unwrap_or(100);
    let rate = ended as f64 / elapsed.as_secs_f64().max(1e-3);
    // Writing into a string cannot fail.
    let mut text = format!("{ended}/{wanted}");
    let _ = if open { write!(text, "+") } else { write!(text, " ({percent} %)") };
    let _ = write!(text, "  {failed} failed  {running} running  {rate:.1}/s");
    if open {
        return text;
    }
    if ended > 0 && ended < wanted {
        let left = Duration::from_secs_f64(((wanted - ended) as f64 / rate).min(1e9));
        let _ = write!(text, "  {} left", time(left));
    } else if ended == wanted {
        let _ = write!(text, "  in {}", time(elapsed));
    }
    text
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        3600..86400 => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_is_done_and_what_is_left() {
        let half = Counts { wanted: 200, ended: 100, failed: 3, running: 8, open: false };
        let text = line(&half, Duration::from_secs(50));
        assert_eq!(text, "100/200 (50 %)  3 failed  8 running  2.0/s  50 s left");
        let all = Counts { ended: 200, running: 0, ..half };
        assert_eq!(
            line(&all, Duration::from_secs(4000)),
            "200/200 (100 %)  3 failed  0 running  0.1/s  in 1:06 h"
        );
        let none = Counts { ended: 0, ..half };
        assert_eq!(line(&none, Duration::ZERO), "0/200 (0 %)  3 failed  8 running  0.0/s");
        assert!(line(&Counts::default(), Duration::ZERO).starts_with("0/0 (100 %)"));
    }
}
