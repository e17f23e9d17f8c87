//! What a command has started, of whatever process group and session, and how it is asked to end.

use super::pidfd;
use nix::sys::signal::Signal;
use procfs::process::Process;
use rustix::process::{Pid, Signal as Number, getpgid, pidfd_send_signal};
use std::collections::HashSet;
use std::os::fd::OwnedFd;

/// A command whose leader is a child of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offspring {
    pub(super) leader: i32,
    /// The process group of a child of this process that is not the command's.
    pub(super) spared: Option<i32>,
}

impl Offspring {
    /// Sends `signal` to every process outside the leader's group that the command has started. Processes that they start
    /// from then on, to save their work, do not get it.
    pub(super) fn ask_to_end(self, signal: Signal) {
        let Some(number) = Number::from_named_raw(signal as i32) else { return };
        for found in self.outside() {
            let _ = pidfd_send_signal(&found, number);
            // A stopped process handles the signal only when it is continued.
            let _ = pidfd_send_signal(&found, Number::CONT);
        }
    }

    /// The other children of this process that are the command's: orphans that it has adopted.
    ///
    /// A process with several threads cannot know whose they are, and a worker has one.
    pub(super) fn adopted(self) -> Vec<i32> {
        if !has_one_thread() {
            return Vec::new();
        }
        let is_its = |pid: &i32| {
            let group = group_of(*pid);
            *pid != self.leader && group.is_some() && group != self.spared
        };
        children().into_iter().filter(is_its).collect()
    }

    /// Descriptors of the processes: what has ended meanwhile is not mistaken for another one with its pid.
    fn outside(self) -> Vec<OwnedFd> {
        let mut known = HashSet::from([std::process::id() as i32, self.leader]);
        let mut next = self.adopted();
        next.extend(children_of(self.leader));
        let mut found = Vec::new();
        while let Some(pid) = next.pop() {
            let Ok(fd) = pidfd::open(pid as u32) else { continue };
            let parent = Process::new(pid).and_then(|process| process.stat()).map(|stat| stat.ppid);
            if parent.is_ok_and(|parent| known.contains(&parent)) && known.insert(pid) {
                next.extend(children_of(pid));
                if group_of(pid) != Some(self.leader) {
                    found.push(fd);
                }
            }
        }
        found
    }
}

/// The process group of a process; `None` if there is none with this pid.
pub(super) fn group_of(pid: i32) -> Option<i32> {
    getpgid(Pid::from_raw(pid)).ok().map(|group| group.as_raw_nonzero().get())
}

fn has_one_thread() -> bool {
    Process::myself().and_then(|own| own.stat()).is_ok_and(|stat| stat.num_threads == 1)
}

/// All children of this process, which has one thread.
pub(super) fn children() -> Vec<i32> {
    children_of(std::process::id() as i32)
}

/// All children of all threads of a process.
fn children_of(pid: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(text) => children.extend(text.split_ascii_whitespace().filter_map(as_pid)),
            // The thread has ended.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return by_parent(pid),
        }
    }
    children
}

fn as_pid(text: &str) -> Option<i32> {
    text.parse().ok()
}

/// On a kernel without that file the parent of every process is compared.
fn by_parent(pid: i32) -> Vec<i32> {
    let Ok(all) = procfs::process::all_processes() else { return Vec::new() };
    let is_child = |process: &Process| process.stat().is_ok_and(|stat| stat.ppid == pid);
    all.filter_map(Result::ok).filter(is_child).map(|process| process.pid).collect()
}
