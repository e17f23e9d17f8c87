//! What a trapped call is aimed at: a path, as far as it can be read of the thread that calls.
//!
//! Symbolic links within a path are not followed, and `..` is taken by its word: fleets have neither.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use trap::{Call, TrappedCall};

/// Longer ones the kernel refuses.
const PATH_MAX: u64 = 4096;
/// Pages are at least so large, and a path may end before one that is not there.
const PAGE: u64 = 4096;
/// In place of a descriptor: below the working directory.
const AT_FDCWD: i32 = -100;

/// The file that `call` opens, changes or maps; nothing if that cannot be seen.
pub(super) fn of(call: &Call) -> Option<PathBuf> {
    let [first, second, _, _, fifth, _] = call.arguments;
    // Descriptors are 32 bits wide; the kernel does not look at the rest.
    let descriptor = |argument: u64| argument as u32 as i32;
    match call.what {
        TrappedCall::OpenAt | TrappedCall::OpenAt2 => {
            let path = text(call.thread, second)?;
            let below =
                if path.is_absolute() { PathBuf::new() } else { held(call.thread, descriptor(first))? };
            Some(plain(&below.join(path)))
        }
        TrappedCall::Open => {
            let path = text(call.thread, first)?;
            let below = if path.is_absolute() { PathBuf::new() } else { held(call.thread, AT_FDCWD)? };
            Some(plain(&below.join(path)))
        }
        TrappedCall::Fallocate | TrappedCall::Truncate => held(call.thread, descriptor(first)),
        TrappedCall::Map => held(call.thread, descriptor(fifth)),
    }
}

/// What a descriptor of a thread leads to.
fn held(thread: u32, descriptor: i32) -> Option<PathBuf> {
    let link = match descriptor {
        AT_FDCWD => format!("/proc/{thread}/cwd"),
        0.. => format!("/proc/{thread}/fd/{descriptor}"),
        _ => return None,
    };
    fs::read_link(link).ok()
}

/// The text at an address of a thread's memory, up to its NUL.
fn text(thread: u32, address: u64) -> Option<PathBuf> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < PATH_MAX {
        let at = address.checked_add(bytes.len() as u64)?;
        let mut piece = vec![0; (PAGE - at % PAGE) as usize];
        let read = memory.read_at(&mut piece, at).ok().filter(|read| *read > 0)?;
        let piece = &piece[..read];
        match piece.iter().position(|byte| *byte == 0) {
            Some(end) => {
                bytes.extend_from_slice(&piece[..end]);
                return Some(OsString::from_vec(bytes).into());
            }
            None => bytes.extend_from_slice(piece),
        }
    }
    None
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_path_is_what_it_leads_to_without_detours() {
        assert_eq!(plain(Path::new("/dev/./shm/../shm/x/")), Path::new("/dev/shm/x"));
        assert_eq!(plain(Path::new("/../x")), Path::new("/x"));
    }

    #[test]
    fn descriptors_lead_to_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create_new(dir.path().join("c0")).unwrap();
        let found = held(std::process::id(), file.as_raw_fd()).unwrap();
        assert_eq!(found, dir.path().canonicalize().unwrap().join("c0"));
        assert_eq!(held(std::process::id(), AT_FDCWD), std::env::current_dir().ok());
        assert_eq!(held(std::process::id(), -1), None);
        assert_eq!(held(std::process::id(), i32::MAX), None);
    }

    #[test]
    fn a_text_is_read_up_to_its_end_also_across_pages() {
        let long = "/".to_owned() + &"a".repeat(4000);
        for wanted in ["/dev/shm", "", &long] {
            let text_of = CString::new(wanted).unwrap();
            assert_eq!(text(std::process::id(), text_of.as_ptr() as u64), Some(PathBuf::from(wanted)));
        }
        let too_long = CString::new("a".repeat(3 * PATH_MAX as usize)).unwrap();
        assert_eq!(text(std::process::id(), too_long.as_ptr() as u64), None);
        assert_eq!(text(std::process::id(), 8), None, "an address without memory");
    }
}
