//! The start: from the first fork until the last coordinator has reported that its workers are up.

use super::places::{Duty, PlaceState, Refusal};
use super::{Ending, SuperviseError, Supervisor};
use crate::bus::sync::Ordering;
use crate::os::clock::now_ns;
use crate::process::reap::HowEnded;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

pub(super) const START_MAX: Duration = Duration::from_secs(60);
/// A fork that is refused at the start is tried again for this long; then the fleet starts without it, or not at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the coordinators say when they are up, or are not: a line from each, `<number> ready` or `<number> <why not>`.
struct Reports {
    lines: BufReader<File>,
    /// The one that is being read.
    line: String,
    /// How many are up.
    ready: usize,
}

impl Supervisor {
    pub(super) fn start(&mut self) -> Result<(), SuperviseError> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)
            .map_err(|errno| SuperviseError::System { what: "make a pipe", errno })?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| SuperviseError::System { what: "read from a pipe", errno })?;
        let mut reports =
            Reports { lines: BufReader::new(File::from(reader)), line: String::new(), ready: 0 };
        for at in 0..self.scaling.wanted as usize {
            if let Some(max) = self.launch.policy.spawn_max {
                self.wait_for_coordinators(&mut reports, max.get() as usize - 1)?;
            }
            if let Err(refusal) = self.start_with_retries(at, &writer) {
                if !self.launch.policy.partial || !refusal.is_temporary() {
                    return Err(match refusal {
                        Refusal::Fork(errno) => SuperviseError::System { what: "start a coordinator", errno },
                        Refusal::Region(error) => error.into(),
                    });
                }
                let pause = self.record_refusal(at, &refusal);
                let place = &mut self.places[at];
                place.state = PlaceState::Replacing;
                place.due_ns = now_ns() + pause.as_nanos() as u64;
            }
        }
        // The children have it; when the last of them closes it, the reader sees the end.
        drop(writer);
        if self.started() == 0 {
            return Err(SuperviseError::System { what: "start any coordinator", errno: nix::Error::EAGAIN });
        }
        self.wait_for_coordinators(&mut reports, 0)
    }

    fn start_with_retries(&mut self, at: usize, writer: &OwnedFd) -> Result<(), Refusal> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.start_at(at, Duty::Serve, Some(writer)) {
                Err(refusal) if refusal.is_temporary() && Instant::now() < deadline => {
                    std::thread::sleep(self.record_refusal(at, &refusal));
                }
                done => return done,
            }
        }
    }

    fn started(&self) -> usize {
        self.places.iter().filter(|place| place.state == PlaceState::Alive).count()
    }

    /// Until at most `starting` of the coordinators that were started have not reported yet.
    fn wait_for_coordinators(
        &mut self,
        reports: &mut Reports,
        starting: usize,
    ) -> Result<(), SuperviseError> {
        let deadline = Instant::now() + START_MAX;
        let wanted = self.started().saturating_sub(starting);
        let Reports { lines, line, ready } = reports;
        while *ready < wanted {
            match lines.read_line(line) {
                Ok(n) if n > 0 && line.ends_with('\n') => {
                    let (number, word) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
                    if word != "ready" {
                        let coordinator = number.parse().unwrap_or(u32::MAX);
                        return Err(SuperviseError::Coordinator { coordinator, why: word.to_owned() });
                    }
                    *ready += 1;
                    line.clear();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The end, or a line cut off: a coordinator has died, which is noticed below.
                Ok(_) | Err(_) => {}
            }
            if Instant::now() > deadline {
                return Err(SuperviseError::TooSlow);
            }
            if let Some(ending) = self.wait_for_events(Some(lines.get_ref()), Duration::from_millis(100))? {
                let why = match ending {
                    Ending::Signal(signal) => format!("interrupted by {signal} while starting"),
                    Ending::OwnerDied => "the fleet's owner died while the fleet started".to_owned(),
                };
                return Err(SuperviseError::Coordinator { coordinator: 0, why });
            }
            if let Some(dead) = self.places.iter().find(|place| place.state == PlaceState::Closed) {
                let raw = self.control.coordinator(dead.index).process.wait_status.load(Ordering::Relaxed);
                // Its own report may still be in the pipe.
                let mut last = String::new();
                let _ = lines.read_line(&mut last);
                let why = last.split_once(' ').map(|(_, why)| why.trim().to_owned());
                return Err(SuperviseError::Coordinator {
                    coordinator: dead.index,
                    why: why.filter(|why| why != "ready").unwrap_or_else(|| {
                        format!("{} while it started", HowEnded::from_raw(raw).in_fleet())
                    }),
                });
            }
        }
        Ok(())
    }
}
