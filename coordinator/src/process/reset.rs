//! The reset of a worker between two tasks: it is as it was before the first one, or it is replaced.
//!
//! The state of the process is recorded before the first task that runs another program. After each such task the state is
//! compared with that and restored. What cannot be restored poisons the worker. Not covered: memory, timers, and what
//! the kernel does not show.

pub mod canary;
pub mod children;
pub mod temporary;

use super::fork::{Dispositions, Scheduling, set_variable};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, stat, statat};
use rustix::process::umask;
use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use temporary::Temporary;

/// What a task can leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Children,
    Threads,
    Signals,
    Descriptors,
    Environment,
    Directory,
    Limits,
    Umask,
    Nice,
    /// Its policy, the processors that it may use, and the priority of its input and output.
    Scheduling,
    /// How early the kernel kills it when memory runs out.
    OomScore,
    Temporary,
}

impl Part {
    /// In the order in which they are restored: first what could still change the others.
    pub const ALL: [Self; 12] = [
        Self::Children,
        Self::Threads,
        Self::Signals,
        Self::Descriptors,
        Self::Environment,
        Self::Directory,
        Self::Limits,
        Self::Umask,
        Self::Nice,
        Self::Scheduling,
        Self::OomScore,
        Self::Temporary,
    ];
}

/// Something that a task has left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    pub part: Part,
    pub what: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub undone: Vec<Leak>,
}

/// What cannot be restored: this process must not do another task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poisoned(pub Vec<Leak>);

impl fmt::Display for Poisoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, leak) in self.0.iter().enumerate() {
            write!(f, "{}{leak}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What stays between two tasks: the agent program, and the descriptors to it.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// A process group.
    pub group: Option<i32>,
    pub fds: Vec<RawFd>,
}

/// The file behind a descriptor.
type FileId = (u64, u64);

/// The state of a process before its first task.
#[derive(Debug)]
pub struct Baseline {
    environment: Vec<(OsString, OsString)>,
    directory: OwnedFd,
    directory_id: FileId,
    descriptors: BTreeMap<RawFd, FileId>,
    mask: SigSet,
    dispositions: Dispositions,
    limits: Vec<(Resource, Rlimit)>,
    umask: Mode,
    nice: i32,
    scheduling: Scheduling,
    /// `None` on a host with more processors than fit.
    processors: Option<CpuSet>,
    oom_score: Option<OomScore>,
    threads: u64,
    temporary: Option<Temporary>,
}

const LIMITS: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

impl Baseline {
    /// Records the state of this process, which must have one thread, and makes it adopt orphans. `temporary` becomes its
    /// temporary directory; if that cannot be made it has none, and no task can leave anything in it.
    pub fn capture(temporary: &Path) -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let directory =
            rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut baseline = Self {
            environment: std::env::vars_os().collect(),
            directory_id: id(&fstat(&directory)?),
            directory,
            descriptors: BTreeMap::new(),
            mask: mask()?,
            dispositions: Dispositions::capture(),
            limits: LIMITS.iter().map(|limit| (*limit, getrlimit(*limit))).collect(),
            umask: current_umask(),
            nice: getpriority_process(None)?,
            scheduling: Scheduling::now(),
            processors: sched_getaffinity(None).ok(),
            oom_score: OomScore::open().ok(),
            threads: threads()?,
            temporary: Temporary::make(temporary).ok(),
        };
        baseline.descriptors = descriptors()?;
        Ok(baseline)
    }

    /// The `TMPDIR` of commands.
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary.as_ref().map(Temporary::path)
    }

    /// Restores what has changed, except for `keep`. `Err`: this process must end.
    pub fn reset(&self, keep: &Keep) -> Result<Report, Poisoned> {
        self.reset_parts(&Part::ALL, keep)
    }

    /// As [`Self::reset`], for only some parts, so that tests can show what happens without the others.
    pub fn reset_parts(&self, parts: &[Part], keep: &Keep) -> Result<Report, Poisoned> {
        let (mut undone, mut stays) = (Vec::new(), Vec::new());
        for part in parts {
            match self.restore(*part, keep) {
                Ok(None) => {}
                Ok(Some(what)) => undone.push(Leak { part: *part, what }),
                Err(what) => stays.push(Leak { part: *part, what }),
            }
        }
        if stays.is_empty() { Ok(Report { undone }) } else { Err(Poisoned(stays)) }
    }

    /// Restores one part. Returns a description of what was restored, if anything was; or of what could not be.
    fn restore(&self, part: Part, keep: &Keep) -> Result<Option<String>, String> {
        match part {
            Part::Children => match children::end_all(keep.group) {
                Ok(0) => Ok(None),
                Ok(n) => Ok(Some(format!("{n} children were still running"))),
                Err(pids) => Err(format!("children {pids:?} do not end")),
            },
            Part::Threads => match threads() {
                Ok(now) if now == self.threads => Ok(None),
                Ok(now) => Err(format!("the worker has {now} threads instead of {}", self.threads)),
                Err(error) => Err(format!("its threads cannot be counted: {error}")),
            },
            Part::Signals => self.restore_signals(),
            Part::Descriptors => self.restore_descriptors(keep),
            Part::Environment => Ok(self.restore_environment()),
            Part::Directory => self.restore_directory(),
            Part::Limits => self.restore_limits(),
            Part::Umask => {
                let before = umask(self.umask);
                Ok((before != self.umask).then(|| format!("the umask was {:03o}", before.as_raw_mode())))
            }
            Part::Nice => {
                let failed = |error| format!("its priority cannot be restored: {error}");
                let now = getpriority_process(None).map_err(failed)?;
                if now == self.nice {
                    return Ok(None);
                }
                setpriority_process(None, self.nice).map_err(failed)?;
                Ok(Some(format!("the priority was {now}")))
            }
            Part::Scheduling => self.restore_scheduling(),
            Part::OomScore => {
                let restored = self.oom_score.as_ref().map(OomScore::restore).transpose();
                let was =
                    restored.map_err(|error| format!("its oom_score_adj cannot be restored: {error}"))?;
                Ok(was.flatten().map(|was| format!("oom_score_adj was {was}")))
            }
            Part::Temporary => match self.temporary.as_ref().map(Temporary::empty) {
                None | Some(Ok(0)) => Ok(None),
                Some(Ok(n)) => Ok(Some(format!("{n} entries were left in the temporary directory"))),
                Some(Err(error)) => Err(format!("the temporary directory cannot be emptied: {error}")),
            },
        }
    }

    fn restore_signals(&self) -> Result<Option<String>, String> {
        let mut changes = Vec::new();
        for signal in self.dispositions.changed() {
            let restored = self.dispositions.restore(signal);
            restored.map_err(|error| format!("the action of signal {signal} cannot be restored: {error}"))?;
            changes.push(format!("signal {signal} had another action"));
        }
        if mask().is_ok_and(|now| now != self.mask) {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.mask), None)
                .map_err(|error| format!("its signal mask cannot be restored: {error}"))?;
            changes.push("signals were blocked".to_owned());
        }
        Ok((!changes.is_empty()).then(|| changes.join(", ")))
    }

    fn restore_descriptors(&self, keep: &Keep) -> Result<Option<String>, String> {
        let now = descriptors().map_err(|error| format!("its descriptors cannot be listed: {error}"))?;
        if let Some((fd, _)) = self.descriptors.iter().find(|(fd, file)| now.get(fd) != Some(file)) {
            return Err(format!("descriptor {fd} was closed or leads elsewhere"));
        }
        let own: Vec<RawFd> =
            self.temporary.iter().map(Temporary::fd).chain([self.directory.as_raw_fd()]).collect();
        let is_foreign =
            |fd: &RawFd| !self.descriptors.contains_key(fd) && !keep.fds.contains(fd) && !own.contains(fd);
        let foreign: Vec<RawFd> = now.into_keys().filter(is_foreign).collect();
        for fd in &foreign {
            // Nothing in this program uses it: its own descriptors were open before, or are kept.
            let _ = nix::unistd::close(*fd);
        }
        Ok((!foreign.is_empty()).then(|| format!("descriptors {foreign:?} were open")))
    }

    fn restore_environment(&self) -> Option<String> {
        if std::env::vars_os().eq(self.environment.iter().cloned()) {
            return None;
        }
        let now: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let before: BTreeMap<_, _> = self.environment.iter().cloned().collect();
        let names = now.keys().filter(|name| before.get(*name) != now.get(*name));
        let names: Vec<&OsString> =
            names.chain(before.keys().filter(|name| !now.contains_key(*name))).collect();
        for name in &names {
            set_variable(name, before.get(*name).map(OsString::as_os_str));
        }
        // The same variables in another order are the same environment.
        (!names.is_empty()).then(|| format!("variables {names:?} were changed"))
    }

    fn restore_directory(&self) -> Result<Option<String>, String> {
        if stat(".").is_ok_and(|here| id(&here) == self.directory_id) {
            return Ok(None);
        }
        rustix::process::fchdir(&self.directory)
            .map_err(|error| format!("its working directory cannot be restored: {error}"))?;
        Ok(Some("the working directory was changed".to_owned()))
    }

    fn restore_scheduling(&self) -> Result<Option<String>, String> {
        let mut changes = Vec::new();
        if Scheduling::now() != self.scheduling {
            let restored = self.scheduling.restore();
            restored.map_err(|error| format!("its scheduling cannot be restored: {error}"))?;
            changes.push("the scheduling was changed");
        }
        if let Some(before) = &self.processors
            && sched_getaffinity(None).is_ok_and(|now| now != *before)
        {
            sched_setaffinity(None, before)
                .map_err(|error| format!("its processors cannot be restored: {error}"))?;
            changes.push("the processors that it may use were changed");
        }
        Ok((!changes.is_empty()).then(|| changes.join(", ")))
    }

    fn restore_limits(&self) -> Result<Option<String>, String> {
        let mut changed = Vec::new();
        for (limit, before) in &self.limits {
            if getrlimit(*limit) != *before {
                setrlimit(*limit, *before)
                    .map_err(|error| format!("limit {limit:?} cannot be restored: {error}"))?;
                changed.push(format!("{limit:?}"));
            }
        }
        Ok((!changed.is_empty()).then(|| format!("limits {} were changed", changed.join(", "))))
    }

    /// At the end of the process: removes its temporary directory.
    pub fn end(self) {
        if let Some(temporary) = self.temporary {
            // If that fails the next worker here empties it.
            let _ = temporary.remove();
        }
    }
}

/// `/proc/self/oom_score_adj` and what it was.
#[derive(Debug)]
struct OomScore {
    file: File,
    before: String,
}

impl OomScore {
    fn open() -> io::Result<Self> {
        let file = File::options().read(true).write(true).open("/proc/self/oom_score_adj")?;
        Ok(Self { before: Self::read(&file)?, file })
    }

    fn read(file: &File) -> io::Result<String> {
        let mut text = [0; 16];
        let len = file.read_at(&mut text, 0)?;
        Ok(String::from_utf8_lossy(&text[..len]).trim().to_owned())
    }

    /// Returns what it was now, if that was another one.
    fn restore(&self) -> io::Result<Option<String>> {
        let now = Self::read(&self.file)?;
        if now == self.before {
            return Ok(None);
        }
        self.file.write_all_at(self.before.as_bytes(), 0)?;
        Ok(Some(now))
    }
}

fn id(stat: &rustix::fs::Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

fn mask() -> nix::Result<SigSet> {
    let mut now = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, None, Some(&mut now))?;
    Ok(now)
}

/// The only way to read it is to set it.
fn current_umask() -> Mode {
    let now = umask(Mode::RWXG | Mode::RWXO);
    umask(now);
    now
}

/// From the link count of a directory, which is cheaper than its entries.
fn threads() -> rustix::io::Result<u64> {
    Ok(stat("/proc/self/task")?.st_nlink.saturating_sub(2))
}

/// All that are open now, except the one that they are listed with.
fn descriptors() -> io::Result<BTreeMap<RawFd, FileId>> {
    let mut dir = rustix::fs::Dir::new(rustix::fs::openat(
        CWD,
        "/proc/self/fd",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)?;
    let mut numbers = Vec::new();
    while let Some(entry) = dir.read() {
        numbers.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok()));
    }
    let listed_with = dir.fd()?;
    let file = |fd: RawFd| {
        // By its name in that directory: the number alone is not owned here.
        let found = statat(listed_with, fd.to_string(), AtFlags::empty()).ok()?;
        (fd != listed_with.as_raw_fd()).then(|| (fd, id(&found)))
    };
    Ok(numbers.into_iter().filter_map(file).collect())
}
