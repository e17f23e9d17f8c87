//! What shows from outside whether a disk is disturbed: files of the harness's own in it, written and created.
//!
//! A thread looks, since a slow disk would hold up the load. Its findings come through a channel; it ends when one is
//! what was looked for, or nothing wants them any more.

use crate::scenario::fault::{CallError, DiskFault, Which};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// In the directory that is disturbed.
const NAME: &str = ".harness-probe";
/// Between two looks at what is not so yet.
const AGAIN: Duration = Duration::from_millis(2);
/// A thousand calls that nothing holds up, by a thread that has to wait for a processor.
const LOOKS_FOR: Duration = Duration::from_millis(100);
/// Writes that are timed in one look, at most.
const LOOKS_MAX: u32 = 10;
/// A call that was to fail by chance has not done so in so many tries as make that less likely than this.
const BY_CHANCE: f64 = 1e-6;

/// A file without a name, so that nothing is left of it.
pub(super) fn file(dir: &Path) -> io::Result<File> {
    remove_left(dir)?;
    let path = path(dir);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::unlink(&path)?;
    Ok(file.into())
}

fn path(dir: &Path) -> PathBuf {
    dir.join(format!("{NAME}-{}", std::process::id()))
}

/// Removes the files of harnesses that were killed between creating and removing one.
fn remove_left(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(NAME)?.strip_prefix('-')?.parse::<u32>().ok());
        let is_left = owner.is_some_and(|pid| {
            pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists()
        });
        // It may have been removed meanwhile, as may have its directory.
        if is_left {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Effect,
    /// That there is none any more.
    Heal,
}

/// The calls that a probe has made, and those that failed or took longer as they were to.
#[derive(Debug, Default)]
pub struct Tally {
    made: AtomicU64,
    hit: AtomicU64,
}

impl Tally {
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub fn hit(&self) -> u64 {
        self.hit.load(Ordering::Relaxed)
    }

    fn count(&self, is_hit: bool) {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.hit.fetch_add(u64::from(is_hit), Ordering::Relaxed);
    }
}

/// Where a probe looks.
#[derive(Debug)]
pub(super) struct At {
    pub(super) dir: PathBuf,
    /// A file there.
    pub(super) file: Arc<File>,
    pub(super) tally: Arc<Tally>,
}

/// In words: by what it was shown, or what was seen instead.
pub type Found = Result<String, String>;

/// Looks at a disk on a thread of its own.
#[derive(Debug)]
pub struct Probe {
    found: Receiver<Found>,
}

impl Probe {
    pub(super) fn start(at: At, what: DiskFault, wanted: Wanted) -> io::Result<Self> {
        let (send, found) = channel();
        let look = move || loop {
            let seen = look(&at, what, wanted);
            let is_over = seen.is_ok();
            if send.send(seen).is_err() || is_over {
                return;
            }
            std::thread::park_timeout(AGAIN);
        };
        std::thread::Builder::new().name("probe".to_owned()).spawn(look)?;
        Ok(Self { found })
    }

    /// How long a look at this effect takes, about.
    pub fn looks_for(what: DiskFault) -> Duration {
        match what {
            DiskFault::Slow(delay) => delay * looks(delay) + LOOKS_FOR,
            DiskFault::Fail { .. } | DiskFault::Full => LOOKS_FOR,
        }
    }

    /// The newest finding since the last question, and the one that was looked for before all others.
    pub fn newest(&self) -> Option<Found> {
        let mut newest = None;
        while let Ok(found) = self.found.try_recv() {
            let is_it = found.is_ok();
            newest = Some(found);
            if is_it {
                break;
            }
        }
        newest
    }
}

/// One look. What the disk refuses by itself is neither the effect nor its end.
fn look(at: &At, what: DiskFault, wanted: Wanted) -> Found {
    match (what, wanted) {
        (DiskFault::Slow(delay), Wanted::Effect) => {
            // On a busy host, one alone may take long by itself.
            let mut least = Duration::MAX;
            for _ in 0..looks(delay) {
                least = least.min(timed(at)?);
            }
            let words = format!("a write to a probe took {} at least", millis(least));
            if least >= delay { Ok(words) } else { Err(words) }
        }
        (DiskFault::Slow(delay), Wanted::Heal) => {
            let took = timed(at)?;
            let words = format!("a write to a probe took {}", millis(took));
            if took < delay { Ok(words) } else { Err(words) }
        }
        (DiskFault::Fail { error, calls }, Wanted::Effect) => (1..=tries(calls))
            .find_map(|number| match write(at, expected(error)) {
                Ok(()) => None,
                Err(errno) if errno == expected(error) => {
                    Some(Ok(format!("write {number} to a probe gets {}: {errno}", error.name())))
                }
                Err(errno) => Some(Err(format!("a write to a probe gets {errno}"))),
            })
            .unwrap_or_else(|| Err(format!("{} writes to a probe succeed", tries(calls)))),
        (DiskFault::Fail { error, calls }, Wanted::Heal) => {
            for number in 1..=tries(calls) {
                write(at, expected(error))
                    .map_err(|errno| format!("write {number} to a probe gets {errno}"))?;
            }
            Ok(format!("{} writes to a probe succeed", tries(calls)))
        }
        (DiskFault::Full, Wanted::Effect) => {
            let refused = |what: &str, done: Result<(), Errno>| match done {
                Err(Errno::NOSPC) => Ok(()),
                Err(errno) => Err(format!("{what} a probe gets {errno}")),
                Ok(()) => Err(format!("{what} a probe succeeds")),
            };
            refused("writing to", write(at, Errno::NOSPC))?;
            refused("creating", create(at))?;
            Ok(format!("writing to a probe gets {0}, and so does creating one", Errno::NOSPC))
        }
        (DiskFault::Full, Wanted::Heal) => {
            write(at, Errno::NOSPC).map_err(|errno| format!("writing to a probe gets {errno}"))?;
            create(at).map_err(|errno| format!("creating a probe gets {errno}"))?;
            Ok("a probe can be created and written".to_owned())
        }
    }
}

/// How many writes show that each takes so much longer: as many as fit into a tenth of a second.
fn looks(delay: Duration) -> u32 {
    let fit = Duration::from_millis(100).as_nanos() / delay.as_nanos().max(1);
    u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, LOOKS_MAX)
}

fn timed(at: &At) -> Result<Duration, String> {
    let begun = Instant::now();
    let done = at.file.write_at(b"x", 0);
    at.tally.count(true);
    done.map_err(|error| format!("a write to a probe gets {error}"))?;
    Ok(begun.elapsed())
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

fn write(at: &At, meant: Errno) -> Result<(), Errno> {
    let done = rustix::io::pwrite(&at.file, b"x", 0).map(drop);
    at.tally.count(done == Err(meant));
    done
}

fn create(at: &At) -> Result<(), Errno> {
    let path = path(&at.dir);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let made = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map(drop);
    at.tally.count(made == Err(Errno::NOSPC));
    made?;
    rustix::fs::unlinkat(rustix::fs::CWD, &path, AtFlags::empty())
}

fn expected(error: CallError) -> Errno {
    Errno::from_raw_os_error(error.number())
}

/// How many calls show whether one of them fails.
fn tries(calls: Which) -> u32 {
    let share = match calls {
        Which::Rate(share) => share,
        Which::Nth(nth) => 1.0 / f64::from(nth.max(1)),
    };
    if share >= 1.0 {
        return 1;
    }
    (BY_CHANCE.ln() / (1.0 - share).ln()).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dir: &Path, file: File) -> At {
        At { dir: dir.to_owned(), file: Arc::new(file), tally: Arc::default() }
    }

    #[test]
    fn as_many_calls_are_tried_as_leave_nothing_to_chance() {
        assert_eq!([1.0, 0.5, 0.1, 0.01].map(|share| tries(Which::Rate(share))), [1, 20, 132, 1375]);
        assert_eq!([1, 2, 10, 100].map(|nth| tries(Which::Nth(nth))), [1, 20, 132, 1375]);
    }

    #[test]
    fn a_disk_that_is_not_disturbed_shows_no_effect_and_is_healed() {
        let dir = tempfile::tempdir().unwrap();
        let at = at(dir.path(), file(dir.path()).unwrap());
        let fail = DiskFault::Fail { error: CallError::Io, calls: Which::Rate(0.1) };
        // No write takes a minute.
        for what in [DiskFault::Slow(Duration::from_secs(60)), fail, DiskFault::Full] {
            let found = look(&at, what, Wanted::Effect);
            assert!(found.is_err(), "{found:?}");
            let healed = look(&at, what, Wanted::Heal);
            assert!(healed.is_ok(), "{healed:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_harness_has_left_is_removed_and_what_others_have_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // More than any kernel's greatest pid.
        let left = dir.path().join(".harness-probe-4194305");
        let others = [".harness-probe-1", ".harness-probe-", ".harness-probe-x", "4194305"];
        for path in others.map(|name| dir.path().join(name)).iter().chain([&left, &path(dir.path())]) {
            std::fs::write(path, "").unwrap();
        }
        file(dir.path()).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".harness-probe-", ".harness-probe-1", ".harness-probe-x", "4194305"]);
    }

    #[test]
    fn another_error_than_the_one_that_was_injected_is_neither_effect_nor_heal() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a").unwrap();
        // Opened for reading: each write fails as EBADF.
        let at = at(dir.path(), File::open(dir.path().join("a")).unwrap());
        let fail = DiskFault::Fail { error: CallError::Io, calls: Which::Rate(1.0) };
        for what in [DiskFault::Slow(Duration::ZERO), fail, DiskFault::Full] {
            for wanted in [Wanted::Effect, Wanted::Heal] {
                let found = look(&at, what, wanted);
                assert!(found.is_err(), "{what:?} {wanted:?} {found:?}");
            }
        }
    }
}
