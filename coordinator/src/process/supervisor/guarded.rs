//! The guard of a fleet, from the supervisor's side: there is one before the first coordinator, and again if it is killed.

use super::{STOP_GRACE, SuperviseError, Supervisor};
use crate::bus::events::Helper;
use crate::config::SupervisorDeath;
use crate::os::clock::now_ns;
use crate::process::reap::HowEnded;
use crate::process::{fork, guard};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A guard that could not be started is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);
/// What is left of a fleet that ends with its supervisor has this long to end by itself: more than coordinators take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where the coordinators wait for another supervisor: more than they wait.
const PATIENCE_ADOPTED: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// The guard, if it is a child of this process. A supervisor that has adopted its fleet may have that of its predecessor.
    pub by: Option<Pid>,
    /// No process of the fleet is older, in clock ticks since the host's start; 0 if that is not known.
    pub since_ticks: u64,
    /// There is one: its end is not known.
    pub is_due: bool,
    due_ns: u64,
    /// There was one that could not be started, which has been reported.
    refused: bool,
}

impl Supervisor {
    /// Before the first coordinator. A fork that is refused is tried again while the fleet runs.
    pub(super) fn start_guard(&mut self) -> Result<(), SuperviseError> {
        let system = |errno| SuperviseError::System { what: "make a pipe", errno };
        let reader = guard::prepare().map_err(system)?;
        let started = self.fork_guard(&reader);
        self.note_guard(started, now_ns());
        Ok(())
    }

    /// Starts another guard if there is none.
    pub(super) fn keep_guard(&mut self, now: u64) {
        if self.guarded.by.is_some() || now < self.guarded.due_ns {
            return;
        }
        self.guarded.due_ns = now + AGAIN.as_nanos() as u64;
        if guard::is_there() {
            return;
        }
        // That of a predecessor, whose end this process is not told.
        if std::mem::take(&mut self.guarded.is_due) {
            self.helper_died(Helper::Guard, 0, HowEnded::Unseen);
        }
        let started = guard::reopen().and_then(|reader| self.fork_guard(&reader));
        if let Ok(pid) = started {
            self.report(&format!("the fleet had no guard; process {pid} is its guard now"));
        }
        self.note_guard(started, now);
    }

    fn fork_guard(&self, reader: &OwnedFd) -> nix::Result<Pid> {
        let patience = match self.launch.policy.supervisor_death {
            SupervisorDeath::End => PATIENCE,
            SupervisorDeath::Adopt => PATIENCE_ADOPTED,
        };
        let fleet = guard::Guarded {
            marker: &self.marker,
            dir: &self.dir,
            created_unix_ns: self.stamped.created_unix_ns,
            since_ticks: self.guarded.since_ticks,
        };
        guard::start(reader, &fleet, patience)
    }

    fn note_guard(&mut self, started: nix::Result<Pid>, now: u64) {
        let errno = match started {
            Ok(pid) => {
                self.guarded.by = Some(pid);
                self.guarded.is_due = true;
                self.guarded.refused = false;
                return;
            }
            Err(errno) => errno,
        };
        self.guarded.due_ns = now + AGAIN.as_nanos() as u64;
        if !std::mem::replace(&mut self.guarded.refused, true) {
            self.report(&format!(
                "the guard, which ends what a killed fleet leaves behind, cannot be started: {errno}; trying again"
            ));
        }
    }

    /// Once no other process of the fleet is left: the guard ends what commands have left, and then itself.
    pub(super) fn dismiss_guard(&mut self) {
        fork::drop_lifeline();
        let deadline = Instant::now() + STOP_GRACE;
        while let Some(pid) = self.guarded.by {
            let now = Instant::now();
            if now >= deadline + STOP_GRACE {
                return;
            }
            if now >= deadline {
                // It is stopped, or what it has killed does not end.
                let _ = kill(pid, Signal::SIGKILL);
            }
            self.reap(true);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
