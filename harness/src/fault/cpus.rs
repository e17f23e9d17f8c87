//! Fewer processors, by `sched_setaffinity` of every thread, and those before to heal, also of what was started since. Proven by
//! `/proc/PID/task/*/status`.

use super::offspring::{Effect, Offspring, Since};
use super::{Fault, Look, all, every, every_living, heirs, names};
use crate::system::{Identity, Presence, Process, System};
use procfs::process::Process as Proc;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::{HashMap, HashSet};

const ALLOWED: &str = "Cpus_allowed_list in /proc";

#[derive(Debug)]
pub(super) struct Cpus {
    to: u32,
    /// Each with the processors that it had.
    limited: Vec<(Process, CpuSet)>,
    /// Every process that there was then.
    before: HashSet<Identity>,
    since: Since,
    /// Once it is healed.
    offspring: Option<Offspring>,
}

/// The processors of a process that is not a target, or of a thread that began while its process was healed.
#[derive(Debug)]
struct Inherited {
    /// As targets were given them.
    given: Vec<Vec<u32>>,
}

impl Inherited {
    /// The threads that have no other processors than a target was given.
    fn threads(&self, pid: u32) -> Vec<u32> {
        let has_given = |(_, allowed): &(u32, Vec<u32>)| self.given.contains(allowed);
        allowed(pid).unwrap_or_default().into_iter().filter(has_given).map(|(thread, _)| thread).collect()
    }
}

impl Effect for Inherited {
    type Before = CpuSet;

    fn shows(&self, pid: u32) -> bool {
        !self.threads(pid).is_empty()
    }

    fn undo(&self, pid: u32, before: &CpuSet) -> Result<(), String> {
        self.threads(pid).into_iter().try_for_each(|thread| set_thread(thread, before))
    }
}

impl Cpus {
    pub(super) fn new(to: u32) -> Self {
        Self { to, limited: Vec::new(), before: HashSet::new(), since: Since::default(), offspring: None }
    }

    fn processes(&self) -> Vec<Process> {
        self.limited.iter().map(|(process, _)| process.clone()).collect()
    }

    fn lower(&self, process: &Process) -> Result<CpuSet, String> {
        let before = sched_getaffinity(pid(process.pid))
            .map_err(|error| format!("{} (pid {}): {error}", process.place, process.pid))?;
        if before.count() <= self.to {
            return Err(format!(
                "{} (pid {}) has {} processors, and {} are not fewer",
                process.place,
                process.pid,
                before.count(),
                self.to
            ));
        }
        set(process, &first(&before, self.to))?;
        Ok(before)
    }

    /// The processes that have fewer now, each with the processors that it should have again: what was forked since has
    /// those of its parent.
    fn present(&self, system: &dyn System) -> Vec<(Process, CpuSet)> {
        heirs(system, &self.limited, &self.before)
    }
}

fn pid(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// The first of them, as many as `count`.
fn first(set: &CpuSet, count: u32) -> CpuSet {
    let mut some = CpuSet::new();
    numbers(set).take(count as usize).for_each(|cpu| some.set(cpu as usize));
    some
}

/// Of every thread. One that has ended needs nothing; one that began meanwhile has the processors of its parent.
fn set(process: &Process, cpus: &CpuSet) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{} (pid {}): {error}", process.place, process.pid);
    for thread in threads(process).map_err(|error| failed(&error))? {
        set_thread(thread, cpus).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// One that has ended needs nothing.
fn set_thread(thread: u32, cpus: &CpuSet) -> Result<(), String> {
    match sched_setaffinity(pid(thread), cpus) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno.to_string()),
    }
}

fn threads(process: &Process) -> Result<Vec<u32>, String> {
    let raw = i32::try_from(process.pid).map_err(|_| "has no pid".to_owned())?;
    let tasks = Proc::new(raw).and_then(|proc| proc.tasks()).map_err(|error| error.to_string())?;
    Ok(tasks.flatten().filter_map(|task| u32::try_from(task.tid).ok()).collect())
}

/// The most processors that the kernel shows for one of its threads.
fn shown(process: &Process) -> Result<u32, String> {
    let counts = allowed(process.pid)?.into_iter().map(|(_, allowed)| allowed.len() as u32);
    counts.max().ok_or_else(|| "has no thread that can be read".to_owned())
}

/// The processors that the kernel shows for each thread of a process, in order.
fn allowed(pid: u32) -> Result<Vec<(u32, Vec<u32>)>, String> {
    let raw = i32::try_from(pid).map_err(|_| "has no pid".to_owned())?;
    let tasks = Proc::new(raw).and_then(|proc| proc.tasks()).map_err(|error| error.to_string())?;
    let of_thread = |status: procfs::process::Status| -> Vec<u32> {
        status.cpus_allowed_list.iter().flatten().flat_map(|(from, to)| *from..=*to).collect()
    };
    let threads =
        tasks.flatten().filter_map(|task| Some((u32::try_from(task.tid).ok()?, task.status().ok()?)));
    Ok(threads.map(|(thread, status)| (thread, of_thread(status))).collect())
}

/// The numbers of the processors of a set.
fn numbers(set: &CpuSet) -> impl Iterator<Item = u32> {
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu as u32)
}

impl Fault for Cpus {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        self.before = all(system);
        self.since = Since::now();
        for target in targets {
            match self.lower(target) {
                Ok(before) => self.limited.push((target.clone(), before)),
                Err(error) => {
                    // What had fewer has all again; a process that refuses is named by the error.
                    let _ = self.heal(system);
                    return Err(error);
                }
            }
        }
        let processors = if self.to == 1 { "processor" } else { "processors" };
        Ok(format!("{} {processors} for {}", self.to, names(&self.processes())))
    }

    fn prove(&self, system: &dyn System) -> Look {
        let is_alive = |process: &Process| system.presence(process.identity()) == Presence::Alive;
        every_living(&self.processes(), is_alive, ALLOWED, |process| match shown(process)? {
            count if count == self.to => Ok(()),
            count => Err(format!("has {count} processors")),
        })
    }

    fn heal(&mut self, system: &mut dyn System) -> Result<String, String> {
        let present = self.present(system);
        let failed: Vec<String> =
            present.iter().filter_map(|(process, before)| set(process, before).err()).collect();
        if !failed.is_empty() {
            return Err(failed.join("; "));
        }
        let given = |before: &CpuSet| numbers(before).take(self.to as usize).collect();
        let effect = Inherited { given: self.limited.iter().map(|(_, before)| given(before)).collect() };
        let targets = self.limited.iter().map(|(process, before)| (process.identity(), *before)).collect();
        self.offspring = Some(Offspring::heal(effect, all(system), targets, self.since)?);
        Ok(format!("the processors before for {}, and what they have started", names(&self.processes())))
    }

    fn prove_healed(&self, system: &dyn System) -> Look {
        Offspring::look_behind(self.offspring.as_ref(), self.agents_are_healed(system))
    }
}

impl Cpus {
    fn agents_are_healed(&self, system: &dyn System) -> Look {
        let present = self.present(system);
        let wanted: HashMap<u32, u32> =
            present.iter().map(|(process, before)| (process.pid, before.count())).collect();
        let processes: Vec<Process> = present.into_iter().map(|(process, _)| process).collect();
        if processes.is_empty() && !self.processes().is_empty() {
            return Look::Shown("no process is left that had them".to_owned());
        }
        every(&processes, ALLOWED, |process| {
            // One that has ended since is no process any more.
            let shown = match shown(process) {
                Err(_) if system.presence(process.identity()) != Presence::Alive => return Ok(()),
                shown => shown?,
            };
            if wanted.get(&process.pid) == Some(&shown) {
                Ok(())
            } else {
                Err(format!("has {shown} processors"))
            }
        })
    }
}
