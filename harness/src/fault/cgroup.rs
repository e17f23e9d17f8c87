//! A control group for each target, below the one that it was in: with a limit, or with less memory than it uses, so that the
//! kernel's OOM killer ends it.
//!
//! The kernel does not remove a group with the harness: it is in the journal ([`super::undo`]) before it is made. A process
//! that is moved can take tens of milliseconds, in which the load must go on, so that a thread moves them; its result is looked
//! for as any effect is. What a target starts is in its group, too: healed, all of it is moved back, and the kernel removes
//! only a group that is empty. Proven by `/proc/PID/cgroup` and what the kernel counts in the group.

mod controller;
mod pressure;

use super::undo::{Intended, Journal, put};
use super::{Fault, Look, every, every_living, names};
use crate::scenario::fault::GroupLimit;
use crate::scenario::unit::bytes_text;
use crate::system::{Process, System};
pub(crate) use controller::Controller;
use controller::{Home, Version};
use reports::runlog::event::Met;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of the group of a process that is to run out of memory: every process has more code than that.
const OOM_BYTES: u64 = 64 << 10;

/// What a group is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    Limit(GroupLimit),
    Oom,
}

impl What {
    fn controller(self) -> Controller {
        match self {
            Self::Limit(GroupLimit::Memory(_)) | Self::Oom => Controller::Memory,
            Self::Limit(GroupLimit::Cpu(_)) => Controller::Cpu,
            Self::Limit(GroupLimit::Pids(_)) => Controller::Pids,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The thread has not begun.
    Due,
    /// Each is in its group.
    Moved,
    /// In words; what was made is undone.
    Failed(String),
    /// What the kernel had counted, or in words, what stays.
    Undone(Result<Counted, String>),
}

/// What the kernel has counted while an effect lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Counted {
    /// How often a quota was used up.
    Met(Met),
    /// In words: what does not show the effect.
    Words(String),
}

/// What the threads of an injection work on, one after the other.
#[derive(Debug)]
struct Groups {
    what: What,
    targets: Vec<Process>,
    homes: Vec<Home>,
    intended: Vec<Intended>,
    undo_dir: PathBuf,
    journal: Option<Journal>,
    /// Of each target, once it is there.
    dirs: Vec<PathBuf>,
    step: Step,
}

impl Groups {
    fn make(&mut self) {
        if self.step != Step::Due {
            return;
        }
        self.step = match self.try_make() {
            Ok(()) => Step::Moved,
            Err(why) => match self.take_back() {
                Ok(()) => Step::Failed(why),
                Err(stays) => Step::Failed(format!("{why}; and {stays}")),
            },
        };
    }

    fn try_make(&mut self) -> Result<(), String> {
        let journal = Journal::begin(&self.undo_dir, &self.intended);
        let journal = journal.map_err(|error| format!("{}: {error}", self.undo_dir.display()))?;
        let journal = self.journal.insert(journal);
        for index in 0..self.intended.len() {
            let dir = journal.groups()[index].dir();
            journal.make(index).map_err(|error| format!("{}: {error}", dir.display()))?;
            self.dirs.push(dir);
        }
        for (index, (target, home)) in self.targets.iter().zip(&self.homes).enumerate() {
            let dir = &self.dirs[index];
            let failed = |what: &str, error: std::io::Error| {
                format!("{what} {} (pid {}): {}: {error}", target.place, target.pid, dir.display())
            };
            limit(self.what, home.version, dir).map_err(|error| failed("cannot limit", error))?;
            // Its pid is another one's when it has ended.
            if target.identity().is_alive() {
                put(&dir.join("cgroup.procs"), &target.pid.to_string())
                    .or_else(|error| if target.identity().is_alive() { Err(error) } else { Ok(()) })
                    .map_err(|error| failed("cannot move", error))?;
            }
            if self.what == What::Oom {
                pressure::press(target.identity())
                    .map_err(|why| format!("{} (pid {}): {why}", target.place, target.pid))?;
            }
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<(), String> {
        let Some(journal) = &self.journal else { return Ok(()) };
        journal.undo()?;
        self.journal = None;
        Ok(())
    }

    fn undo(&mut self) {
        if matches!(self.step, Step::Undone(Ok(_))) {
            return;
        }
        let counted = self.counted();
        self.step = Step::Undone(self.take_back().map(|()| counted));
    }

    /// Each target with the group that it came from, and its own.
    fn each(&self) -> impl Iterator<Item = (&Process, &Home, &Path)> {
        let of = self.targets.iter().zip(&self.homes).zip(&self.dirs);
        of.map(|((target, home), dir)| (target, home, dir.as_path()))
    }

    /// What the kernel has counted in all groups while they lasted.
    fn counted(&self) -> Counted {
        let sum = |read: &dyn Fn(&Home, &Path) -> Result<u64, String>| -> u64 {
            self.each().filter_map(|(_, home, dir)| read(home, dir).ok()).sum()
        };
        match self.what {
            What::Limit(GroupLimit::Cpu(_)) => {
                let all = sum(&|_, dir| Ok(controller::periods(dir)?.0));
                let throttled = sum(&|_, dir| Ok(controller::periods(dir)?.1));
                Counted::Met(Met { hit: throttled, of: all })
            }
            What::Limit(GroupLimit::Memory(_)) | What::Oom => {
                let kills = sum(&|home, dir| controller::oom_kills(home.version, dir));
                Counted::Words(format!("{kills} processes ended by the OOM killer"))
            }
            What::Limit(GroupLimit::Pids(_)) => {
                let refused = sum(&|_, dir| controller::refused_forks(dir));
                Counted::Words(format!("{refused} forks refused"))
            }
        }
    }

    /// Whether a process is in its group, and that has its limit.
    fn shown(&self, target: &Process, home: &Home, dir: &Path) -> Result<(), String> {
        let now = self.what.controller().home(target.pid)?.dir;
        if now != dir {
            return Err(format!("is in {}", now.display()));
        }
        let other = |shown: String| Err(format!("{}: {shown}", dir.display()));
        match self.what {
            What::Limit(GroupLimit::Memory(bytes)) => {
                let (limit, used) = controller::memory(home.version, dir)?;
                let fits = limit == pages(bytes) && used <= limit;
                if fits { Ok(()) } else { other(format!("{used} of {limit} bytes used")) }
            }
            What::Limit(GroupLimit::Cpu(cpus)) => {
                let fits = controller::has_quota(home.version, dir, cpus)?;
                // The kernel counts the periods of a group that has a quota and runs.
                let (periods, _) = controller::periods(dir)?;
                if fits && periods > 0 { Ok(()) } else { other(format!("{periods} periods so far")) }
            }
            What::Limit(GroupLimit::Pids(pids)) => {
                let (limit, there) = controller::pids(dir)?;
                let fits = limit == pids && there > 0;
                if fits { Ok(()) } else { other(format!("{there} processes and threads of {limit}")) }
            }
            What::Oom => Ok(()),
        }
    }

    fn proof(&self) -> Look {
        if self.what == What::Oom {
            return self.proof_of_end();
        }
        let of: Vec<_> = self.each().collect();
        let how = match self.what.controller() {
            Controller::Memory => "/proc/PID/cgroup, and the limit and the use of the group",
            Controller::Cpu => "/proc/PID/cgroup, and the quota and the periods of the group",
            Controller::Pids => "/proc/PID/cgroup, and pids.current of the group",
        };
        let is_alive = |target: &Process| target.identity().is_alive();
        every_living(&self.targets, is_alive, how, |target| {
            let found = of.iter().find(|(process, ..)| process.pid == target.pid);
            let (_, home, dir) = found.ok_or("has no group")?;
            self.shown(target, home, dir)
        })
    }

    /// The kernel's counter of each group, and no process.
    fn proof_of_end(&self) -> Look {
        let mut all = 0;
        for (target, home, dir) in self.each() {
            let named = |what: String| Look::NotYet(format!("{} (pid {}) {what}", target.place, target.pid));
            if !target.identity().is_gone() {
                return named("is still there".to_owned());
            }
            match controller::oom_kills(home.version, dir) {
                Ok(0) => return named("has ended, and not by the OOM killer".to_owned()),
                Ok(kills) => all += kills,
                Err(why) => return named(why),
            }
        }
        match all {
            0 => Look::NotYet("no group has a process that was ended".to_owned()),
            kills => {
                Look::Shown(format!("oom_kill is {kills}, and gone from /proc: {}", names(&self.targets)))
            }
        }
    }

    fn proof_of_heal(&self) -> Look {
        let counted = match &self.step {
            Step::Undone(Ok(counted)) => counted,
            Step::Undone(Err(why)) => return Look::NotYet(why.clone()),
            Step::Due | Step::Moved | Step::Failed(_) => {
                return Look::NotYet("its processes are being moved back".to_owned());
            }
        };
        if let Some(dir) = self.dirs.iter().find(|dir| dir.exists()) {
            return Look::NotYet(format!("{} is still there", dir.display()));
        }
        let words = match counted {
            Counted::Met(_) => String::new(),
            Counted::Words(words) => format!(" ({words})"),
        };
        let shown = format!("its groups are gone{words}; /proc/PID/cgroup");
        every(&self.targets, &shown, |target| {
            let home = self.each().find(|(process, ..)| process.pid == target.pid).map(|(_, home, _)| home);
            let now = self.what.controller().home(target.pid);
            // One that has ended is in no group.
            if now.as_ref().ok() == home || !target.identity().is_alive() {
                return Ok(());
            }
            Err(now.map_or_else(|why| why, |now| format!("is in {}", now.dir.display())))
        })
    }
}

/// As the kernel counts them.
fn pages(bytes: u64) -> u64 {
    let page = rustix::param::page_size() as u64;
    bytes / page * page
}

fn limit(what: What, version: Version, dir: &Path) -> std::io::Result<()> {
    match what {
        What::Limit(GroupLimit::Memory(bytes)) => controller::limit_memory(version, dir, bytes),
        What::Limit(GroupLimit::Cpu(cpus)) => controller::limit_cpu(version, dir, cpus),
        What::Limit(GroupLimit::Pids(pids)) => controller::limit_pids(dir, pids),
        What::Oom => controller::limit_memory(version, dir, OOM_BYTES),
    }
}

/// Dropped, what was made is undone.
#[derive(Debug)]
pub(super) struct Cgroup {
    what: What,
    undo_dir: PathBuf,
    groups: Option<Arc<Mutex<Groups>>>,
}

impl Cgroup {
    pub(super) fn new(what: What, undo_dir: &Path) -> Self {
        Self { what, undo_dir: undo_dir.to_owned(), groups: None }
    }

    /// Nothing while a thread works on it.
    fn look(&self) -> Option<MutexGuard<'_, Groups>> {
        match self.groups.as_ref()?.try_lock() {
            Ok(groups) => Some(groups),
            Err(std::sync::TryLockError::Poisoned(groups)) => Some(groups.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    fn by_thread(&self, work: fn(&mut Groups)) -> Result<(), String> {
        let Some(groups) = self.groups.clone() else { return Ok(()) };
        std::thread::Builder::new()
            .name("cgroup".to_owned())
            .spawn(move || work(&mut groups.lock().unwrap_or_else(PoisonError::into_inner)))
            .map(drop)
            .map_err(|error| format!("cannot start a thread: {error}"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Some(groups) = &self.groups {
            groups.lock().unwrap_or_else(PoisonError::into_inner).undo();
        }
    }
}

impl Fault for Cgroup {
    fn inject(&mut self, _: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        let controller = self.what.controller();
        let mut homes = Vec::new();
        let mut intended = Vec::new();
        for target in targets {
            let failed = |why: String| format!("{} (pid {}): {why}", target.place, target.pid);
            let home = controller.home(target.pid).map_err(failed)?;
            let parent = controller.parent(&home).map_err(failed)?;
            intended.push(Intended { parent, origin: home.dir.clone() });
            homes.push(home);
        }
        self.groups = Some(Arc::new(Mutex::new(Groups {
            what: self.what,
            targets: targets.to_vec(),
            homes,
            intended,
            undo_dir: self.undo_dir.clone(),
            journal: None,
            dirs: Vec::new(),
            step: Step::Due,
        })));
        self.by_thread(Groups::make)?;
        let what = match self.what {
            What::Limit(GroupLimit::Memory(bytes)) => format!("{} of memory", bytes_text(bytes)),
            What::Limit(GroupLimit::Cpu(cpus)) => format!("{cpus} processors"),
            What::Limit(GroupLimit::Pids(pids)) => format!("{pids} processes and threads"),
            What::Oom => format!("{} of memory, and more used", bytes_text(OOM_BYTES)),
        };
        Ok(format!("a control group ({}) with {what} for {}", controller.name(), names(targets)))
    }

    fn prove(&self, _: &dyn System) -> Look {
        let Some(mut groups) = self.look() else {
            return Look::NotYet("its processes are being moved".to_owned());
        };
        match &groups.step {
            Step::Due => Look::NotYet("its processes are about to be moved".to_owned()),
            Step::Failed(why) => Look::NotYet(why.clone()),
            Step::Undone(_) => Look::NotYet("it is undone".to_owned()),
            Step::Moved => {
                let look = groups.proof();
                if self.what != What::Oom || matches!(look, Look::NotYet(_)) {
                    return look;
                }
                // Nothing is to be healed, and nothing may stay.
                groups.undo();
                match &groups.step {
                    Step::Undone(Err(why)) => Look::NotYet(why.clone()),
                    _ => look,
                }
            }
        }
    }

    fn heal(&mut self, _: &mut dyn System) -> Result<String, String> {
        if self.what == What::Oom {
            return Err("the dead stay dead: the fleet replaces them".to_owned());
        }
        self.by_thread(Groups::undo)?;
        Ok("each back into the group before, and its group removed".to_owned())
    }

    fn met(&self) -> Option<Met> {
        match &self.look()?.step {
            Step::Undone(Ok(Counted::Met(met))) => Some(*met),
            Step::Due | Step::Moved | Step::Failed(_) | Step::Undone(Ok(Counted::Words(_)) | Err(_)) => None,
        }
    }

    fn prove_healed(&self, _: &dyn System) -> Look {
        match self.look() {
            Some(groups) => groups.proof_of_heal(),
            None => Look::NotYet("its processes are being moved back".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
