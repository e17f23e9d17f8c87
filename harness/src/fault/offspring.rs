//! What a fault leaves in processes that are no targets: what a target starts inherits it, and so does what that starts. The
//! system knows its agents, and not its spare coordinator or what its agents run.
//!
//! They are found by `/proc` alone: all that is below the fleet's processes and was started since the injection. One look is
//! not enough, since a process that is just being forked is not there yet, and has what its parent had before the heal: a thread
//! looks again and again, until nothing shows for some looks, while the load goes on.

use super::Look;
use crate::system::Identity;
use procfs::process::{Stat, all_processes};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nothing has it if so many looks in a row find nothing,
const CLEAN_LOOKS: u32 = 3;
/// with this time in between: longer than the kernel takes to fork a process.
const BETWEEN: Duration = Duration::from_millis(20);
/// What is found up to then is healed; what then still shows is not.
const WITHIN: Duration = Duration::from_millis(1500);

/// What is inherited.
pub(super) trait Effect: Send + 'static {
    /// What a process had before.
    type Before: Send;

    /// Whether the kernel shows it of a process. One that has ended shows nothing.
    fn shows(&self, pid: u32) -> bool;

    /// Gives the process what the one had that it has it from.
    ///
    /// # Errors
    /// In words, without the name of the process.
    fn undo(&self, pid: u32, before: &Self::Before) -> Result<(), String>;
}

/// The moment of an injection: what was started before has nothing of it but the targets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Since(u64);

impl Since {
    pub(super) fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let per_second = rustix::param::clock_ticks_per_second();
        let ticks = now.tv_sec as u64 * per_second + now.tv_nsec as u64 * per_second / 1_000_000_000;
        // The kernel rounds down as well, and may have read its clock a little earlier.
        Self(ticks.saturating_sub(1))
    }
}

/// The heal of what is below the processes of a fleet.
#[derive(Debug)]
pub(super) struct Offspring {
    /// How many processes were healed, or in words, what stays. Nothing while it goes on.
    ended: Arc<Mutex<Option<Result<usize, String>>>>,
}

impl Offspring {
    /// Heals, by a thread, whatever below `roots` shows the effect: each as the target that it descends from was.
    ///
    /// # Errors
    /// Its thread cannot be started.
    pub(super) fn heal<E: Effect>(
        effect: E,
        roots: HashSet<Identity>,
        targets: Vec<(Identity, E::Before)>,
        since: Since,
    ) -> Result<Self, String> {
        let ended = Arc::new(Mutex::new(None));
        let to = Arc::clone(&ended);
        let work = move || {
            let result = until_clean(&effect, &roots, &targets, since);
            *to.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        };
        std::thread::Builder::new()
            .name("offspring".to_owned())
            .spawn(work)
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { ended })
    }

    /// Whether nothing has it any more: neither the agents, of which `agents` is a look, nor what they have started.
    pub(super) fn look_behind(offspring: Option<&Self>, agents: Look) -> Look {
        match (offspring, agents) {
            (Some(offspring), Look::Shown(shown)) => offspring.look(&shown),
            (_, look) => look,
        }
    }

    /// `shown` is how the kernel shows it of the agents.
    fn look(&self, shown: &str) -> Look {
        match &*self.ended.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Look::NotYet("what was started since is still looked through".to_owned()),
            Some(Err(why)) => Look::NotYet(why.clone()),
            Some(Ok(0)) => Look::Shown(format!("{shown}; nothing that they have started has it")),
            Some(Ok(count)) => {
                Look::Shown(format!("{shown}; nothing that they have started has it any more ({count} had)"))
            }
        }
    }
}

fn until_clean<E: Effect>(
    effect: &E,
    roots: &HashSet<Identity>,
    targets: &[(Identity, E::Before)],
    since: Since,
) -> Result<usize, String> {
    let (until, mut clean, mut healed) = (Instant::now() + WITHIN, 0, HashSet::new());
    loop {
        let found = Family::now().showing(effect, roots, targets, since);
        if found.is_empty() {
            clean += 1;
            if clean == CLEAN_LOOKS {
                return Ok(healed.len());
            }
            std::thread::sleep(BETWEEN);
            continue;
        }
        clean = 0;
        let mut failed = Vec::new();
        for (identity, before) in found {
            match effect.undo(identity.pid, before) {
                Ok(()) => drop(healed.insert(identity)),
                Err(why) => failed.push(Named(identity, why).to_string()),
            }
        }
        if Instant::now() > until {
            let endless = || "the fleet starts processes faster than they are healed".to_owned();
            return Err(failed.into_iter().next().unwrap_or_else(endless));
        }
        if !failed.is_empty() {
            std::thread::sleep(BETWEEN);
        }
    }
}

struct Named(Identity, String);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a process that was started since (pid {}): {}", self.0.pid, self.1)
    }
}

/// All processes, each with its parent.
struct Family(HashMap<u32, Stat>);

impl Family {
    fn now() -> Self {
        let stats = all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok());
        Self(stats.filter_map(|stat| Some((u32::try_from(stat.pid).ok()?, stat))).collect())
    }

    fn identity(&self, pid: u32) -> Option<Identity> {
        Some(Identity { pid, start_ticks: self.0.get(&pid)?.starttime })
    }

    /// A process and those above it.
    fn line(&self, pid: u32) -> impl Iterator<Item = Identity> {
        let parent = |one: &Identity| {
            let parent = u32::try_from(self.0.get(&one.pid)?.ppid).ok()?;
            self.identity(parent)
        };
        // Pids are taken again while they are read: no line is longer than there are processes.
        std::iter::successors(self.identity(pid), parent).take(self.0.len())
    }

    /// What shows the effect, with what it should have again: what the nearest target above it had, or if that has ended, any.
    fn showing<'a, E: Effect>(
        &self,
        effect: &E,
        roots: &HashSet<Identity>,
        targets: &'a [(Identity, E::Before)],
        since: Since,
    ) -> Vec<(Identity, &'a E::Before)> {
        let of: HashMap<Identity, &E::Before> =
            targets.iter().map(|(target, before)| (*target, before)).collect();
        let Some((_, any)) = targets.first() else { return Vec::new() };
        let has_it = |identity: &Identity, stat: &Stat| {
            let may = stat.starttime >= since.0 || of.contains_key(identity);
            may && !matches!(stat.state, 'Z' | 'X')
                && self.line(identity.pid).any(|one| roots.contains(&one) || of.contains_key(&one))
                && effect.shows(identity.pid)
        };
        let found = self.0.iter().filter_map(|(pid, stat)| {
            let identity = Identity { pid: *pid, start_ticks: stat.starttime };
            has_it(&identity, stat).then_some(identity)
        });
        let before = |identity: &Identity| {
            self.line(identity.pid).find_map(|one| of.get(&one).copied()).unwrap_or(any)
        };
        found.map(|identity| (identity, before(&identity))).collect()
    }
}

#[cfg(test)]
mod tests;
