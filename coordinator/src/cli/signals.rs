//! The signals that ask a process to stop, taken by a thread that does nothing else.

use crate::process::fork::is_ignored;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::time::{Duration, Instant};

/// `timeout` sends SIGTERM to the process and then to its group, which is one request. A person does not repeat one as fast.
const ONE_REQUEST: Duration = Duration::from_millis(100);

/// Blocks the signals that ask to stop, and calls `came` with the number of each one that comes. Several SIGTERM of one sender
/// within 100 ms are one. To be called before this process has a second thread. A SIGHUP that is ignored (`nohup`) stays so.
/// Also blocks the signal for a file over its size limit: the write fails with an error, too.
///
/// # Errors
/// The signals cannot be watched, or the thread cannot be started.
pub fn watch(mut came: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let mut stops = SigSet::empty();
    stops.add(Signal::SIGINT);
    stops.add(Signal::SIGTERM);
    if !is_ignored(Signal::SIGHUP) {
        stops.add(Signal::SIGHUP);
    }
    let mut blocked = stops;
    blocked.add(Signal::SIGXFSZ);
    blocked.thread_block()?;
    // It says who has sent a signal.
    let signals = SignalFd::with_flags(&stops, SfdFlags::SFD_CLOEXEC)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut requests = Requests::default();
        loop {
            match signals.read_signal() {
                Ok(Some(signal)) => {
                    let number = signal.ssi_signo as i32;
                    if requests.is_new(number, signal.ssi_pid, Instant::now()) {
                        came(number);
                    }
                }
                Ok(None) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    })?;
    Ok(())
}

/// Tells requests from the signals that make them up.
#[derive(Debug, Default)]
struct Requests {
    /// The sender of the last SIGTERM that was a request, and when it came.
    term: Option<(u32, Instant)>,
}

impl Requests {
    /// Whether a signal is a request of its own. `sender` is a pid, or 0 if it is not of this pid namespace.
    fn is_new(&mut self, signal: i32, sender: u32, now: Instant) -> bool {
        if signal != Signal::SIGTERM as i32 {
            return true;
        }
        let is_same = |(before, at): (u32, Instant)| {
            sender != 0 && before == sender && now.saturating_duration_since(at) < ONE_REQUEST
        };
        let is_new = !self.term.is_some_and(is_same);
        if is_new {
            self.term = Some((sender, now));
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terms_of_one_sender_in_quick_succession_are_one_request() {
        const INT: i32 = 2;
        const TERM: i32 = 15;
        const HUP: i32 = 1;
        let begun = Instant::now();
        let count = |signals: &[(i32, u32, u64)]| {
            let mut requests = Requests::default();
            let new = |&&(signal, sender, ms): &&(i32, u32, u64)| {
                requests.is_new(signal, sender, begun + Duration::from_millis(ms))
            };
            signals.iter().filter(new).count()
        };
        assert_eq!(count(&[(TERM, 7, 0), (TERM, 7, 0)]), 1);
        assert_eq!(count(&[(TERM, 7, 0), (TERM, 7, 99)]), 1);
        assert_eq!(count(&[(TERM, 7, 0), (TERM, 7, 100)]), 2);
        // The time counts from the request, so that one that is repeated without end is heard.
        assert_eq!(count(&[(TERM, 7, 0), (TERM, 7, 60), (TERM, 7, 120), (TERM, 7, 180)]), 2);
        assert_eq!(count(&[(TERM, 7, 0), (TERM, 8, 1)]), 2);
        assert_eq!(count(&[(TERM, 0, 0), (TERM, 0, 1)]), 2);
        assert_eq!(count(&[(INT, 7, 0), (INT, 7, 20)]), 2);
        assert_eq!(count(&[(HUP, 7, 0), (HUP, 7, 1)]), 2);
        assert_eq!(count(&[(TERM, 7, 0), (INT, 7, 1), (TERM, 7, 2)]), 2);
    }
}
