//! The process that answers trapped calls: each goes on, or fails if it is armed, the call is on shared memory, and its turn
//! has come.
//!
//! If its harness goes, it lets every call go on until the last process below the filter has ended: a fleet that ends itself has to open
//! what it removes.

use super::aim;
use super::orders::{COUNTS, CallErrors, Counts, DISARM};
use crate::failing::Turns;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use trap::{Answer, Call, Listener};

/// An order is a line of a hundred bytes at most.
const ORDER_MAX: usize = 256;

/// Armed: the turns of the system and of the probe, which do not disturb each other.
#[derive(Debug)]
struct Armed {
    errno: Errno,
    system: Turns,
    probe: Turns,
}

#[derive(Debug)]
struct Answers {
    /// The directory of shared memory, as it is called and as it is.
    dirs: [PathBuf; 2],
    /// The thread of the probe.
    probe: u32,
    armed: Option<Armed>,
    counts: Counts,
}

/// Answers the calls on `calls`, obeys the orders on `control` until that is closed, and returns when no process is left whose calls are
/// trapped. `probe` is the thread of the probe, `dir` the directory of shared memory.
///
/// # Errors
/// The kernel refuses one of both.
pub fn serve(calls: OwnedFd, control: OwnedFd, probe: u32, dir: &Path) -> io::Result<()> {
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut answers = Answers { dirs: [dir.to_owned(), real], probe, armed: None, counts: Counts::default() };
    let calls = Listener::new(calls)?;
    let mut control = Some(File::from(control));
    let mut orders = Vec::new();
    if let Some(control) = &mut control {
        writeln!(control, "{}", answers.counts)?;
    }
    loop {
        let mut fds = vec![PollFd::new(&calls, PollFlags::IN)];
        fds.extend(control.as_ref().map(|control| PollFd::new(control, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            found => found?,
        };
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        // First: a call that comes after an order was obeyed is answered by it.
        if ready.get(1).is_some_and(|ready| !ready.is_empty())
            && let Some(mut orderer) = control.take()
        {
            let goes_on = answers.obey(&mut orderer, &mut orders).unwrap_or(false);
            control = goes_on.then_some(orderer);
            // What the fleet of a harness that has gone does is to end.
            answers.armed = answers.armed.take().filter(|_| goes_on);
        }
        if ready[0].contains(PollFlags::IN) {
            answers.next(&calls)?;
        } else if !ready[0].is_empty() {
            // No process is below the filter any more.
            return Ok(());
        }
    }
}

impl Answers {
    /// Reads what there is of orders; false if the harness has closed its end.
    fn obey(&mut self, control: &mut File, orders: &mut Vec<u8>) -> io::Result<bool> {
        let mut bytes = [0; ORDER_MAX];
        let read = match control.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            read => read?,
        };
        orders.extend_from_slice(&bytes[..read]);
        while let Some(end) = orders.iter().position(|byte| *byte == b'\n') {
            let order = String::from_utf8_lossy(&orders[..end]).into_owned();
            orders.drain(..=end);
            if self.carry_out(&order) {
                writeln!(control, "{}", self.counts)?;
            } else {
                writeln!(control, "unknown order")?;
            }
        }
        Ok(read > 0 && orders.len() <= ORDER_MAX)
    }

    fn carry_out(&mut self, order: &str) -> bool {
        match (order, order.parse::<CallErrors>()) {
            (DISARM, _) => self.armed = None,
            (COUNTS, _) => {}
            (_, Ok(errors)) => {
                self.counts = Counts::default();
                let [system, probe] = [0, 1].map(|stream| Turns::new(errors.which, errors.seed, stream));
                self.armed = Some(Armed { errno: errors.errno, system, probe });
            }
            _ => return false,
        }
        true
    }

    fn next(&mut self, listener: &Listener) -> io::Result<()> {
        let Some(call) = listener.receive()? else { return Ok(()) };
        let is_meant = self.armed.is_some() && self.is_on_shared_memory(&call) && listener.is_waiting(&call);
        let answer = if is_meant { self.turn(&call) } else { Answer::Continue };
        let is_probe = call.thread == self.probe;
        if listener.answer(&call, answer)? && answer != Answer::Continue {
            // What was killed meanwhile has not failed.
            *(if is_probe { &mut self.counts.probes_failed } else { &mut self.counts.failed }) += 1;
        }
        Ok(())
    }

    fn turn(&mut self, call: &Call) -> Answer {
        let Some(armed) = &mut self.armed else { return Answer::Continue };
        let is_probe = call.thread == self.probe;
        *(if is_probe { &mut self.counts.probes } else { &mut self.counts.calls }) += 1;
        let turn = if is_probe { &mut armed.probe } else { &mut armed.system };
        if turn.fails() { Answer::Fail(armed.errno) } else { Answer::Continue }
    }

    fn is_on_shared_memory(&self, call: &Call) -> bool {
        aim::of(call).is_some_and(|path| self.dirs.iter().any(|dir| path.starts_with(dir)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fails_no_call_before_it_is_armed_and_after_it_is_disarmed() {
        let mut answers =
            Answers { dirs: [const { PathBuf::new() }; 2], probe: 0, armed: None, counts: Counts::default() };
        assert!(answers.armed.is_none());
        assert!(answers.carry_out("arm 28 1 nth 1") && answers.armed.is_some());
        assert!(answers.carry_out("counts") && answers.armed.is_some());
        assert!(answers.carry_out("disarm") && answers.armed.is_none());
        assert!(!answers.carry_out("arm"));
    }
}
