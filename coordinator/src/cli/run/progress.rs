//! How far a run is: one line on standard error that is drawn over, or a line now and then where that cannot be.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is drawn.
const DRAW: Duration = Duration::from_millis(200);
/// How often a line is added where none can be drawn over.
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
    /// Tasks to be done now.
    pub(super) wanted: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
    pub(super) running: u64,
    /// More may come.
    pub(super) open: bool,
}

#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    is_terminal: bool,
    begun: Instant,
    last: Instant,
    /// A line stands there, and its end is the cursor's place.
    drawn: bool,
}

impl Progress {
    pub(super) fn new(when: When) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let shown = match when {
            When::Auto => is_terminal,
            When::Always => true,
            When::Never => false,
        };
        let now = Instant::now();
        Self { shown, is_terminal, begun: now, last: now, drawn: false }
    }

    pub(super) fn update(&mut self, counts: &Counts) {
        let every = if self.is_terminal { DRAW } else { ADD };
        if self.shown && self.last.elapsed() >= every {
            self.draw(counts);
        }
    }

    /// The last word.
    pub(super) fn finish(&mut self, counts: &Counts) {
        if self.shown {
            self.draw(counts);
            if self.drawn {
                self.drawn = false;
                let _ = writeln!(std::io::stderr());
            }
        }
    }

    /// Makes room for other words.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn draw(&mut self, counts: &Counts) {
        self.last = Instant::now();
        let mut text = line(counts, self.begun.elapsed());
        let mut out = std::io::stderr().lock();
        // Nobody can be told that nobody can be told.
        let _ = if self.is_terminal {
            let width = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns));
            // A line of the whole width would be followed by another one.
            text.truncate(width.saturating_sub(1).max(10));
            self.drawn = true;
            write!(out, "\r\x1b[K{text}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }
}

/// ASCII alone: it is cut off where the terminal ends.
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
    fn a_line_tells_what_is_done_and_what_is_left() {
        let half = Counts { wanted: 200, ended: 100, failed: 3, running: 8, open: false };
        let said = line(&half, Duration::from_secs(50));
        assert_eq!(said, "100/200 (50 %)  3 failed  8 running  2.0/s  50 s left");
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
