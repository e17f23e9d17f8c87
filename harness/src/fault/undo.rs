//! The undo journal: what a fault makes that the kernel does not undo with the harness is written down before it is made.
//!
//! That is directories of control groups. A journal is a file for each injection, in a private directory of the user, and
//! locked by the harness that lives. It says whose it is, and which directories are to be made, before the first one is; and
//! of each that was made, its device and inode, before any process is moved into it. So a harness that is killed at any
//! instruction leaves nothing, an empty directory whose name is in a journal, or a group whose inode is. `harness clean`
//! and the next `harness run` [`replay`] what the dead have left; a directory is touched only if name and inode are those of the journal.
//! Deliberately absent: what the groups are for, which is for `cgroup`.

use crate::system::Identity;
use coordinator::client::{ELSEWHERE, boot_id, namespace};
use notation::framed::{Chain, Lines, Next, append};
use rustix::fs::OFlags;
use serde_json::{Value as Json, json};
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// What the names of all groups of faults begin with.
const PREFIX: &str = "harness-fault-";
const SUFFIX: &str = ".undo";
/// Of a line: two paths, and what describes them.
const LINE_MAX: usize = 16 << 10;
/// More than any injection writes.
const FILE_MAX: u64 = 1 << 30;
/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const GROUP_FILE_SYSTEMS: [i64; 2] = [0x0027_e0eb, 0x6367_7270];
/// The processes of a group are moved in this time, though they start others meanwhile.
const EMPTY_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A group that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intended {
    /// The directory that it is made in.
    pub(super) parent: PathBuf,
    /// The group that its processes come from, and go back to.
    pub(super) origin: PathBuf,
}

/// A group as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    parent: PathBuf,
    name: String,
    pub(super) origin: PathBuf,
    /// Device and inode of its directory, once it is there.
    made: Option<(u64, u64)>,
}

impl Group {
    pub(super) fn dir(&self) -> PathBuf {
        self.parent.join(&self.name)
    }
}

/// The journal of one injection. Dropped, it stays where it is.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    chain: Chain,
    groups: Vec<Group>,
}

/// Makes the directory of journals, for this user alone.
///
/// # Errors
/// It cannot be made, or is another user's, or open to others, or is another one wherever a program is started.
pub fn prepare(dir: &Path) -> io::Result<()> {
    if !dir.is_absolute() {
        return Err(io::Error::other(
            "it must be an absolute path, so that `harness clean` finds it from any directory",
        ));
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    is_usable(dir)
}

/// Whether [`prepare`] would succeed; makes nothing.
///
/// # Errors
/// As there.
pub fn could_prepare(dir: &Path) -> io::Result<()> {
    if !dir.is_absolute() || dir.symlink_metadata().is_ok() {
        return prepare(dir);
    }
    let parent = dir.parent().unwrap_or(dir);
    let named = |what: &dyn std::fmt::Display| io::Error::other(format!("{}: {what}", parent.display()));
    if !parent.is_dir() {
        return Err(named(&"there is no such directory"));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(parent, access).map_err(|errno| named(&errno))
}

fn is_usable(dir: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    if !found.is_dir() || !is_private(&found) {
        return Err(io::Error::other("it must be a directory of this user with mode 0700"));
    }
    Ok(())
}

impl Journal {
    /// Writes down what is to be made, and makes nothing.
    pub(super) fn begin(dir: &Path, intended: &[Intended]) -> io::Result<Self> {
        let own = Identity::of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
        Self::begin_of(dir, own, intended)
    }

    fn begin_of(dir: &Path, harness: Identity, intended: &[Intended]) -> io::Result<Self> {
        prepare(dir)?;
        let nonce = format!("{:032x}", rand::random::<u128>());
        let path = dir.join(format!("{nonce}{SUFFIX}"));
        let file = File::options().append(true).create_new(true).mode(0o600).open(&path)?;
        file.try_lock()?;
        // From here on it is this harness's. Before, it was an empty one, which a replay removes.
        if !is_at(&file, &path) {
            return Err(io::Error::other("it was removed while it was made"));
        }
        let mut journal = Self { path, file, chain: Chain::START, groups: Vec::new() };
        let (boot_id, namespace) = here()?;
        let header = json!({
            "nonce": nonce, "pid": harness.pid, "start_ticks": harness.start_ticks,
            "boot_id": boot_id, "namespace": namespace,
        });
        let mut lines = vec![header];
        for (index, Intended { parent, origin }) in intended.iter().enumerate() {
            let name = format!("{PREFIX}{nonce}-{index}");
            lines.push(json!({ "parent": text(parent)?, "name": name, "origin": text(origin)? }));
            let (parent, origin) = (parent.clone(), origin.clone());
            journal.groups.push(Group { parent, name, origin, made: None });
        }
        match journal.note(&lines) {
            Ok(()) => Ok(journal),
            Err(error) => {
                fs::remove_file(&journal.path)?;
                Err(error)
            }
        }
    }

    fn note(&mut self, lines: &[Json]) -> io::Result<()> {
        let mut out = Vec::new();
        for line in lines {
            append(&mut self.chain, &mut out, line, LINE_MAX).map_err(io::Error::other)?;
        }
        self.file.write_all(&out)
    }

    /// Makes a group that was written down, and writes down which one it is.
    pub(super) fn make(&mut self, index: usize) -> io::Result<()> {
        let dir = self.groups[index].dir();
        fs::create_dir(&dir)?;
        let found = fs::symlink_metadata(&dir)?;
        let made = (found.dev(), found.ino());
        self.note(&[json!({ "made": index, "device": made.0, "inode": made.1 })])?;
        self.groups[index].made = Some(made);
        Ok(())
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Moves back what is in the groups, removes them, and then the journal.
    ///
    /// # Errors
    /// In words, what stays; and the journal with it.
    pub(super) fn undo(&self) -> Result<(), String> {
        let failed: Vec<String> = self.groups.iter().filter_map(|group| take_back(group).err()).collect();
        if !failed.is_empty() {
            return Err(failed.join("; "));
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", self.path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other(format!("{} is not UTF-8", path.display())))
}

/// The boot, and the namespaces in which pids and start times of processes here mean what they say.
fn here() -> io::Result<(String, u64)> {
    match (boot_id(), namespace()) {
        (0, _) | (_, 0) => {
            Err(io::Error::other("/proc does not say which boot and which namespaces these are"))
        }
        (boot_id, namespace) => Ok((format!("{boot_id:032x}"), namespace)),
    }
}

/// Whether it is in a file system of control groups, and its path says where.
fn is_of_groups(dir: &Path) -> bool {
    let plain = dir.is_absolute()
        && dir.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    plain && rustix::fs::statfs(dir).is_ok_and(|stat| GROUP_FILE_SYSTEMS.contains(&stat.f_type))
}

/// Processes go back to where they came from, and the directory goes. One that is not there needs nothing.
fn take_back(group: &Group) -> Result<(), String> {
    let dir = group.dir();
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", dir.display());
    let found = match fs::symlink_metadata(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| failed(&error))?,
    };
    if !found.is_dir() || !is_of_groups(&group.parent) || !is_of_groups(&dir) {
        return Err(failed(&"it is not a control group"));
    }
    match group.made {
        Some(made) if made != (found.dev(), found.ino()) => {
            Err(failed(&"it is not the control group that was made"))
        }
        Some(_) => empty(group, &dir).and_then(|()| remove(&dir)).map_err(|error| failed(&error)),
        // No process was ever moved into it: the kernel removes it only if that is so.
        None => fs::remove_dir(&dir).map_err(|error| failed(&error)),
    }
}

/// Where its processes came from is asked only if there are any: that group may be gone by then, with what was in it.
fn empty(group: &Group, dir: &Path) -> io::Result<()> {
    let until = Instant::now() + EMPTY_WITHIN;
    loop {
        let inside = fs::read_to_string(dir.join("cgroup.procs"))?;
        if inside.is_empty() {
            return Ok(());
        }
        if !is_of_groups(&group.origin) || group.origin.starts_with(dir) {
            let origin = group.origin.display();
            return Err(io::Error::other(format!("{origin} is not a control group beside it")));
        }
        let mut refused = None;
        for pid in inside.lines() {
            // One that has ended needs no other group.
            match put(&group.origin.join("cgroup.procs"), pid) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                    refused = Some(error);
                }
                Ok(()) | Err(_) => {}
            }
        }
        if Instant::now() > until {
            let why = refused.map_or_else(String::new, |error| format!(": {error}"));
            return Err(io::Error::other(format!("its processes cannot be moved back{why}")));
        }
        if refused.is_some() {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Writes a value into a file of the kernel's, which is there.
pub(super) fn put(path: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(value.as_bytes())
}

/// The kernel may still count processes that have just ended.
fn remove(dir: &Path) -> io::Result<()> {
    let until = Instant::now() + EMPTY_WITHIN;
    loop {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(LOOK_AGAIN);
            }
            done => return done,
        }
    }
}

/// What the journals of dead harnesses have come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Groups that are gone now, or would be.
    pub undone: Vec<PathBuf>,
    /// Journals that stay, and why.
    pub left: Vec<(PathBuf, String)>,
}

/// What a journal says, as far as it is whole.
struct Read {
    pid: u32,
    start_ticks: u64,
    boot_id: String,
    namespace: u64,
    groups: Vec<Group>,
}

/// Undoes what dead harnesses have left, or only says what there is.
pub fn replay(dir: &Path, really: bool) -> Replayed {
    let mut replayed = Replayed::default();
    // Another user's journals are not this one's to replay.
    let is_own = |found: fs::Metadata| found.uid() == rustix::process::geteuid().as_raw();
    if !fs::symlink_metadata(dir).is_ok_and(is_own) {
        return replayed;
    }
    if let Err(error) = prepare(dir) {
        replayed.left.push((dir.to_owned(), error.to_string()));
        return replayed;
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(SUFFIX));
    paths.sort();
    for path in paths {
        match replay_one(&path, really) {
            Ok(groups) => replayed.undone.extend(groups),
            Err(Some(why)) => replayed.left.push((path, why)),
            // Its harness lives.
            Err(None) => {}
        }
    }
    replayed
}

/// The groups that are gone now, or would be.
fn replay_one(path: &Path, really: bool) -> Result<Vec<PathBuf>, Option<String>> {
    let words = |error: io::Error| Some(error.to_string());
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(None),
        file => file.map_err(words)?,
    };
    file.try_lock().map_err(|_| None)?;
    // Another one may have replayed it in between.
    if !is_at(&file, path) {
        return Err(None);
    }
    let read = read(&file, path)?;
    let (boot_id, namespace) = here().map_err(words)?;
    let groups = match read {
        // Nothing was written, so nothing was made.
        None => Vec::new(),
        // First: a container may have a boot id of its own.
        Some(read) if read.namespace != namespace => return Err(Some(ELSEWHERE.to_owned())),
        Some(Read { pid, start_ticks, .. }) if (Identity { pid, start_ticks }).is_alive() => {
            return Err(None);
        }
        Some(read) if read.boot_id != boot_id => Vec::new(),
        Some(read) => read.groups,
    };
    let there: Vec<&Group> = groups.iter().filter(|group| group.dir().exists()).collect();
    let dirs: Vec<PathBuf> = there.iter().map(|group| group.dir()).collect();
    if really {
        let failed: Vec<String> = there.iter().filter_map(|group| take_back(group).err()).collect();
        if !failed.is_empty() {
            return Err(Some(failed.join("; ")));
        }
        fs::remove_file(path).map_err(words)?;
    }
    Ok(dirs)
}

/// Whether it still has its name.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let now = fs::symlink_metadata(path).map(identity);
    now.ok().is_some_and(|now| file.metadata().is_ok_and(|then| identity(then) == now))
}

/// Of this user, and of no use to others.
fn is_private(found: &fs::Metadata) -> bool {
    const OTHERS: u32 = 0o077;
    found.uid() == rustix::process::geteuid().as_raw() && (found.mode() & OTHERS) == 0
}

/// Neither a link nor a pipe, and of this user alone.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if found.is_file() && is_private(&found) && found.len() <= FILE_MAX {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a file of this user with mode 0600"))
    }
}

/// Up to the first line that was not written whole; nothing if that is the first one.
fn read(file: &File, path: &Path) -> Result<Option<Read>, Option<String>> {
    let damaged = |what: &str| Some(format!("it is damaged ({what}), and what it says is not done"));
    let nonce = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let mut lines = Lines::new(BufReader::new(file), LINE_MAX);
    let mut read: Option<Read> = None;
    loop {
        match lines.advance().map_err(|error| Some(error.to_string()))? {
            Next::End | Next::Torn => return Ok(read),
            Next::TooLong => return Err(damaged("a line is too long")),
            Next::Whole => {}
        }
        let checked = lines.check().map_err(|error| damaged(&error.to_string()))?;
        let line: Json =
            serde_json::from_slice(&checked.json).map_err(|error| damaged(&error.to_string()))?;
        lines.accept(&checked);
        match &mut read {
            None => read = Some(header(&line, nonce).ok_or_else(|| damaged("its first line"))?),
            Some(read) => take(&line, nonce, &mut read.groups).ok_or_else(|| damaged("a line"))?,
        }
    }
}

fn header(line: &Json, nonce: &str) -> Option<Read> {
    (line["nonce"].as_str()? == nonce).then_some(())?;
    Some(Read {
        pid: u32::try_from(line["pid"].as_u64()?).ok()?,
        start_ticks: line["start_ticks"].as_u64()?,
        boot_id: line["boot_id"].as_str()?.to_owned(),
        namespace: line["namespace"].as_u64()?,
        groups: Vec::new(),
    })
}

fn take(line: &Json, nonce: &str, groups: &mut Vec<Group>) -> Option<()> {
    if let Some(index) = line["made"].as_u64() {
        let group = groups.get_mut(usize::try_from(index).ok()?)?;
        group.made = Some((line["device"].as_u64()?, line["inode"].as_u64()?));
        return Some(());
    }
    let path = |key: &str| line[key].as_str().map(PathBuf::from);
    let name = line["name"].as_str()?.to_owned();
    // No other name is made by this journal, whatever it says.
    (name == format!("{PREFIX}{nonce}-{}", groups.len())).then_some(())?;
    groups.push(Group { parent: path("parent")?, name, origin: path("origin")?, made: None });
    Some(())
}

#[cfg(test)]
mod tests;
