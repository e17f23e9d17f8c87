//! Processes that die, or stand still, at every step of every operation; and what the others make of it.
//!
//! This program is its own victim: a test starts it again with a role in the environment, tells it at
//! which step to die, and then looks at what is left in shared memory, with an exact ledger of content,
//! order and count. A *step* is a change of shared memory, or a system call that others see.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bugs;
mod fleet;
mod ledger;
mod steps;
mod storm;
mod victim;

use coordinator::bus::sync::{Bug, counted};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What may hang carries a watchdog. Far above anything that is waited for here.
const WATCHDOG: Duration = Duration::from_secs(120);

const ROLE: &str = "KILLS_ROLE";
const DIR: &str = "KILLS_DIR";
const END: &str = "KILLS_END";
const AT: &str = "KILLS_AT";
const BUG: &str = "KILLS_BUG";

/// What becomes of a victim at its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

/// A victim of this program, which outlives no test: it dies with the thread that started it.
#[derive(Debug)]
struct Victim(Pid);

/// Every bug that a victim can be told to commit.
const BUGS: [Bug; 8] = [
    Bug::TailBeforeWord,
    Bug::PublishRelaxed,
    Bug::NoFence,
    Bug::RingWithoutFence,
    Bug::AcknowledgeFirst,
    Bug::PublishBeforeBytes,
    Bug::SameEpoch,
    Bug::DisarmFirst,
];

impl Victim {
    /// Starts `role` in `dir`: to end at step `at`, and to commit `bug`.
    #[expect(clippy::zombie_processes, reason = "`wait` asks the kernel itself, which also tells of stops")]
    fn start(role: &str, dir: &Path, end: End, at: u64, bug: Option<Bug>) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim::a_victim_does_what_it_is_told", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(DIR, dir)
            .env(END, if end == End::Killed { "kill" } else { "stop" })
            .env(AT, at.to_string())
            .env(BUG, bug.map_or(0, |bug| bug as u32).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(Pid::from_raw(child.id() as i32))
    }

    /// Until it has ended, or stands still.
    fn wait(&self) -> WaitStatus {
        let begun = Instant::now();
        loop {
            match waitpid(self.0, Some(WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG)).unwrap() {
                WaitStatus::StillAlive => {}
                status => return status,
            }
            assert!(begun.elapsed() < WATCHDOG, "a victim neither ends nor stops");
            std::thread::park_timeout(Duration::from_micros(200));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(self.0, signal).unwrap();
    }
}

/// True if it was killed, false if it came to its end; anything else is a finding.
fn was_killed(status: WaitStatus) -> Result<bool, String> {
    match status {
        WaitStatus::Signaled(_, Signal::SIGKILL, _) => Ok(true),
        WaitStatus::Exited(_, 0) => Ok(false),
        other => Err(format!("the victim ended with {other:?}")),
    }
}

/// From here on the victim's steps count.
fn arm() {
    let at = std::env::var(AT).unwrap().parse().unwrap();
    let bug: u32 = std::env::var(BUG).unwrap().parse().unwrap();
    counted::plant(BUGS.into_iter().find(|known| *known as u32 == bug));
    if std::env::var(END).unwrap() == "kill" { counted::kill_at(at) } else { counted::stop_at(at) }
}

/// A place in memory, as fleets have it.
fn shm() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}
