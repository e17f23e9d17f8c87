//! A shared-memory file system of a run's own, with a size and a number of inodes.
//!
//! It is a tmpfs over the directory of the fleets, in a mount namespace of this process: its fleet, being its children,
//! sees the same one, and no other process of the host does. The kernel takes the namespace down with the last process
//! in it, so that nothing of this outlives a run, however that ends. Faults on shared memory change it by the functions
//! here. Deliberately absent: what is done to it, and when.

use crate::scenario::Room;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What users are told where it is refused.
pub const REMEDY: &str = "run it as root, or allow user namespaces: sysctl -w user.max_user_namespaces=10000 \
                          (Debian: kernel.unprivileged_userns_clone=1; Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0; \
                          docker: --security-opt seccomp=unconfined)";

/// Mounts of this process that may lie on each other in one place.
const LAYERS_MAX: usize = 8;

/// That this process has a mount namespace of its own: what it mounts, no other process of the host sees.
#[derive(Debug, Clone, Copy)]
pub struct Namespace(());

#[derive(Debug, Error)]
pub enum NamespaceError {
    #[error("this process has {0} threads, and only one with a single thread can enter a namespace")]
    Threads(usize),
    #[error("the kernel refuses a namespace for mounts: {0}")]
    Refused(io::Error),
    #[error("the user of the namespace cannot be set: {0}")]
    Unmapped(io::Error),
}

impl Namespace {
    /// Gives this process a mount namespace of its own, for the rest of its life: directly where it may, and within a
    /// user namespace, in which its user and group stay what they are, where it may not.
    ///
    /// # Errors
    /// It has more than one thread, or the kernel refuses; then it is where it was.
    pub fn enter() -> Result<Self, NamespaceError> {
        let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads != 1 {
            return Err(NamespaceError::Threads(threads));
        }
        if unshare(CloneFlags::CLONE_NEWNS).is_err() {
            enter_as_user()?;
        }
        // What the host mounts and unmounts still arrives here; what is mounted here stays here.
        let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(None::<&Path>, "/", None::<&str>, flags, None::<&str>)
            .map_err(|errno| NamespaceError::Refused(errno.into()))?;
        Ok(Self(()))
    }
}

fn enter_as_user() -> Result<(), NamespaceError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| NamespaceError::Refused(errno.into()))?;
    // Without this, the kernel lets no one but root map a group.
    write_own("setgroups", "deny")
        .and_then(|()| write_own("uid_map", &format!("{uid} {uid} 1\n")))
        .and_then(|()| write_own("gid_map", &format!("{gid} {gid} 1\n")))
        .map_err(NamespaceError::Unmapped)
}

/// In one write: the kernel takes a map once and whole.
fn write_own(file: &str, text: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(Path::new("/proc/self").join(file))?;
    file.write_all(text.as_bytes())
}

/// A tmpfs over a directory. Dropped, the directory is again what it was.
#[derive(Debug)]
pub struct PrivateShm {
    dir: PathBuf,
    /// The file system beneath.
    device: u64,
}

impl PrivateShm {
    /// Mounts it over `dir`, for this process and its children alone.
    ///
    /// # Errors
    /// The kernel refuses it, or shows another size than was asked for; nothing is mounted then.
    pub fn mount(_: Namespace, dir: &Path, room: Room) -> io::Result<Self> {
        let device = fs::metadata(dir)?.dev();
        let options = format!("size={},nr_inodes={},mode=1777", room.bytes, room.inodes);
        mount(Some("harness"), dir, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(&*options))?;
        let mounted = Self { dir: dir.to_owned(), device };
        let shown = shown(dir)?;
        if shown.bytes < room.bytes || shown.inodes != room.inodes {
            let what = format!("asked for {room:?}, and the kernel shows {shown:?}");
            return Err(io::Error::other(what));
        }
        Ok(mounted)
    }
}

impl Drop for PrivateShm {
    fn drop(&mut self) {
        for _ in 0..LAYERS_MAX {
            // A fault that was not healed lies on top of it.
            let is_ours = fs::metadata(&self.dir).is_ok_and(|dir| dir.dev() != self.device);
            if !is_ours || umount2(&self.dir, MntFlags::MNT_DETACH).is_err() {
                return;
            }
        }
    }
}

/// What the file system of `dir` can hold, as the kernel shows it.
pub fn shown(dir: &Path) -> io::Result<Room> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(Room { bytes: stat.f_blocks * stat.f_frsize, inodes: stat.f_files })
}

/// Gives the private file system another size.
///
/// # Errors
/// It holds more than that already.
pub fn resize(dir: &Path, bytes: u64) -> io::Result<()> {
    let options = format!("size={bytes}");
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(None::<&Path>, dir, None::<&str>, flags, Some(&*options))?)
}

/// Lays a read-only view over the private file system. A remount is refused while a file is open for writing.
pub fn cover_read_only(dir: &Path) -> io::Result<()> {
    mount(Some(dir), dir, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    let flags =
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&Path>, dir, None::<&str>, flags, None::<&str>).or_else(|errno| {
        uncover(dir)?;
        Err(errno.into())
    })
}

/// Takes that view away.
pub fn uncover(dir: &Path) -> io::Result<()> {
    Ok(umount2(dir, MntFlags::MNT_DETACH)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_enters_no_namespace() {
        // The test's own thread is one beside that of the runner.
        let refused = std::thread::spawn(Namespace::enter).join().unwrap();
        assert!(matches!(refused, Err(NamespaceError::Threads(2..))), "{refused:?}");
    }
}
