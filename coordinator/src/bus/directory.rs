//! A fleet's directory in /dev/shm: made whole, found, and removed by its owner or after its death.
//!
//! It is filled under a temporary name that contains its owner's identity and then renamed: no process
//! meets a half-made fleet, and the remains of one can be distinguished from one in the making.

mod held;
mod integrity;

pub use held::Held;
pub use integrity::Integrity;

use super::error::{BusError, Cause};
use super::fault;
use super::layout::RegionLayout;
use super::mapping::PrivateDir;
use super::memory::{self, Available};
use super::shape::FleetShape;
use super::view::{Control, Region, Stamped, peek_owner};
use crate::os::identity::{Identity, Presence, boot_id, namespace};
use rustix::fs::{AtFlags, CWD, FsWord};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The default root of fleets' directories.
pub const SHM: &str = "/dev/shm";
/// How their directories' names begin.
pub const PREFIX: &str = "coord";
/// File systems that no other host shares: tmpfs, ramfs, those of disks, and that of containers.
const LOCAL: [FsWord; 9] = [
    0x0102_1994,
    0x8584_58f6,
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
    0x794c_7630,
];

/// In a fleet's directory.
const CONTROL: &str = "control";
const PREFIX_OF_REGION: &str = "c";
/// The journal of its clients.
const CLIENTS: &str = "clients";

/// The directory of the fleet `id`.
pub fn fleet_dir(root: &Path, id: &str) -> PathBuf {
    root.join(format!("{PREFIX}-{id}"))
}

pub fn control_path(dir: &Path) -> PathBuf {
    dir.join(CONTROL)
}

pub fn region_path(dir: &Path, coordinator: u32) -> PathBuf {
    dir.join(region_name(coordinator))
}

/// Which tasks its clients have in the fleet, and the answers that none of them has written down yet. Made by the first
/// client that keeps a list.
pub fn clients_path(dir: &Path) -> PathBuf {
    dir.join(CLIENTS)
}

fn region_name(coordinator: u32) -> String {
    format!("{PREFIX_OF_REGION}{coordinator}")
}

/// An id is part of a file name: letters, digits, `_` and `-` only.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Makes the directory with its control file and the regions of the first `regions` coordinators; the others are
/// made when they are started ([`add_region`]). Nothing stays behind on failure.
pub fn create(
    root: &Path,
    id: &str,
    stamped: &Stamped,
    regions: u32,
) -> Result<(PathBuf, Control), BusError> {
    create_held(root, id, stamped, regions).map(|(held, control)| (held.path().to_owned(), control))
}

/// As [`create`], and holds the directory open.
///
/// # Errors
/// There is a fleet with that name, or not enough space, or the kernel refuses.
pub fn create_held(
    root: &Path,
    id: &str,
    stamped: &Stamped,
    regions: u32,
) -> Result<(Held, Control), BusError> {
    let dir = fleet_dir(root, id);
    if fs::symlink_metadata(&dir).is_ok() {
        return Err(taken(&dir));
    }
    let wanted = bytes_with(&stamped.shape, regions);
    if let Some(Available { bytes: left, limit }) = memory::available().filter(|left| left.bytes < wanted) {
        let cause = Cause::GroupLimit { wanted, left, limit };
        return Err(BusError::Kernel { path: dir, what: "reserve its pages", cause });
    }
    let Identity { pid, start_ticks } = stamped.owner;
    let staged = root.join(format!(".{PREFIX}-{id}.{pid}-{start_ticks}-{}", stamped.namespace));
    let inside = PrivateDir::make(&staged, &dir)?;
    let coordinators = stamped.shape.coordinators();
    let made = fill(&inside, stamped, regions).and_then(|control| {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(CWD, &staged, CWD, &dir, flags) {
            Ok(()) => Ok(control),
            Err(Errno::EXIST) => Err(taken(&dir)),
            Err(errno) => Err(BusError::io(&dir, "give the fleet its name", errno)),
        }
    });
    match made {
        Ok(control) => {
            let held = inside.into_fd();
            let held = Held::of(held, &dir).map_err(|errno| BusError::io(&dir, "look at it", errno))?;
            fault::register_fleet(&dir, held.raw(), coordinators);
            Ok((held, control))
        }
        Err(error) => {
            // Through the descriptor that is open: there may be no other to be had.
            for coordinator in 0..coordinators {
                inside.unlink(region_name(coordinator).as_ref());
            }
            inside.unlink(CONTROL.as_ref());
            let _ = rustix::fs::rmdir(&staged);
            Err(of_the_whole(error, &dir, wanted))
        }
    }
}

fn taken(dir: &Path) -> BusError {
    let whose = fs::symlink_metadata(dir).ok().map(|found| found.uid());
    let other = whose.filter(|uid| *uid != rustix::process::geteuid().as_raw());
    BusError::refused(
        dir,
        match other {
            Some(uid) => format!("user {uid} has something with that name there"),
            None => "a fleet with that name already exists".to_owned(),
        },
    )
}

/// What a file did not find room for is only a part of what is wanted.
fn of_the_whole(error: BusError, dir: &Path, wanted: u64) -> BusError {
    match error {
        BusError::NoSpace { .. } => BusError::kernel(dir, "reserve its pages", wanted, Errno::NOSPC),
        other => other,
    }
}

/// Bytes of a fleet of which so many coordinators have lived.
fn bytes_with(shape: &FleetShape, regions: u32) -> u64 {
    shape.shm_bytes() - u64::from(shape.coordinators() - regions) * RegionLayout::new(shape).bytes()
}

/// Makes the region of a coordinator that is to live for the first time. One that is there already stays.
pub fn add_region(dir: &Held, stamped: &Stamped, coordinator: u32) -> Result<(), BusError> {
    let (name, path) = (region_name(coordinator), region_path(dir.path(), coordinator));
    if rustix::fs::statat(dir.fd(), &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Ok(());
    }
    let wanted = RegionLayout::new(&stamped.shape).bytes();
    if let Some(Available { bytes: left, limit }) = memory::available().filter(|left| left.bytes < wanted) {
        let cause = Cause::GroupLimit { wanted, left, limit };
        return Err(BusError::Kernel { path, what: "reserve its pages", cause });
    }
    let inside = dir.private()?;
    let staged = format!(".{name}");
    // Left by a supervisor that was killed here.
    inside.unlink(staged.as_ref());
    Region::create_in(&inside, staged.as_ref(), stamped, coordinator)?;
    let named = rustix::fs::renameat(dir.fd(), &staged, dir.fd(), &name);
    named.map_err(|errno| {
        inside.unlink(staged.as_ref());
        BusError::io(&path, "give the region its name", errno)
    })
}

fn fill(dir: &PrivateDir, stamped: &Stamped, regions: u32) -> Result<Control, BusError> {
    for coordinator in 0..regions {
        Region::create_in(dir, region_name(coordinator).as_ref(), stamped, coordinator)?;
    }
    Control::create_in(dir, CONTROL.as_ref(), stamped)
}

/// Removes a fleet's directory: the files first, never below, never through a link. A missing one is not an error.
///
/// # Errors
/// As of [`Held::remove`].
pub fn remove(dir: &Path) -> io::Result<()> {
    match Held::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        held => held?.remove(),
    }
}

fn in_words(path: &Path, errno: Errno) -> io::Error {
    io::Error::new(io::Error::from(errno).kind(), Cause::of(path, "", 0, errno).to_string())
}

/// What lies under a root, and whether its owner lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub id: String,
    pub owner: Owner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Alive(Identity),
    /// No process has its pid and start time.
    Dead(Identity),
    /// It is of another pid or time namespace, or may be of another host, where its pid and start time mean another process: it
    /// is left alone.
    Elsewhere,
    /// The directory does not name it, or the process cannot be checked: it is left alone.
    Unknown,
}

impl Owner {
    /// Of the directory `dir`; `boot` is `None` if it does not say.
    fn of(identity: Identity, boot: Option<u128>, its_namespace: u64, dir: &Path) -> Self {
        // 0 where `/proc` cannot be read: then nothing is proven.
        if boot == Some(0) || boot_id() == 0 {
            return Self::Unknown;
        }
        // First: a container may have a boot id of its own.
        match namespace() {
            0 => return Self::Unknown,
            own if own != its_namespace => return Self::Elsewhere,
            _ => {}
        }
        // 0 while an adopter writes down who it is.
        match identity.presence() {
            _ if identity.pid == 0 => Self::Unknown,
            Presence::Alive => Self::Alive(identity),
            // Every host has the same first namespaces. Where no other can be, the machine has been booted since.
            Presence::Gone if boot != Some(boot_id()) && !is_of_this_host(dir) => Self::Elsewhere,
            Presence::Gone => Self::Dead(identity),
            Presence::Unknown => Self::Unknown,
        }
    }
}

/// Whether only processes of this host can have made the directory: it is in memory, or on a disk that one host has at a time.
fn is_of_this_host(dir: &Path) -> bool {
    rustix::fs::statfs(dir).is_ok_and(|found| LOCAL.contains(&found.f_type))
}

/// Every fleet of this user's under `root`, whole or half-made, in the order of names.
pub fn find(root: &Path) -> io::Result<Vec<Found>> {
    let me = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    let refused = |error: io::Error| match Errno::from_io_error(&error) {
        Some(errno) => in_words(root, errno),
        None => error,
    };
    for entry in fs::read_dir(root).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let whole = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-'));
        let staged = name
            .strip_prefix('.')
            .and_then(|rest| rest.strip_prefix(PREFIX))
            .and_then(|r| r.strip_prefix('-'));
        if whole.is_none() && staged.is_none() {
            continue;
        }
        let path = entry.path();
        let Ok(stat) = rustix::fs::lstat(&path) else { continue };
        let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
        if !is_dir || stat.st_uid != me {
            continue;
        }
        let (id, owner) = match (whole, staged) {
            (Some(id), _) => (id, owner_of(&path)),
            (None, Some(rest)) => {
                let Some((id, owner)) = rest.rsplit_once('.') else { continue };
                (id, staged_owner(owner, &path))
            }
            (None, None) => continue,
        };
        found.push(Found { id: id.to_owned(), path, owner });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes what the supervisor `owner` of the fleet that was to be in `dir` has left if it was killed before the fleet had its
/// name. Returns what was removed. As long as that process lives, nothing is.
pub fn remove_half_made(dir: &Path, owner: Identity) -> Option<PathBuf> {
    let (root, id) = (dir.parent()?, dir.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_prefix('-')?);
    let left = |found: &Found| {
        let is_half_made =
            found.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        is_half_made && found.id == id && found.owner == Owner::Dead(owner)
    };
    let found = find(root).ok()?.into_iter().find(left)?;
    remove(&found.path).ok().map(|()| found.path)
}

fn owner_of(dir: &Path) -> Owner {
    match peek_owner(&control_path(dir)) {
        Ok((owner, boot, its_namespace)) => Owner::of(owner, Some(boot), its_namespace, dir),
        Err(_) => Owner::Unknown,
    }
}

/// The temporary name has no boot id: /dev/shm does not outlive a boot.
fn staged_owner(text: &str, dir: &Path) -> Owner {
    let mut parts = text.split('-').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(start_ticks)), Some(Ok(its_namespace)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Owner::Unknown;
    };
    let Ok(pid) = u32::try_from(pid) else { return Owner::Unknown };
    Owner::of(Identity { pid, start_ticks }, None, its_namespace, dir)
}
