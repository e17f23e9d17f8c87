//! Proof that a process descends from a fleet: a marker in the environment that it was started with.
//!
//! Parenthood proves nothing. A process that adopts orphans (`PR_SET_CHILD_SUBREAPER`) also adopts those of processes that
//! were there before it: jobs of a shell that has become this program by `exec`, or whatever a container's first process
//! is given. Each fleet therefore has a marker that no other has, and every program that it starts inherits it. What does
//! not show the marker is never killed. Coordinators and workers need no such proof for their own children: they are forks,
//! and had none when they began.

use super::pidfd;
use crate::os::identity::Identity;
use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The variable. A fleet that is started within another one adds its marker to those that are there.
pub const VARIABLE: &str = "COORDINATOR_FLEET";
const SEPARATOR: u8 = b':';
/// Of the random part of a marker, which follows the fleet's name and a dash.
const NONCE_DIGITS: usize = 16;

/// What distinguishes a fleet's processes from all others of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(Vec<u8>);

/// Whether a process descends from a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descent {
    Proven,
    /// It has ended, and may have to be reaped.
    Ended,
    /// It was started with another environment, or has overwritten it, or is executing another program right now.
    Unproven,
}

impl Marker {
    /// One that no process has yet, for the fleet `id`.
    pub fn new(id: &str) -> Self {
        // Seeded by the system, and differently each time.
        let nonce = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self(format!("{id}-{nonce:016x}").into_bytes())
    }

    /// The marker of the fleet that this process belongs to; of nested ones the innermost.
    pub fn inherited() -> Option<Self> {
        let all = std::env::var_os(VARIABLE)?;
        let last = all.as_bytes().rsplit(|byte| *byte == SEPARATOR).next()?;
        (!last.is_empty()).then(|| Self(last.to_owned()))
    }

    /// The markers of all fleets that this process belongs to, the outermost first.
    pub fn all_inherited() -> Vec<Self> {
        let all = std::env::var_os(VARIABLE).unwrap_or_default().into_vec();
        let markers = all.split(|byte| *byte == SEPARATOR).filter(|one| !one.is_empty());
        markers.map(|one| Self(one.to_owned())).collect()
    }

    pub fn hash(&self) -> u64 {
        hash(&self.0)
    }

    /// The value of [`VARIABLE`] with this marker behind those that this process has inherited.
    pub fn appended(&self) -> OsString {
        let mut all = std::env::var_os(VARIABLE).unwrap_or_default().into_vec();
        if !all.is_empty() {
            all.push(SEPARATOR);
        }
        all.extend_from_slice(&self.0);
        OsString::from_vec(all)
    }

    /// Whether the process that has this pid now shows the marker.
    pub fn of(&self, pid: u32) -> Descent {
        shows(pid, |one| one == self.0)
    }

    /// Kills the child of this process that has this pid, if it is proven to descend from the fleet. Returns whether it was.
    pub fn end(&self, pid: u32) -> Descent {
        // Opened before the proof: from then on the descriptor cannot mean another process.
        let fd = pidfd::open(pid);
        let descent = self.of(pid);
        if descent == Descent::Proven {
            match fd {
                Ok(fd) => pidfd::kill(fd),
                // A child's pid is its own until it is reaped.
                Err(_) => drop(Pid::from_raw(pid as i32).map(|pid| kill_process(pid, Signal::KILL))),
            }
        }
        descent
    }
}

impl Marker {
    /// Kills every process of the host that is proven to descend from the fleet, and not older than `since_ticks` (in clock
    /// ticks since the host's start). Returns how many there were.
    pub fn end_all(&self, since_ticks: u64) -> usize {
        let mut ended = 0;
        each_that_shows(
            since_ticks,
            |one| one == self.0,
            |_, fd| {
                pidfd::kill(fd);
                ended += 1;
            },
        );
        ended
    }
}

/// The processes of the host that are proven to descend from a fleet whose marker has this hash, other than this process and its
/// ancestors; killed if `end` says so. Of a fleet that is dead: no other process is left to end them.
pub fn left_of(hash_of_marker: u64, end: bool) -> Vec<Stranger> {
    left_of_any(|one| hash(one) == hash_of_marker, end)
}

/// The same of all fleets that had one of these names, as [`Marker::new`] was given it.
pub fn left_of_named(names: &[String], end: bool) -> Vec<Stranger> {
    left_of_any(|one| names.iter().any(|name| is_of_name(one, name)), end)
}

/// Whether a marker is of a fleet with this name.
fn is_of_name(marker: &[u8], name: &str) -> bool {
    let nonce = marker.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"-"));
    nonce.is_some_and(|nonce| nonce.len() == NONCE_DIGITS && nonce.iter().all(u8::is_ascii_hexdigit))
}

fn left_of_any(is_it: impl Fn(&[u8]) -> bool, end: bool) -> Vec<Stranger> {
    let own = ancestors();
    let mut found = Vec::new();
    each_that_shows(0, is_it, |pid, fd| {
        if !own.contains(&pid) {
            found.push(Stranger::new(pid));
            if end {
                pidfd::kill(fd);
            }
        }
    });
    found
}

/// This process, and those that it descends from.
fn ancestors() -> Vec<u32> {
    let mut all = vec![std::process::id()];
    while let Some(parent) =
        all.last().and_then(|pid| Identity::of(*pid)?.parent()).filter(|parent| *parent > 0)
    {
        let parent = parent as u32;
        if all.contains(&parent) {
            break;
        }
        all.push(parent);
    }
    all
}

/// Calls `each` with every process of the host that shows a marker which `is_it`, and that is not older than `since_ticks`; the
/// descriptor cannot mean another process.
fn each_that_shows(since_ticks: u64, is_it: impl Fn(&[u8]) -> bool, mut each: impl FnMut(u32, OwnedFd)) {
    /// `PF_KTHREAD` of linux/sched.h.
    const KERNEL: u32 = 0x20_0000;
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        let pid = process.pid as u32;
        // Opened before the proof.
        let Ok(fd) = pidfd::open(pid) else { continue };
        let is_candidate =
            process.stat().is_ok_and(|stat| stat.starttime >= since_ticks && stat.flags & KERNEL == 0);
        // Of another user's process the environment cannot even be opened.
        if is_candidate
            && File::open(format!("/proc/{pid}/environ")).is_ok()
            && shows(pid, &is_it) == Descent::Proven
        {
            each(pid, fd);
        }
    }
}

/// Whether the process that has this pid now shows a marker which `is_it`.
fn shows(pid: u32, is_it: impl Fn(&[u8]) -> bool) -> Descent {
    let environment = match environment(pid) {
        Ok(environment) => environment,
        Err(descent) => return descent,
    };
    let is_marked = |variable: &[u8]| {
        let value = variable.strip_prefix(VARIABLE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|all| all.split(|byte| *byte == SEPARATOR).any(&is_it))
    };
    if environment.split(|byte| *byte == 0).any(is_marked) { Descent::Proven } else { Descent::Unproven }
}

/// The same in every build, and never 0 (FNV-1a).
fn hash(marker: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    marker.iter().fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

/// Whether a process is proven to be of this process's fleet: it shows the marker, or is a child. A coordinator is a fork that
/// had none.
pub fn is_of_fleet(pid: u32) -> bool {
    let is_child = || {
        let process = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok());
        process
            .and_then(|process| process.stat().ok())
            .is_some_and(|stat| stat.ppid as u32 == std::process::id())
    };
    Marker::inherited().is_some_and(|marker| marker.of(pid) == Descent::Proven) || is_child()
}

/// Kills the processes in the group of `leader`, which is gone, as far as they are proven to be of this process's fleet.
pub fn end_group(leader: u32) {
    let Some(group) = Pid::from_raw(leader as i32) else { return };
    // Mostly it has gone with its leader, and no process need be looked at.
    if test_kill_process_group(group).is_err() {
        return;
    }
    let Some(marker) = Marker::inherited() else { return };
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        let Ok(fd) = pidfd::open(process.pid as u32) else { continue };
        if process.stat().is_ok_and(|stat| stat.pgrp == leader as i32)
            && marker.of(process.pid as u32) == Descent::Proven
        {
            pidfd::kill(fd);
        }
    }
}

/// A process whose descent is unproven, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    pub pid: u32,
    /// As in `ps -e`.
    pub name: String,
}

impl Stranger {
    pub fn new(pid: u32) -> Self {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Self { pid, name: name.trim().to_owned() }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, name } = self;
        write!(
            f,
            "process {pid} ({name}) has lost its parent; it is not proven to be of this fleet and was left alone"
        )
    }
}

/// The environment that a process was started with.
fn environment(pid: u32) -> Result<Vec<u8>, Descent> {
    let Ok(process) =
        i32::try_from(pid).map_err(drop).and_then(|pid| procfs::process::Process::new(pid).map_err(drop))
    else {
        return Err(Descent::Ended);
    };
    let Ok(stat) = process.stat() else { return Err(Descent::Ended) };
    let is_zombie = matches!(stat.state, 'Z' | 'X');
    if is_zombie && stat.num_threads <= 1 {
        return Err(Descent::Ended);
    }
    if !is_zombie {
        return settled_environment(&process);
    }
    // Its first thread has ended and has no memory any more; the others have.
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut seen = threads.filter_map(|thread| std::fs::read(thread.path().join("environ")).ok());
    Ok(seen.find(|bytes| !bytes.is_empty()).unwrap_or_default())
}

/// In the middle of an exec a process shows no environment yet: it is asked for again before that counts as empty. One
/// that is ending shows none any more.
fn settled_environment(process: &procfs::process::Process) -> Result<Vec<u8>, Descent> {
    /// `PF_EXITING` of linux/sched.h.
    const EXITING: u32 = 0x4;
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        if !environment.is_empty() {
            return Ok(environment);
        }
        let is_ending = |stat: procfs::process::Stat| {
            stat.num_threads <= 1 && (stat.flags & EXITING != 0 || matches!(stat.state, 'Z' | 'X'))
        };
        if process.stat().map_or(true, is_ending) {
            return Err(Descent::Ended);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper(value: Option<OsString>) -> Child {
        let mut command = Command::new("sleep");
        command.arg("1000").env_remove(VARIABLE);
        command.envs(value.map(|value| (VARIABLE, value)));
        command.spawn().unwrap()
    }

    #[test]
    fn only_a_process_that_shows_the_marker_is_killed() {
        let (own, other) = (Marker::new("same"), Marker::new("same"));
        let nested = OsString::from_vec([&own.0[..], b":", &other.0[..]].concat());
        let longer = OsString::from_vec([&own.0[..], b"0"].concat());
        for (value, descent) in [
            (Some(own.appended()), Descent::Proven),
            (Some(nested), Descent::Proven),
            (Some(other.appended()), Descent::Unproven),
            (Some(longer), Descent::Unproven),
            (None, Descent::Unproven),
        ] {
            let mut child = sleeper(value.clone());
            assert_eq!(own.end(child.id()), descent, "{value:?}");
            if descent == Descent::Unproven {
                assert!(child.try_wait().unwrap().is_none(), "{value:?}");
                child.kill().unwrap();
            }
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_marker_names_its_fleet_and_no_fleet_whose_name_begins_in_the_same_way() {
        let marker = |id: &str| Marker::new(id).0;
        assert!(is_of_name(&marker("soak-1a2b3c4d"), "soak-1a2b3c4d"));
        assert!(is_of_name(&marker("soak-1a2b3c4d-2"), "soak-1a2b3c4d-2"));
        for (of, name) in [("soak-1a2b3c4d-2", "soak-1a2b3c4d"), ("soak-1a", "soak"), ("a", "b"), ("a", "")] {
            assert!(!is_of_name(&marker(of), name), "{of} {name}");
        }
    }

    #[test]
    fn what_descends_from_a_fleet_is_found_by_its_name_and_ended() {
        let name = format!("named-{}", std::process::id());
        let mut child = sleeper(Some(Marker::new(&name).appended()));
        let mut other = sleeper(Some(Marker::new(&format!("{name}-2")).appended()));
        let names = [name];
        let pids = |end| left_of_named(&names, end).iter().map(|it| it.pid).collect::<Vec<_>>();
        assert_eq!((pids(false), pids(true)), (vec![child.id()], vec![child.id()]));
        child.wait().unwrap();
        assert_eq!(pids(false), Vec::<u32>::new());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_process_that_has_ended_is_neither_proven_nor_a_stranger() {
        let own = Marker::new("ended");
        let mut child = sleeper(Some(own.appended()));
        child.kill().unwrap();
        // Not reaped yet, so /proc still shows it.
        while own.of(child.id()) != Descent::Ended {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(own.of(child.id()), Descent::Ended);
    }
}
