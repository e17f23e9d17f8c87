//! How a command or an agent program is ended before its time: which signal it gets, and how long it then has.

use nix::sys::signal::Signal;
use std::time::Duration;

/// Between the signal and SIGKILL, if nothing else is said.
pub const GRACE: Duration = Duration::from_millis(500);
/// The longest that may be asked for.
pub const GRACE_MAX: Duration = Duration::from_secs(60);

/// The signal that asks it to end, and the time until SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    pub signal: Signal,
    pub grace: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: Signal::SIGTERM, grace: GRACE }
    }
}

/// Reads the name of a signal, with or without SIG and in any case.
///
/// # Errors
/// The name is not that of a signal, or the signal does not end a process by default: it stops it, continues it, or has no
/// effect.
pub fn parse_signal(text: &str) -> Result<Signal, String> {
    let upper = text.trim().to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let signal: Signal = name.parse().map_err(|_| {
        format!("`{text}` is not the name of a signal; write one such as TERM, INT, HUP, QUIT or USR1")
    })?;
    match signal {
        Signal::SIGSTOP
        | Signal::SIGTSTP
        | Signal::SIGTTIN
        | Signal::SIGTTOU
        | Signal::SIGCONT
        | Signal::SIGCHLD
        | Signal::SIGURG
        | Signal::SIGWINCH => Err(format!(
            "{signal} does not end a process; write a signal such as TERM, INT, HUP, QUIT or USR1"
        )),
        signal => Ok(signal),
    }
}

/// The name of a signal without SIG.
pub fn signal_name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_that_can_end_a_process_is_read_by_its_name() {
        for signal in Signal::iterator() {
            let name = signal_name(signal);
            // What the kernel does with a process that does nothing about it: `signal(7)`.
            let ends = !["STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "URG", "WINCH"].contains(&name);
            match parse_signal(name) {
                Ok(read) => assert!(ends && read == signal, "{name}"),
                Err(why) => assert!(!ends && why.contains("does not end a process"), "{why}"),
            }
            assert_eq!(parse_signal(signal.as_str()).ok(), parse_signal(name).ok());
        }
        assert_eq!(parse_signal(" sigint "), Ok(Signal::SIGINT));
        for wrong in ["", "9", "NOPE", "SIG", "STOP", "cont"] {
            assert!(parse_signal(wrong).unwrap_err().contains("such as TERM"), "{wrong}");
        }
    }
}
