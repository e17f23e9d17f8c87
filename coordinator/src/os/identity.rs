//! The identity of a process: its pid and its start time. A pid alone is not enough, since pids are reused.

use procfs::ProcError;
use procfs::process::Process;
use std::fs;
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

impl Identity {
    /// `None` if no such process exists.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
        Some(Self { pid, start_ticks: stat.starttime })
    }

    /// This process.
    pub fn own() -> Self {
        Self::try_own().expect("/proc shows the process that reads it")
    }

    /// This process, where `/proc` may refuse: no descriptor may be left for reading it.
    pub fn try_own() -> Result<Self, ProcError> {
        let stat = Process::myself()?.stat()?;
        Ok(Self { pid: std::process::id(), start_ticks: stat.starttime })
    }

    /// Whether it is alive, according to `/proc`.
    pub fn presence(&self) -> Presence {
        let Ok(pid) = i32::try_from(self.pid) else { return Presence::Gone };
        match Process::new(pid).and_then(|process| process.stat()) {
            // A process whose first thread has ended shows as a zombie while its other threads run.
            Ok(stat)
                if stat.starttime == self.start_ticks
                    && (!matches!(stat.state, 'Z' | 'X') || stat.num_threads > 1) =>
            {
                Presence::Alive
            }
            Ok(_) | Err(ProcError::NotFound(_)) if !shows_this_namespace() => Presence::Unknown,
            Ok(_) => Presence::Gone,
            // `hidepid` hides processes that are there.
            Err(ProcError::NotFound(_)) => {
                match nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) {
                    Err(nix::Error::ESRCH) => Presence::Gone,
                    _ if self.pid == 0 => Presence::Gone,
                    // It may have been started since, or have ended only now.
                    _ if Process::new(pid).is_ok() => self.presence(),
                    _ => Presence::Unknown,
                }
            }
            // It ended while it was read.
            Err(ProcError::Io(error, _))
                if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
            {
                Presence::Gone
            }
            Err(_) => Presence::Unknown,
        }
    }

    /// The pid of its parent; `None` if it is gone.
    pub fn parent(&self) -> Option<i32> {
        let stat = Process::new(i32::try_from(self.pid).ok()?).ok()?.stat().ok()?;
        (stat.starttime == self.start_ticks).then_some(stat.ppid)
    }

    /// Seen alive; a zombie has ended.
    pub fn is_alive(&self) -> bool {
        self.presence() == Presence::Alive
    }

    /// Proven to have ended, which is more than not seen alive.
    pub fn is_gone(&self) -> bool {
        self.presence() == Presence::Gone
    }
}

/// `/proc` was mounted in the pid namespace of this process. Where it was not, it shows other processes under these pids.
fn shows_this_namespace() -> bool {
    self_in_proc() == Some(std::process::id())
}

/// It can be read, and was mounted in another one.
pub fn shows_another_namespace() -> bool {
    fs::read_link("/proc/self").is_ok() && !shows_this_namespace()
}

fn self_in_proc() -> Option<u32> {
    fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// Whether a process is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Alive,
    /// No process has its pid, or another one has.
    Gone,
    /// `/proc` could not be read, or does not show it: no descriptors left, no permission, mounted in another namespace.
    Unknown,
}

/// Why a fleet is refused.
pub const ELSEWHERE: &str =
    "it is of another pid or time namespace, whose processes and times cannot be compared with those here";

/// The namespaces of this process that its identity depends on: the pid namespace in the lower half, the time namespace in
/// the upper one. In another pid namespace a pid means another process; in another time namespace its start time is
/// another number, and so is every point in time of [`clock`](super::clock). 0 if it is unknown.
pub fn namespace() -> u64 {
    let inode = |path: &str| rustix::fs::stat(path).map(|stat| stat.st_ino);
    match (inode("/proc/self/ns/pid"), inode("/proc/self/ns/time")) {
        (Ok(pid), Ok(time)) => pid & u64::from(u32::MAX) | time << 32,
        // A kernel without time namespaces.
        (Ok(pid), Err(rustix::io::Errno::NOENT)) => pid & u64::from(u32::MAX),
        _ => 0,
    }
}

/// Changes with every boot: shared memory of another boot does not describe this one. 0 if it is unknown.
pub fn boot_id() -> u128 {
    static BOOT: OnceLock<u128> = OnceLock::new();
    *BOOT.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| u128::from_str_radix(&text.trim().replace('-', ""), 16).ok())
            .unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_with_another_start_time_is_another_process() {
        let own = Identity::own();
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks + 1, ..own }.is_alive());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        while identity.is_alive() {
            std::thread::yield_now();
        }
        // Not reaped yet, so /proc still shows it.
        assert_eq!(Identity::of(child.id()), Some(identity));
        child.wait().unwrap();
    }
}
