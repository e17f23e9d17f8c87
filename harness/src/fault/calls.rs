//! Calls of the fleet on shared memory that fail: some of them, as if the kernel refused.
//!
//! Proven by three things that have to agree: a probe below the same filter gets the error, the process that answers has counted
//! each of its tries, and the kernel shows that supervisor and coordinators are below a filter. Deliberately absent: whether the fleet
//! makes such a call in that time, which is what its deaths make it do; the heal says how many it made.

use super::{Fault, Look};
use crate::scenario::fault::{CallError, Which};
use crate::system::{PlaceId, Presence, Process, System};
use crate::trapped::{CallErrors, Counts, Probed, Trap, is_below};
use reports::runlog::event::Met;
use rustix::io::Errno;
use std::cell::Cell;
use std::time::Duration;

/// A probe that none of the tries of which fails, though they are to, is as rare as this.
const UNLUCKY: f64 = 1e-9;
/// Thousands of calls at most, each of which is answered by another process.
const LOOKS_FOR: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Calls {
    errors: CallErrors,
    words: String,
    /// Of one probe.
    tries: u64,
    /// Of all probes since it was armed, which the process that answers has counted as well.
    tried: Cell<u64>,
    failed: Cell<u64>,
    /// What the fleet's calls had come to when it was disarmed.
    counts: Counts,
}

impl Calls {
    pub(super) fn new((error, which): (CallError, Which), words: String, seed: u64) -> Self {
        let tries = match which {
            Which::Rate(rate) => tries(rate),
            Which::Nth(nth) => 2 * u64::from(nth),
        };
        let errors = CallErrors { errno: errno(error), which, seed };
        let (tried, failed, counts) = (Cell::new(0), Cell::new(0), Counts::default());
        Self { errors, words, tries, tried, failed, counts }
    }

    fn probe(&self, trap: &dyn Trap) {
        trap.probe(self.tries, self.errors.errno);
    }

    /// What the probe has met since it was armed, held against the counts of the process that answers.
    fn agrees(&self, met: &Probed, counts: Counts) -> Result<String, String> {
        self.tried.set(self.tried.get() + met.tries);
        self.failed.set(self.failed.get() + met.failed);
        let (tried, failed) = (self.tried.get(), self.failed.get());
        let errno = self.errors.errno;
        if let Some(other) = &met.other {
            return Err(format!("a probe gets {other}"));
        }
        if (counts.probes, counts.probes_failed) != (tried, failed) {
            let (probes, probes_failed) = (counts.probes, counts.probes_failed);
            return Err(format!(
                "{failed} of {tried} probes fail, and {probes_failed} of {probes} are counted where they are answered"
            ));
        }
        if met.failed == 0 {
            return Err(format!("none of {} probes fails", met.tries));
        }
        Ok(format!("{failed} of {tried} probes below the fleet's filter get {errno}, as they are counted"))
    }
}

/// How many a probe needs.
fn tries(rate: f64) -> u64 {
    if rate >= 1.0 { 1 } else { (UNLUCKY.ln() / (1.0 - rate).ln()).ceil() as u64 }
}

fn errno(error: CallError) -> Errno {
    match error {
        CallError::NoSpace => Errno::NOSPC,
        CallError::Io => Errno::IO,
        CallError::Descriptors => Errno::MFILE,
        CallError::NoMemory => Errno::NOMEM,
    }
}

fn trap(system: &dyn System) -> Result<&dyn Trap, String> {
    system.trap().ok_or_else(|| "the fleet was not started below a filter".to_owned())
}

/// The processes that open shared memory; the others are forks of theirs.
fn all_are_below(system: &dyn System) -> Result<usize, String> {
    let processes = system.processes();
    let opens = |process: &&Process| {
        !matches!(process.place, PlaceId::Worker(_)) && system.presence(process.identity()) == Presence::Alive
    };
    let mut below = 0;
    for process in processes.iter().filter(opens) {
        is_below(process.identity())
            .map_err(|why| format!("{} (pid {}) {why}", process.place, process.pid))?;
        below += 1;
    }
    if below > 0 { Ok(below) } else { Err("there is no process that could be below a filter".to_owned()) }
}

impl Fault for Calls {
    fn inject(&mut self, system: &mut dyn System, _: &[Process]) -> Result<String, String> {
        let trap = trap(system)?;
        trap.arm(&self.errors).map_err(|error| error.to_string())?;
        self.probe(trap);
        Ok(self.words.clone())
    }

    fn prove(&self, system: &dyn System) -> Look {
        let look = || {
            let trap = trap(system)?;
            let met = trap.probed().ok_or("the probe has not come back")?;
            let counts = trap.counts().map_err(|error| error.to_string())?;
            let shown = self.agrees(&met, counts).inspect_err(|_| self.probe(trap))?;
            // The next look has a probe of its own if a process has just gone.
            let below = all_are_below(system).inspect_err(|_| self.probe(trap))?;
            Ok(format!("{shown}; Seccomp in /proc/PID/status of {below} processes of the fleet"))
        };
        look().map_or_else(|why: String| Look::NotYet(why), Look::Shown)
    }

    fn look_again(&mut self, system: &dyn System) {
        // Without a trap there is nothing that could have lasted, and [`Self::lasts`] says so.
        if let Ok(trap) = trap(system) {
            self.probe(trap);
        }
    }

    fn looks_for(&self) -> Duration {
        LOOKS_FOR
    }

    fn lasts(&self, system: &dyn System) -> Option<Look> {
        let trap = match trap(system) {
            Ok(trap) => trap,
            Err(why) => return Some(Look::NotYet(why)),
        };
        let met = trap.probed()?;
        let counts = trap.counts().map_err(|error| error.to_string());
        Some(counts.and_then(|counts| self.agrees(&met, counts)).map_or_else(Look::NotYet, Look::Shown))
    }

    fn heal(&mut self, system: &mut dyn System) -> Result<String, String> {
        let trap = trap(system)?;
        self.counts = trap.disarm().map_err(|error| error.to_string())?;
        // One that was asked for before may come back yet.
        while trap.probed().is_some() {}
        self.probe(trap);
        let Counts { calls, failed, .. } = self.counts;
        Ok(format!("every call goes on; of the fleet's {calls} on shared memory, {failed} had failed"))
    }

    fn met(&self) -> Option<Met> {
        Some(Met { hit: self.counts.failed, of: self.counts.calls })
    }

    fn prove_healed(&self, system: &dyn System) -> Look {
        let look = || {
            let trap = trap(system)?;
            let met = trap.probed().ok_or("the probe has not come back")?;
            match met {
                Probed { tries, failed: 0, other: None } if tries > 0 => {
                    Ok(format!("none of {tries} probes below the fleet's filter fails"))
                }
                Probed { tries, failed, other } => {
                    self.probe(trap);
                    let other = other.map(|other| format!(", one of them with {other}")).unwrap_or_default();
                    Err(format!("{failed} of {tries} probes fail{other}"))
                }
            }
        };
        look().map_or_else(|why: String| Look::NotYet(why), Look::Shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fake::Fake;
    use crate::trapped::TrapError;
    use std::cell::RefCell;

    /// What a trap does of what it says.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Does {
        All,
        /// It counts, and no call fails.
        NoInjection,
        /// It fails more than it counts.
        MiscountedInjection,
        /// It stays armed.
        NoHeal,
        /// Its effect is gone after the first probe.
        ShortInjection,
    }

    /// A trap without a filter: its probe is a counter.
    #[derive(Debug)]
    struct Liar {
        does: Does,
        armed: Cell<bool>,
        counts: Cell<Counts>,
        met: RefCell<Option<Probed>>,
    }

    impl Trap for Liar {
        fn arm(&self, _: &CallErrors) -> Result<(), TrapError> {
            self.armed.set(true);
            Ok(())
        }

        fn disarm(&self) -> Result<Counts, TrapError> {
            self.armed.set(self.does == Does::NoHeal);
            Ok(self.counts.get())
        }

        fn counts(&self) -> Result<Counts, TrapError> {
            Ok(self.counts.get())
        }

        fn probe(&self, tries: u64, _: Errno) {
            let mut counts = self.counts.get();
            let failed = if self.armed.get() && self.does != Does::NoInjection { tries / 2 } else { 0 };
            counts.probes += tries;
            counts.probes_failed += failed.saturating_sub(u64::from(self.does == Does::MiscountedInjection));
            self.counts.set(counts);
            self.armed.set(self.armed.get() && self.does != Does::ShortInjection);
            *self.met.borrow_mut() = Some(Probed { tries, failed, other: None });
        }

        fn probed(&self) -> Option<Probed> {
            self.met.borrow_mut().take()
        }
    }

    fn injected(does: Does) -> (Fake, Calls) {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        let (armed, counts, met) = Default::default();
        system.trap = Some(Box::new(Liar { does, armed, counts, met }));
        let what = (CallError::NoSpace, Which::Nth(2));
        let mut fault = Calls::new(what, "words".to_owned(), 7);
        fault.inject(&mut system, &[]).unwrap();
        (system, fault)
    }

    /// What its steps come to.
    fn steps(does: Does) -> (Look, Look) {
        let (mut system, mut fault) = injected(does);
        let proof = fault.prove(&system);
        fault.heal(&mut system).unwrap();
        (proof, fault.prove_healed(&system))
    }

    fn not_yet(look: &Look, words: &str) {
        assert!(matches!(look, Look::NotYet(what) if what.contains(words)), "{look:?}");
    }

    #[test]
    fn what_is_injected_and_healed_is_shown_by_the_probe_but_only_for_a_fleet_below_the_filter() {
        let (proof, healed) = steps(Does::All);
        // The processes of a fake are in no /proc.
        not_yet(&proof, "cannot be looked at");
        assert!(matches!(healed, Look::Shown(_)), "{healed:?}");
    }

    #[test]
    fn an_injection_that_does_nothing_and_a_heal_that_is_forgotten_are_not_proven() {
        not_yet(&steps(Does::NoInjection).0, "none of 4 probes fails");
        not_yet(&steps(Does::MiscountedInjection).0, "are counted where they are answered");
        not_yet(&steps(Does::NoHeal).1, "2 of 4 probes fail");
    }

    #[test]
    fn an_effect_that_is_gone_before_the_heal_has_not_lasted() {
        let looks = |does| {
            let (system, mut fault) = injected(does);
            let first = fault.lasts(&system).unwrap();
            assert!(matches!(first, Look::Shown(_)), "{first:?}");
            assert_eq!(fault.lasts(&system), None, "what a probe has met is told once");
            fault.look_again(&system);
            fault.lasts(&system).unwrap()
        };
        assert!(matches!(looks(Does::All), Look::Shown(_)));
        not_yet(&looks(Does::ShortInjection), "none of 4 probes fails");
    }

    #[test]
    fn a_fleet_that_was_started_without_a_filter_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        let mut fault = Calls::new((CallError::Io, Which::Rate(0.3)), "words".to_owned(), 7);
        let why = fault.inject(&mut system, &[]).unwrap_err();
        assert!(why.contains("was not started below a filter"), "{why}");
    }

    #[test]
    fn a_process_that_is_below_no_filter_is_told_apart() {
        let own = coordinator::client::Identity::of(std::process::id()).unwrap();
        assert!(is_below(own).unwrap_err().contains("below no filter"));
    }

    #[test]
    fn a_probe_is_long_enough_for_its_rate() {
        assert_eq!((tries(1.0), tries(0.5)), (1, 30));
        assert!(tries(0.01) > 2000 && tries(0.01) < 2100);
    }
}
