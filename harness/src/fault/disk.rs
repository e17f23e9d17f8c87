//! What befalls a directory that a run writes into: each call takes longer, some fail, or there is no space left.
//!
//! It is covered by a file system of the run's own ([`crate::disk`]), so that the disk beneath and everything else on it are as they
//! were. Proven by a probe: a file of the harness's own in that directory.

use super::{Fault, Look};
use crate::disk::{Disk, Found, Probe, Tally, Wanted};
use crate::scenario::fault::DiskFault;
use crate::system::{Process, System};
use reports::runlog::event::Met;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

const NOT_RETURNED: &str = "a call of the probe has not returned yet";

#[derive(Debug)]
pub(super) struct DiskHarm {
    what: DiskFault,
    /// Of the draws that decide which calls fail.
    seed: u64,
    disk: Option<Arc<Disk>>,
    /// By which number it is armed.
    id: Option<u32>,
    probe: Option<Probe>,
    /// By that probe, last.
    found: RefCell<Option<Found>>,
    /// Calls of the probes that looked for the effect.
    probed: Arc<Tally>,
    met: Option<Met>,
    healed: bool,
}

impl DiskHarm {
    pub(super) fn new(what: DiskFault, seed: u64, disk: Option<Arc<Disk>>) -> Self {
        let (id, probe, found, probed, met) = Default::default();
        Self { what, seed, disk, id, probe, found, probed, met, healed: false }
    }

    /// What the probe has found so far, if a call of it has returned.
    fn found(&self) -> Option<Look> {
        if let Some(found) = self.probe.as_ref().and_then(Probe::newest) {
            *self.found.borrow_mut() = Some(found);
        }
        self.found.borrow().clone().map(|found| found.map_or_else(Look::NotYet, Look::Shown))
    }

    fn looked(&self) -> Look {
        let why = if self.probe.is_some() { NOT_RETURNED } else { "no probe looks at it" };
        self.found().unwrap_or_else(|| Look::NotYet(why.to_owned()))
    }
}

impl Fault for DiskHarm {
    fn inject(&mut self, _: &mut dyn System, _: &[Process]) -> Result<String, String> {
        let disk = self.disk.as_ref().ok_or("its directory is not covered")?;
        let where_ = disk.dir().display();
        let armed = disk.arm(self.what, self.seed).and_then(|id| {
            self.id = Some(id);
            disk.probe(self.what, Wanted::Effect, &self.probed)
        });
        match armed {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => {
                // What was armed of it is taken back.
                let _ = self.id.take().map(|id| disk.disarm(id));
                return Err(format!("{where_}: {error}"));
            }
        }
        Ok(format!("{}: {}", where_, self.what.words()))
    }

    fn prove(&self, _: &dyn System) -> Look {
        self.looked()
    }

    fn look_again(&mut self, _: &dyn System) {
        (self.probe, self.found) = (None, RefCell::default());
        let Some(disk) = &self.disk else { return };
        match disk.probe(self.what, Wanted::Effect, &self.probed) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => self.found = RefCell::new(Some(Err(format!("no probe can be started: {error}")))),
        }
    }

    fn looks_for(&self) -> Duration {
        Probe::looks_for(self.what)
    }

    fn lasts(&self, _: &dyn System) -> Option<Look> {
        self.found()
    }

    fn heal(&mut self, _: &mut dyn System) -> Result<String, String> {
        // What it has found says nothing of the heal.
        (self.probe, self.found) = (None, RefCell::default());
        let (Some(disk), Some(id)) = (&self.disk, self.id) else {
            return Err("it was not armed".to_owned());
        };
        let met = disk.disarm(id).map_err(|error| format!("{}: {error}", disk.dir().display()))?;
        // What the probes did does not belong to the run.
        let met = Met {
            hit: met.hit.saturating_sub(self.probed.hit()),
            of: met.of.saturating_sub(self.probed.made()),
        };
        self.met = Some(met);
        self.healed = true;
        let probe = disk.probe(self.what, Wanted::Heal, &Arc::default());
        self.probe = Some(probe.map_err(|error| format!("no probe can be started: {error}"))?);
        Ok(format!("every call as before; it befell {} of {} calls", met.hit, met.of))
    }

    fn met(&self) -> Option<Met> {
        self.met
    }

    fn prove_healed(&self, _: &dyn System) -> Look {
        if self.healed { self.looked() } else { Look::NotYet("it could not be taken back".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fake::Fake;
    use crate::scenario::fault::{CallError, Which};

    const KINDS: [DiskFault; 3] = [
        DiskFault::Slow(Duration::from_secs(1)),
        DiskFault::Fail { error: CallError::Io, calls: Which::Rate(0.5) },
        DiskFault::Full,
    ];

    /// The first look of a probe that has returned.
    fn first(look: impl Fn() -> Look) -> Look {
        loop {
            match look() {
                Look::NotYet(what) if what.contains("has not returned") => std::thread::yield_now(),
                look => return look,
            }
        }
    }

    #[test]
    fn an_injection_that_does_nothing_is_not_proven() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        for what in KINDS {
            let mut fault = DiskHarm::new(what, 1, Some(Arc::new(Disk::idle(dir.path()))));
            assert!(matches!(fault.prove_healed(&system), Look::NotYet(_)));
            fault.inject(&mut system, &[]).unwrap();
            let found = first(|| fault.prove(&system));
            assert!(matches!(found, Look::NotYet(_)), "{what:?} {found:?}");
            fault.look_again(&system);
            let lasted =
                first(|| fault.lasts(&system).unwrap_or_else(|| Look::NotYet(NOT_RETURNED.to_owned())));
            assert!(matches!(lasted, Look::NotYet(_)), "{what:?} {lasted:?}");
            fault.heal(&mut system).unwrap();
            let healed = first(|| fault.prove_healed(&system));
            assert!(matches!(healed, Look::Shown(_)), "{what:?} {healed:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_covered_or_whose_server_has_gone_is_not_disturbed_nor_healed() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        let mut fault = DiskHarm::new(DiskFault::Full, 1, None);
        assert!(fault.inject(&mut system, &[]).unwrap_err().contains("not covered"));
        assert!(fault.heal(&mut system).is_err());
        assert!(matches!(fault.prove_healed(&system), Look::NotYet(_)));
    }
}
