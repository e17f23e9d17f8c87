//! Which processes are children of which, by `/proc` and by what the kernel tells a parent.

use procfs::ProcError;
use procfs::process::Stat;
use rustix::process::{WaitOptions, waitpgid};

/// Pids of the children of a process, zombies included.
pub fn children_of(parent: u32) -> Vec<u32> {
    try_children_of(parent).unwrap_or_default()
}

/// As [`children_of`], where no child may be missed for want of descriptors or memory.
///
/// # Errors
/// `/proc` cannot be read.
pub fn try_children_of(parent: u32) -> nix::Result<Vec<u32>> {
    let mut children = Vec::new();
    each_process(|stat| {
        if stat.ppid == parent as i32 {
            children.push(stat.pid as u32);
        }
    })?;
    Ok(children)
}

fn each_process(mut each: impl FnMut(&Stat)) -> nix::Result<()> {
    for process in procfs::process::all_processes().map_err(|error| errno_of(&error))? {
        match process.and_then(|process| process.stat()) {
            Ok(stat) => each(&stat),
            Err(error) => {
                let errno = errno_of(&error);
                if matches!(errno, nix::Error::EMFILE | nix::Error::ENFILE | nix::Error::ENOMEM) {
                    return Err(errno);
                }
                // It has ended meanwhile, or belongs to another user and is hidden.
            }
        }
    }
    Ok(())
}

pub(super) fn errno_of(error: &ProcError) -> nix::Error {
    match error {
        ProcError::PermissionDenied(_) => nix::Error::EACCES,
        ProcError::NotFound(_) => nix::Error::ENOENT,
        ProcError::Io(error, _) => error.raw_os_error().map_or(nix::Error::EIO, nix::Error::from_raw),
        ProcError::Incomplete(_) | ProcError::Other(_) | ProcError::InternalError(_) => nix::Error::EIO,
    }
}

/// True if no child of this process is left in the group of `leader`; reaps those that have ended.
pub(super) fn children_are_gone(leader: u32) -> bool {
    let Some(group) = rustix::process::Pid::from_raw(leader as i32) else { return true };
    loop {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// True if `/proc` shows no living process in the group of `leader`, whether children of this process or not.
pub(super) fn group_is_gone(leader: u32) -> bool {
    let mut alive = false;
    let looked = each_process(|stat| {
        alive |= stat.pgrp == leader as i32 && (!matches!(stat.state, 'Z' | 'X') || stat.num_threads > 1);
    });
    looked.is_ok() && !alive
}
