//! What a person reads on standard error: lines, and on a terminal one line that is redrawn.
//!
//! In a [`hurry`](super::outlet::hurry) no line is waited for: lines that are not taken wait here, up to a limit, and
//! status that is not taken is dropped.

use super::fit;
use super::outlet::{Outlet, Stream, WAIT_MAX, is_in_hurry};
use std::io::{ErrorKind, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of lines that wait for their reader. More than a run reports that is not drowned in its own errors.
const WAITING_MAX: usize = 256 * 1024;
/// To the beginning of the line, and nothing to the right of it.
const CLEAR: &[u8] = b"\r\x1b[K";
const COLUMNS: usize = 80;
const LOOK: Duration = Duration::from_millis(50);

struct Console {
    /// Not taken yet.
    waiting: Vec<u8>,
    /// Lines that found no room there.
    dropped: u64,
    /// The terminal's last line is a status.
    has_status: bool,
    /// When to stop waiting for the reader.
    until: Option<Instant>,
}

static CONSOLE: Mutex<Console> =
    Mutex::new(Console { waiting: Vec::new(), dropped: 0, has_status: false, until: None });

fn console() -> MutexGuard<'static, Console> {
    CONSOLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line, or several, as wide as the terminal is.
pub fn line(text: &str) {
    let fitted = fit::for_stream(Stream::Stderr, text.to_owned());
    bytes(&[fitted.as_bytes(), b"\n"].concat());
}

/// Writes whole lines that may not be text, such as the output of a command.
pub fn bytes(bytes: &[u8]) {
    let mut console = console();
    console.end_status();
    if is_in_hurry() && console.waiting.len() + bytes.len() > WAITING_MAX {
        console.dropped += 1;
    } else {
        console.waiting.extend_from_slice(bytes);
    }
    console.flush();
}

/// Redraws the status line of a terminal that [`can_redraw`]. It is dropped if the terminal takes nothing.
pub fn status(text: &str) {
    let mut console = console();
    console.flush();
    if console.waiting.is_empty() {
        let columns = fit::columns(Stream::Stderr).unwrap_or(COLUMNS);
        // In the last column some terminals begin a new line.
        let text: String = text.chars().take(columns - 1).collect();
        let drawn = [CLEAR, text.as_bytes()].concat();
        match Outlet::open(Stream::Stderr).try_write(&drawn) {
            Ok(written) => {
                console.has_status = true;
                console.waiting.extend_from_slice(&drawn[written..]);
            }
            Err(_) => console.has_status = false,
        }
    }
}

/// Removes the status line, until it is redrawn.
pub fn clear_status() {
    let mut console = console();
    console.end_status();
    console.flush();
}

/// Tries again what was not taken.
pub fn flush() {
    console().flush();
}

/// To be called before the process ends: waits for the reader, in a hurry for [`WAIT_MAX`] at most.
pub fn finish() {
    let mut console = console();
    console.until = Some(Instant::now() + WAIT_MAX);
    console.flush();
}

/// Standard error is a terminal.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// It is one that obeys escape sequences: others get a line for each status.
pub fn can_redraw() -> bool {
    obeys_escapes() && is_terminal()
}

/// What the environment says of the terminal.
pub fn obeys_escapes() -> bool {
    std::env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

impl Console {
    fn end_status(&mut self) {
        if std::mem::take(&mut self.has_status) {
            self.waiting.extend_from_slice(CLEAR);
        }
    }

    fn waits(&self) -> bool {
        !is_in_hurry() || self.until.is_some_and(|until| Instant::now() < until)
    }

    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let outlet = Outlet::open(Stream::Stderr);
        let mut done = 0;
        while done < self.waiting.len() {
            match outlet.try_write(&self.waiting[done..]) {
                Ok(written) => done += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.waits() {
                        break;
                    }
                    outlet.wait(LOOK);
                }
                // If standard error cannot be written, there is no other place to report it.
                Err(_) => done = self.waiting.len(),
            }
            if done == self.waiting.len() && self.dropped > 0 {
                let lines = std::mem::take(&mut self.dropped);
                let text = format!("warning: {lines} reports were dropped: standard error was not read\n");
                self.waiting.extend_from_slice(text.as_bytes());
            }
        }
        self.waiting.drain(..done);
    }
}
