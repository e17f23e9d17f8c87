//! Finds out whether the command of a task is stopped, as by SIGSTOP: only the kernel knows.

use crate::os::identity::Identity;
use procfs::process::Process;

/// A command with more processes than this is not searched to its end.
const LOOKED_AT_MAX: usize = 256;

/// The pid of a stopped process among the command that a worker runs and its descendants; `None` if none is.
pub(super) fn stopped(command: Identity) -> Option<u32> {
    if command.pid == 0 || !command.is_alive() {
        return None;
    }
    let mut left = vec![command.pid];
    for _ in 0..LOOKED_AT_MAX {
        let pid = left.pop()?;
        let Some(process) = i32::try_from(pid).ok().and_then(|pid| Process::new(pid).ok()) else { continue };
        if process.stat().is_ok_and(|stat| stat.state == 'T') {
            return Some(pid);
        }
        let children = process.task_main_thread().and_then(|thread| thread.children());
        left.extend(children.unwrap_or_default());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::process::Command;

    #[test]
    fn a_stopped_process_is_found_below_a_command_that_runs() {
        let mut shell = Command::new("sh").args(["-c", "sleep 1000 & wait"]).spawn().unwrap();
        let command = Identity::of(shell.id()).unwrap();
        let process = Process::new(shell.id() as i32).unwrap();
        let below = || process.task_main_thread().unwrap().children().unwrap().first().copied();
        let sleep = loop {
            if let Some(pid) = below() {
                break pid;
            }
            std::thread::yield_now();
        };
        assert_eq!(stopped(command), None);
        kill(Pid::from_raw(sleep as i32), Signal::SIGSTOP).unwrap();
        while stopped(command).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(stopped(command), Some(sleep));
        assert_eq!(stopped(Identity { start_ticks: command.start_ticks + 1, ..command }), None);
        kill(Pid::from_raw(sleep as i32), Signal::SIGKILL).unwrap();
        shell.wait().unwrap();
    }
}
