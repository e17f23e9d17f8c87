//! Which ways of ending a fault explains, in the words of the log.

use super::FaultKind;
use crate::runlog::event::Role;

/// How the log says that a worker ended because its coordinator had.
pub const WITH_ITS_COORDINATOR: &str = "ended when its coordinator died";

/// Of a coordinator that was kept from its memory while it started, which is no death. From format 2.9 on.
pub const KEPT_OUT: &str = "could not open its memory, and another one was started";
/// And of a coordinator, or a worker, that was gone when the fleet had been stopped: its parent was gone, too.
pub const BY_THE_END_WITH_THE_SUPERVISOR: &str = "ended with the supervisor";
pub const BY_THE_END_WITH_ITS_COORDINATOR: &str = "ended with its coordinator";
/// And of a coordinator that was no child of the supervisor, since another one had adopted it: only its parent learns more.
pub const UNSEEN: &str = "ended with an unknown status";
/// And how a coordinator ended with the supervisor, of which it is a child.
pub const WITH_THE_SUPERVISOR: &str = "ended when the supervisor died";
/// And of all but the last of the processes of a place that have died between two looks.
pub const WITH_ITS_SUCCESSOR: &str = "died, and so did its successor";
/// And that the fleet, the kernel's OOM killer or anyone else has killed a process.
const KILLED: &str = "killed by SIGKILL";
/// And that it was asked to end.
const TERMINATED: &str = "killed by SIGTERM";
/// And that a process is not there any more, whose parent the harness does not know.
pub const GONE: &str = "gone from /proc";
/// The status of a process of the fleet whose shared memory was overwritten (`docs/exit-codes.md`),
const OVERWRITTEN: &str = "73";
/// or truncated.
const TRUNCATED: &str = "74";
/// The statuses of a worker that was told to stop, or found a ring that cannot be, another epoch or another task.
const OBEYED: [&str; 4] = ["0", "71", "72", "77"];

impl FaultKind {
    /// Whether it ends a process of this role in this way. `how` is in the words of the log, `is_hung` says that the
    /// fleet had found before that the process makes no progress, which ends it by SIGKILL.
    pub fn ends_by(self, role: Role, how: &str, is_hung: bool) -> bool {
        let exited = |status: &str| {
            how.strip_prefix("exited with status ").is_some_and(|rest| rest.split(':').next() == Some(status))
        };
        let with_its_coordinator = role == Role::Worker && how == WITH_ITS_COORDINATOR;
        // Of a process whose parent is gone, or that had a successor before its end was noted, the log has no more.
        let is_untold = || match role {
            // It is gone from `/proc`, or the log has what its end lacked, in words.
            Role::Supervisor => !how.contains("exited with status "),
            Role::Coordinator => {
                [WITH_THE_SUPERVISOR, WITH_ITS_SUCCESSOR, UNSEEN, BY_THE_END_WITH_THE_SUPERVISOR]
                    .contains(&how)
            }
            Role::Harness | Role::Worker => {
                [WITH_ITS_COORDINATOR, WITH_ITS_SUCCESSOR, BY_THE_END_WITH_ITS_COORDINATOR].contains(&how)
            }
        };
        match self {
            Self::Kill | Self::Oom => how == KILLED || is_untold(),
            Self::Stop => how == TERMINATED || is_untold(),
            // A process that stands still dies of nothing but the fleet's patience.
            Self::Pause => is_hung && how == KILLED || with_its_coordinator,
            Self::SegmentTruncate => exited(TRUNCATED) || with_its_coordinator,
            // A worker obeys words that are wrong, and gives up rings that are: its status says which.
            Self::SegmentScribble => {
                let obeyed = role == Role::Worker && OBEYED.into_iter().any(exited);
                exited(OVERWRITTEN) || obeyed || with_its_coordinator || is_hung && how == KILLED
            }
            Self::Limit
            | Self::Cpus
            | Self::ShmLimit
            | Self::ShmFill
            | Self::ShmInodes
            | Self::ShmReadOnly
            | Self::ShmErrors
            | Self::SegmentUnlink
            | Self::CpuHogs
            | Self::Memory
            | Self::CgroupMemory
            | Self::CgroupCpu
            | Self::CgroupPids
            | Self::DiskSlow
            | Self::DiskFail
            | Self::DiskFull => false,
        }
    }
}
