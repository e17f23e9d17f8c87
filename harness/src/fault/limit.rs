//! A lower soft limit by `prlimit`, and the one before to heal, also of what was started since. Proven by `/proc/PID/limits`.

use super::offspring::{Effect, Offspring, Since};
use super::{Fault, Look, all, every, every_living, heirs, names};
use crate::scenario::fault::Resource;
use crate::system::{Identity, Presence, Process, System};
use procfs::process::{LimitValue, Process as Proc};
use rustix::process::{Pid, Resource as Kind, Rlimit, prlimit};
use std::collections::{HashMap, HashSet};

const LIMITS: &str = "/proc/PID/limits";

#[derive(Debug)]
pub(super) struct Limit {
    resource: Resource,
    to: u64,
    /// Each with the limit that it had.
    limited: Vec<(Process, Rlimit)>,
    /// Every process that there was then.
    before: HashSet<Identity>,
    since: Since,
    /// Once it is healed.
    offspring: Option<Offspring>,
}

/// The limit of a process that is not a target.
#[derive(Debug)]
struct Inherited {
    resource: Resource,
    to: u64,
}

impl Effect for Inherited {
    type Before = Rlimit;

    fn shows(&self, pid: u32) -> bool {
        // Only the soft limit was lowered: one that has both has lowered them itself.
        shown(self.resource, pid).is_ok_and(|(soft, hard)| soft == Some(self.to) && hard != Some(self.to))
    }

    fn undo(&self, pid: u32, before: &Rlimit) -> Result<(), String> {
        let (_, hard) = shown(self.resource, pid)?;
        // It may have a hard limit of its own.
        let soft = [before.current, hard].into_iter().flatten().min();
        set(self.resource, pid, Rlimit { current: soft, maximum: hard }).map(drop)
    }
}

impl Limit {
    pub(super) fn new(resource: Resource, to: u64) -> Self {
        Self {
            resource,
            to,
            limited: Vec::new(),
            before: HashSet::new(),
            since: Since::default(),
            offspring: None,
        }
    }

    fn has_limit(&self, process: &Process) -> Result<(), String> {
        match shown(self.resource, process.pid)?.0 {
            Some(limit) if limit == self.to => Ok(()),
            limit => {
                Err(format!("has a limit of {}", limit.map_or("none".to_owned(), |limit| limit.to_string())))
            }
        }
    }

    fn set(&self, process: &Process, limit: Rlimit) -> Result<Rlimit, String> {
        set(self.resource, process.pid, limit)
            .map_err(|error| format!("cannot limit {} (pid {}): {error}", process.place, process.pid))
    }

    fn lower(&self, process: &Process) -> Result<Rlimit, String> {
        let (soft, hard) = shown(self.resource, process.pid)?;
        match soft.filter(|soft| *soft <= self.to) {
            Some(soft) => Err(format!(
                "{} (pid {}) has a limit of {soft} {} already, and {} is not below it",
                process.place,
                process.pid,
                self.resource.words(),
                self.to
            )),
            None => self.set(process, Rlimit { current: Some(self.to), maximum: hard }),
        }
    }

    fn processes(&self) -> Vec<Process> {
        self.limited.iter().map(|(process, _)| process.clone()).collect()
    }

    /// The processes that have the lower limit now, each with the one that it should have again: what was forked since has
    /// that of its parent.
    fn present(&self, system: &dyn System) -> Vec<(Process, Rlimit)> {
        heirs(system, &self.limited, &self.before)
    }

    fn restore(&mut self, system: &dyn System) -> Result<(), String> {
        let failed: Vec<String> = self
            .present(system)
            .iter()
            .filter_map(|(process, before)| self.set(process, *before).err().map(|error| (process, error)))
            // One that has ended since needs nothing.
            .filter(|(process, _)| system.presence(process.identity()) == Presence::Alive)
            .map(|(_, error)| error)
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}

fn set(resource: Resource, pid: u32, limit: Rlimit) -> Result<Rlimit, String> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("has no pid")?;
    let kind = match resource {
        Resource::Descriptors => Kind::Nofile,
        Resource::Processes => Kind::Nproc,
        Resource::AddressSpace => Kind::As,
        Resource::FileSize => Kind::Fsize,
    };
    prlimit(Some(pid), kind, limit).map_err(|errno| errno.to_string())
}

/// The soft limit and the hard one, as `/proc/PID/limits` has them; `None` without one.
fn shown(resource: Resource, pid: u32) -> Result<(Option<u64>, Option<u64>), String> {
    let pid = i32::try_from(pid).map_err(|_| "has no pid".to_owned())?;
    let limits = Proc::new(pid).and_then(|proc| proc.limits()).map_err(|error| error.to_string())?;
    let pair = match resource {
        Resource::Descriptors => limits.max_open_files,
        Resource::Processes => limits.max_processes,
        Resource::AddressSpace => limits.max_address_space,
        Resource::FileSize => limits.max_file_size,
    };
    Ok((number(pair.soft_limit), number(pair.hard_limit)))
}

fn number(limit: LimitValue) -> Option<u64> {
    match limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(value) => Some(value),
    }
}

impl Fault for Limit {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        self.before = all(system);
        self.since = Since::now();
        for target in targets {
            match self.lower(target) {
                Ok(before) => self.limited.push((target.clone(), before)),
                Err(error) => {
                    // What was limited before has its limit back; a process that refuses is named by the error.
                    let _ = self.heal(system);
                    return Err(error);
                }
            }
        }
        Ok(format!("{} {} for {}", self.to, self.resource.words(), names(&self.processes())))
    }

    fn prove(&self, _: &dyn System) -> Look {
        every(&self.processes(), LIMITS, |process| self.has_limit(process))
    }

    fn lasts(&self, system: &dyn System) -> Option<Look> {
        let is_alive = |process: &Process| system.presence(process.identity()) == Presence::Alive;
        Some(every_living(&self.processes(), is_alive, LIMITS, |process| self.has_limit(process)))
    }

    fn heal(&mut self, system: &mut dyn System) -> Result<String, String> {
        self.restore(system)?;
        let targets = self.limited.iter().map(|(process, before)| (process.identity(), *before)).collect();
        let effect = Inherited { resource: self.resource, to: self.to };
        self.offspring = Some(Offspring::heal(effect, all(system), targets, self.since)?);
        Ok(format!("the limits before for {}, and what they have started", names(&self.processes())))
    }

    fn prove_healed(&self, system: &dyn System) -> Look {
        Offspring::look_behind(self.offspring.as_ref(), self.agents_are_healed(system))
    }
}

impl Limit {
    fn agents_are_healed(&self, system: &dyn System) -> Look {
        let present = self.present(system);
        let wanted: HashMap<u32, Option<u64>> =
            present.iter().map(|(process, limit)| (process.pid, limit.current)).collect();
        let processes: Vec<Process> = present.into_iter().map(|(process, _)| process).collect();
        if processes.is_empty() && !self.processes().is_empty() {
            return Look::Shown("no process is left that had it".to_owned());
        }
        every(&processes, LIMITS, |process| {
            // One that has ended since has no limit any more.
            let shown = match shown(self.resource, process.pid) {
                Err(_) if system.presence(process.identity()) != Presence::Alive => return Ok(()),
                shown => shown?.0,
            };
            if wanted.get(&process.pid) == Some(&shown) {
                Ok(())
            } else {
                Err("still has the lower limit".to_owned())
            }
        })
    }
}
