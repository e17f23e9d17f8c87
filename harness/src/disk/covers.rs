//! The directories of a run that can be disturbed: its own, and those that its commands write into.

use super::Disk;
use crate::private_shm::Namespace;
use crate::scenario::Plan;
use crate::scenario::fault::Fault;
use procfs::process::MMapPath;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// By the name that a fault has for it; none is that of the run.
type Disks = BTreeMap<Option<String>, Arc<Disk>>;

/// Nothing there is on a disk.
const OF_THE_KERNEL: [&str; 2] = ["/proc", "/sys"];

/// What any process needs: devices, and what this program consists of.
fn needed() -> impl Iterator<Item = PathBuf> {
    let maps = procfs::process::Process::myself().and_then(|own| own.maps());
    let files = maps.into_iter().flatten().filter_map(|map| match map.pathname {
        MMapPath::Path(path) => Some(path),
        _ => None,
    });
    files.chain([PathBuf::from("/dev/null")])
}

/// Shared by what carries a run out. Dropped with the last of them, all directories are what they were.
#[derive(Debug, Clone, Default)]
pub struct Covers {
    namespace: Option<Namespace>,
    disks: Arc<Mutex<Disks>>,
}

impl Covers {
    pub fn new(namespace: Option<Namespace>) -> Self {
        Self { namespace, disks: Arc::default() }
    }

    /// Covers the directory at `path`, which faults know as `name`. `apart` are directories that must not lie in it.
    ///
    /// # Errors
    /// In words: it cannot be covered.
    pub fn cover(&self, name: Option<&str>, path: &Path, apart: &[&Path]) -> Result<Arc<Disk>, String> {
        let namespace = self.namespace.ok_or("this process is in no namespace of its own")?;
        if name.is_some() {
            self.check(path, apart).map_err(|why| format!("`dir` of a fault: {}: {why}", path.display()))?;
        }
        let disk = Disk::cover(namespace, path).map_err(|error| error.to_string())?;
        let disk = Arc::new(disk);
        self.lock().insert(name.map(str::to_owned), Arc::clone(&disk));
        Ok(disk)
    }

    /// Covers those that a plan names and that are not covered yet. `apart` as of [`Self::cover`], and so is the working directory.
    ///
    /// # Errors
    /// In words: one of them cannot be covered.
    pub fn cover_commands(&self, plan: &Plan, apart: &[&Path]) -> Result<(), String> {
        let apart = [apart, &[Path::new(".")]].concat();
        for name in plan.faults().iter().filter_map(Fault::covers).flatten() {
            if self.of(Some(name)).is_none() {
                self.cover(Some(name), Path::new(name), &apart)?;
            }
        }
        Ok(())
    }

    fn check(&self, path: &Path, apart: &[&Path]) -> Result<(), String> {
        let whole = |path: &Path| path.canonicalize().map_err(|error: io::Error| error.to_string());
        let dir = whole(path)?;
        if let Some(made) = OF_THE_KERNEL.into_iter().find(|made| dir.starts_with(made)) {
            return Err(format!(
                "what is in {made} is made by the kernel: name a directory of the commands alone"
            ));
        }
        let apart = apart.iter().map(|other| whole(other)).chain(needed().map(Ok));
        if let Some(other) = apart.flatten().find(|other| other.starts_with(&dir)) {
            return Err(format!(
                "{} lies in it, which the run needs as it is: name a directory of the commands alone",
                other.display()
            ));
        }
        let nested = |disk: &&Arc<Disk>| disk.dir().starts_with(&dir) || dir.starts_with(disk.dir());
        match self.lock().values().find(nested) {
            Some(disk) => {
                Err(format!("it and {}, of another fault, lie in each other", disk.dir().display()))
            }
            None => Ok(()),
        }
    }

    /// The one that faults know by this name.
    pub fn of(&self, name: Option<&str>) -> Option<Arc<Disk>> {
        self.lock().get(&name.map(str::to_owned)).map(Arc::clone)
    }

    /// Those of the commands are what they were.
    pub fn uncover_commands(&self) {
        let disks = {
            let mut all = self.lock();
            let own = all.remove(&None);
            let of_commands = std::mem::take(&mut *all);
            all.extend(own.map(|own| (None, own)));
            of_commands
        };
        drop(disks);
    }

    /// In tests: one that obeys and does nothing.
    #[cfg(test)]
    pub fn idle(name: Option<&str>, dir: &Path) -> Self {
        let covers = Self::default();
        covers.lock().insert(name.map(str::to_owned), Arc::new(Disk::idle(dir)));
        covers
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Disks> {
        self.disks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
