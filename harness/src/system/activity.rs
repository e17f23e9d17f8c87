//! What the kernel says about whether a process gets on.

use super::{Identity, PlaceId};
use nix::libc;
use procfs::process::{Process, StatFlags, Syscall};

/// The system calls that make a process.
const FORKS: &[libc::c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// Whether the kernel shows a process as stopped, by a signal or a debugger. One that has ended is not.
pub fn is_stopped(process: Identity) -> bool {
    let stat = entry(process.pid).and_then(|entry| entry.stat().ok());
    stat.is_some_and(|stat| stat.starttime == process.start_ticks && is_held(stat.state))
}

fn entry(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

fn is_held(state: char) -> bool {
    matches!(state, 'T' | 't')
}

/// What the kernel says about a process that shows no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// It has a processor, or waits for one.
    pub runs: bool,
    /// How often it has given a processor up, or lost one.
    pub switches: u64,
    /// It is making a process, or waits for one that it has made to execute a program: for locks that others hold who do the
    /// same, or for a fork that has no processor yet.
    pub starts: bool,
}

impl Activity {
    /// As `/proc` has it. A process that has ended does nothing. Only workers start programs: the forks of others are agents.
    pub fn of(place: PlaceId, process: Identity) -> Option<Self> {
        let entry = entry(process.pid)?;
        let stat = entry.stat().ok().filter(|stat| stat.starttime == process.start_ticks)?;
        if matches!(stat.state, 'Z' | 'X' | 'x') {
            return None;
        }
        let status = entry.status().ok()?;
        let switches = [status.voluntary_ctxt_switches, status.nonvoluntary_ctxt_switches];
        let switches = switches.into_iter().flatten().fold(0, u64::saturating_add);
        let is_worker = matches!(place, PlaceId::Worker(_));
        let starts = is_worker && !is_held(stat.state) && (forks(&entry) || has_fork(&entry));
        Some(Self { runs: stat.state == 'R', switches, starts })
    }
}

/// Where the kernel does not show the call, none is seen.
fn forks(entry: &Process) -> bool {
    let call = entry.syscall();
    matches!(call, Ok(Syscall::Blocked { syscall_number, .. }) if FORKS.contains(&syscall_number))
}

/// Whether it has a child that has not executed a program yet, and is not held.
fn has_fork(entry: &Process) -> bool {
    let is_fork = |pid: u32| {
        let stat = self::entry(pid)?.stat().ok()?;
        let is_fork = StatFlags::from_bits_truncate(stat.flags).contains(StatFlags::PF_FORKNOEXEC);
        Some(is_fork && !is_held(stat.state) && stat.state != 'Z')
    };
    children(entry).into_iter().any(|pid| is_fork(pid) == Some(true))
}

/// Of its first thread, which is the only one of a worker.
fn children(entry: &Process) -> Vec<u32> {
    entry.task_main_thread().and_then(|thread| thread.children()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    const WATCHDOG: Duration = Duration::from_secs(60);

    fn worker() -> PlaceId {
        PlaceId::worker(0, 0)
    }

    fn wait_until(what: &str, done: impl Fn() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < WATCHDOG, "waited in vain: {what}");
            std::thread::yield_now();
        }
    }

    /// A shell in a group of its own, which ends with this.
    struct Shell(Child);

    impl Shell {
        fn that(script: &str) -> Self {
            Self(Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap())
        }

        fn signal(&self, signal: Signal) {
            killpg(Pid::from_raw(self.0.id() as i32), signal).unwrap();
        }

        fn activity(&self, place: PlaceId) -> Activity {
            Activity::of(place, Identity::of(self.0.id()).unwrap()).unwrap()
        }

        /// Once it has children, and all of those have executed a program or none has.
        fn settled(&self, executed: bool) {
            let shell = entry(self.0.id()).unwrap();
            let is_settled = |child: u32| {
                let stat = entry(child).and_then(|entry| entry.stat().ok());
                stat.is_some_and(|stat| {
                    let flags = StatFlags::from_bits_truncate(stat.flags);
                    flags.contains(StatFlags::PF_FORKNOEXEC) != executed
                })
            };
            wait_until("children of a shell", || {
                let children = children(&shell);
                !children.is_empty() && children.into_iter().all(is_settled)
            });
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            self.signal(Signal::SIGKILL);
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_worker_whose_fork_has_not_executed_its_program_starts_one() {
        // A subshell is a fork that never executes.
        let shell = Shell::that("(while :; do read -r line </dev/zero; done) & wait");
        shell.settled(false);
        assert!(shell.activity(worker()).starts);
        assert!(
            !shell.activity(PlaceId::Coordinator(0)).starts,
            "the forks of a coordinator are its workers"
        );
        shell.signal(Signal::SIGSTOP);
        wait_until("a stopped shell", || is_stopped(Identity::of(shell.0.id()).unwrap()));
        assert!(!shell.activity(worker()).starts, "it is stopped, whatever it was about to do");
    }

    #[test]
    fn a_worker_whose_program_runs_starts_none() {
        let shell = Shell::that("sleep 600 & wait");
        shell.settled(true);
        assert!(!shell.activity(worker()).starts);
    }
}
