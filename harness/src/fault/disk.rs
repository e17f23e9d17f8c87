//! What befalls a directory that a run writes into: each call takes longer, some fail, or there is no space left.
//!
//! It is covered by a file system of the run's own ([`crate::disk`]), so that the disk beneath and everything else on it are as they
//! were. Proven by a probe: a file of the harness's own in that directory.

use super::{Fault, Look};
use crate::disk::{Disk, Found, Probe, Wanted};
use crate::scenario::fault::DiskFault;
use crate::system::{Process, System};
use std::cell::RefCell;
use std::sync::Arc;

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
    healed: bool,
}

impl DiskHarm {
    pub(super) fn new(what: DiskFault, seed: u64, disk: Option<Arc<Disk>>) -> Self {
        Self { what, seed, disk, id: None, probe: None, found: RefCell::default(), healed: false }
    }

    fn looked(&self) -> Look {
        let Some(probe) = &self.probe else {
            return Look::NotYet("no probe looks at it".to_owned());
        };
        if let Some(found) = probe.newest() {
            *self.found.borrow_mut() = Some(found);
        }
        match &*self.found.borrow() {
            None => Look::NotYet("a call of the probe has not returned yet".to_owned()),
            Some(Ok(how)) => Look::Shown(how.clone()),
            Some(Err(what)) => Look::NotYet(what.clone()),
        }
    }
}

impl Fault for DiskHarm {
    fn inject(&mut self, _: &mut dyn System, _: &[Process]) -> Result<String, String> {
        let disk = self.disk.as_ref().ok_or("its directory is not covered")?;
        let where_ = disk.dir().display();
        let armed = disk.arm(self.what, self.seed).and_then(|id| {
            self.id = Some(id);
            disk.probe(self.what, Wanted::Effect)
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

    fn heal(&mut self, _: &mut dyn System) -> Result<String, String> {
        // What it has found says nothing of the heal.
        (self.probe, self.found) = (None, RefCell::default());
        let (Some(disk), Some(id)) = (&self.disk, self.id) else {
            return Err("it was not armed".to_owned());
        };
        let befallen = disk.disarm(id).map_err(|error| format!("{}: {error}", disk.dir().display()))?;
        self.healed = true;
        let probe = disk.probe(self.what, Wanted::Heal);
        self.probe = Some(probe.map_err(|error| format!("no probe can be started: {error}"))?);
        Ok(format!("every call as before; it befell {befallen}"))
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
    use std::time::Duration;

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
