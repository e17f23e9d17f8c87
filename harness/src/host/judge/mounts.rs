//! Whether a run can have what is its own alone: shared memory, disks, and calls that fail.

use super::{DISKS, PRIVATE_SHM, missing, ok, warn};
use crate::disk;
use crate::host::read::Readings;
use crate::host::{Capability, Status};
use crate::private_shm::REMEDY;
use crate::trapped::{self, TrapError};
use std::io;

/// A tmpfs for the run alone, in a namespace of its own.
pub(super) fn private_shm(readings: &Readings) -> Capability {
    if readings.can_mount {
        ok(PRIVATE_SHM, "this user may mount".to_owned())
    } else if readings.user_namespaces > 0 {
        ok(PRIVATE_SHM, "in a user namespace".to_owned())
    } else {
        missing(PRIVATE_SHM, "this user may not mount, and has no user namespaces".to_owned(), REMEDY)
    }
}

/// System calls of the fleet that another process answers.
pub(in crate::host) fn trapped_calls(tried: Result<(), TrapError>) -> Capability {
    const NAME: &str = "calls that fail";
    match tried {
        Ok(()) => ok(NAME, "a probe below a seccomp filter fails as it is told to".to_owned()),
        Err(error) => missing(NAME, error.to_string(), trapped::REMEDY),
    }
}

/// What to do where file systems cannot be served or mounted.
pub(in crate::host) fn disk_remedy() -> String {
    format!("{}; to mount, {REMEDY}", disk::REMEDY)
}

/// A file system of the run's own over a directory.
pub(super) fn disks(readings: &Readings) -> Capability {
    if let Err(error) = &readings.fuse {
        return missing(DISKS, format!("{} cannot be opened: {error}", disk::DEVICE), disk::REMEDY);
    }
    if readings.can_mount {
        ok(DISKS, format!("{} can be opened, and this user may mount", disk::DEVICE))
    } else if readings.user_namespaces > 0 {
        ok(DISKS, format!("{} can be opened, in a user namespace", disk::DEVICE))
    } else {
        missing(DISKS, "this user may not mount, and has no user namespaces".to_owned(), REMEDY)
    }
}

/// A directory that a fault is done to.
pub(in crate::host) fn covered(path: &str, entered: io::Result<()>) -> Capability {
    const NAME: &str = "directory of a fault";
    match entered {
        Ok(()) => ok(NAME, path.to_owned()),
        Err(error) => missing(
            NAME,
            format!("`{path}`: {error}"),
            "make it, let a [setup] make it, or correct `dir` of the fault",
        ),
    }
}

/// Without a plan that needs them.
pub(super) fn fuse(readings: &Readings) -> Capability {
    match disks(readings) {
        Capability { status: Status::Missing, found, remedy, .. } => {
            let remedy = remedy.unwrap_or_default();
            warn(DISKS, found, format!("{remedy} (only faults on disks need it)"))
        }
        found => found,
    }
}
