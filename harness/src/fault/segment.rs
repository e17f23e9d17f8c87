//! The file of a coordinator's region, which its workers and the client share: without its name, cut off, or with words
//! overwritten.
//!
//! What is done to it is declared to the system, whose own check of its files leaves it out meanwhile. A file without its
//! name keeps another one in the fleet's own directory, by which it comes back, and with which it goes if the harness is
//! killed. What is overwritten or cut off cannot be put back: the fleet notices it and goes on. Proven by what another
//! reader of the file gets, and of words by what the memory of the coordinator itself shows.

use super::{Fault, Look, every, names};
use crate::scenario::fault::{Overwrite, SegmentFault};
use crate::system::{PlaceId, Process, System};
use procfs::process::{MMapPath, Process as Proc};
use rustix::fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// One file that something was done to.
#[derive(Debug)]
struct Hit {
    process: Process,
    coordinator: u32,
    path: PathBuf,
    inode: u64,
    bytes: u64,
    written: Vec<Overwrite>,
    /// How many of these the coordinator's memory showed right then: it may put them back at once.
    shown: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    what: SegmentFault,
    words: Vec<Overwrite>,
    hit: Vec<Hit>,
}

impl Segment {
    pub(super) fn new(what: SegmentFault, words: Vec<Overwrite>) -> Self {
        Self { what, words, hit: Vec::new() }
    }

    fn processes(&self) -> Vec<Process> {
        self.hit.iter().map(|hit| hit.process.clone()).collect()
    }

    fn do_to(&self, hit: &mut Hit) -> io::Result<()> {
        match self.what {
            SegmentFault::Unlink => rename(&hit.path, &aside(&hit.path)),
            SegmentFault::Truncate => open(&hit.path)?.set_len(0),
            SegmentFault::Scribble { .. } => {
                let file = open(&hit.path)?;
                let memory = Memory::of(&hit.process, hit.inode);
                for word in self.words.iter().filter(|word| word.coordinator == hit.coordinator) {
                    let word = other_than(&file, word)?;
                    file.write_all_at(&word.value, word.at)?;
                    hit.shown += usize::from(memory.as_ref().is_ok_and(|memory| memory.has(&word)));
                    hit.written.push(word);
                }
                Ok(())
            }
        }
    }

    fn undo(&self, hit: &Hit) -> io::Result<()> {
        match self.what {
            SegmentFault::Unlink => rename(&aside(&hit.path), &hit.path),
            // With all of its pages, as the fleet had it; what was in them is lost.
            SegmentFault::Truncate => {
                Ok(fallocate(&open(&hit.path)?, FallocateFlags::empty(), 0, hit.bytes)?)
            }
            SegmentFault::Scribble { .. } => Ok(()),
        }
    }

    fn of<'a>(&'a self, process: &Process) -> Option<&'a Hit> {
        self.hit.iter().find(|hit| hit.process == *process)
    }
}

/// The file's other name: as that of a region in the making, which the fleet removes with its directory.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}"))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// What is written over a word: what was drawn, or its complement if that is there already.
fn other_than(file: &File, word: &Overwrite) -> io::Result<Overwrite> {
    let mut there = vec![0; word.value.len()];
    file.read_exact_at(&mut there, word.at)?;
    let mut word = word.clone();
    if there == word.value {
        word.value.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(word)
}

/// A file as a process has it mapped.
#[derive(Debug)]
struct Memory {
    file: File,
    /// Where its first byte is.
    start: u64,
}

impl Memory {
    fn of(process: &Process, inode: u64) -> Result<Self, String> {
        let raw = i32::try_from(process.pid).map_err(|_| "has no pid".to_owned())?;
        let maps = Proc::new(raw).and_then(|proc| proc.maps()).map_err(|error| error.to_string())?;
        let is_it = |path: &MMapPath| matches!(path, MMapPath::Path(_));
        let map = maps.iter().find(|map| map.inode == inode && map.offset == 0 && is_it(&map.pathname));
        let map = map.ok_or_else(|| "does not have the file mapped".to_owned())?;
        let file = File::open(format!("/proc/{raw}/mem")).map_err(|error| error.to_string())?;
        Ok(Self { file, start: map.address.0 })
    }

    fn has(&self, word: &Overwrite) -> bool {
        let mut found = vec![0; word.value.len()];
        self.file.read_exact_at(&mut found, self.start + word.at).is_ok() && found == word.value
    }
}

/// What a look at a path finds: the inode and the length.
fn found(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.ino(), meta.len()))
}

impl Fault for Segment {
    fn inject(&mut self, system: &mut dyn System, targets: &[Process]) -> Result<String, String> {
        for target in targets {
            let done = self.inject_one(system, target);
            if let Err(error) = done {
                // What can be put back is; the file that refuses is named by the error.
                let _ = self.heal(system);
                return Err(error);
            }
        }
        let names = names(&self.processes());
        Ok(match self.what {
            SegmentFault::Unlink => format!("the region unlinked of {names}"),
            SegmentFault::Truncate => format!("the region truncated of {names}"),
            SegmentFault::Scribble { .. } => {
                let written = self.hit.iter().flat_map(|hit| &hit.written);
                let words: Vec<String> = written.map(ToString::to_string).collect();
                format!("{} in the region of {names}", words.join(", "))
            }
        })
    }

    fn prove(&self, _: &dyn System) -> Look {
        let how = match self.what {
            SegmentFault::Unlink => "its path leads nowhere",
            SegmentFault::Truncate => "stat shows 0 bytes",
            SegmentFault::Scribble { .. } => "/proc/PID/mem showed what was written",
        };
        every(&self.processes(), how, |process| {
            let hit = self.of(process).ok_or("has no region")?;
            match (self.what, found(&hit.path)) {
                (SegmentFault::Scribble { .. }, _) if hit.shown > 0 => Ok(()),
                (SegmentFault::Scribble { .. }, _) => {
                    Err(format!("showed none of {} words in its memory", hit.written.len()))
                }
                (SegmentFault::Unlink, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                (SegmentFault::Truncate, Ok((inode, 0))) if inode == hit.inode => Ok(()),
                (_, Ok((_, bytes))) => Err(format!("has a region of {bytes} bytes at its path")),
                (_, Err(error)) => Err(format!("has a region that cannot be looked at: {error}")),
            }
        })
    }

    /// What was cut off ends its coordinator, which takes the file along.
    fn lasts(&self, system: &dyn System) -> Option<Look> {
        Some(match self.what {
            SegmentFault::Unlink => self.prove(system),
            SegmentFault::Truncate | SegmentFault::Scribble { .. } => {
                Look::Shown("its coordinator is lost".to_owned())
            }
        })
    }

    fn heal(&mut self, system: &mut dyn System) -> Result<String, String> {
        let mut failed = Vec::new();
        for hit in &self.hit {
            match self.undo(hit) {
                Ok(()) => system.declare_altered(hit.coordinator, false),
                Err(error) => failed.push(format!("{}: {error}", hit.path.display())),
            }
        }
        let words = match self.what {
            SegmentFault::Unlink => "its name again",
            SegmentFault::Truncate => "its length again, without what was in it",
            SegmentFault::Scribble { .. } => {
                "what was overwritten stays: the fleet repairs it, or fails over"
            }
        };
        if failed.is_empty() {
            Ok(format!("{words}: {}", names(&self.processes())))
        } else {
            Err(failed.join("; "))
        }
    }

    fn written(&self) -> Vec<Overwrite> {
        self.hit.iter().flat_map(|hit| hit.written.iter().cloned()).collect()
    }

    fn prove_healed(&self, _: &dyn System) -> Look {
        every(&self.processes(), "stat shows the file and its length", |process| {
            let hit = self.of(process).ok_or("has no region")?;
            match found(&hit.path) {
                Ok(found) if found == (hit.inode, hit.bytes) => Ok(()),
                Ok((inode, _)) if inode != hit.inode => Err("has another file as its region".to_owned()),
                Ok((_, bytes)) => Err(format!("has a region of {bytes} bytes instead of {}", hit.bytes)),
                Err(error) => Err(format!("has a region that cannot be looked at: {error}")),
            }
        })
    }
}

impl Segment {
    fn inject_one(&mut self, system: &mut dyn System, target: &Process) -> Result<(), String> {
        let PlaceId::Coordinator(coordinator) = target.place else {
            return Err(format!("{} has no region of its own", target.place));
        };
        let path = system.segment(coordinator).ok_or_else(|| format!("{} has no region", target.place))?;
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let (inode, bytes) = found(&path).map_err(failed)?;
        let process = target.clone();
        let mut hit =
            Hit { process, coordinator, path: path.clone(), inode, bytes, written: Vec::new(), shown: 0 };
        if !matches!(self.what, SegmentFault::Scribble { .. }) {
            system.declare_altered(coordinator, true);
        }
        if let Err(error) = self.do_to(&mut hit) {
            system.declare_altered(coordinator, false);
            return Err(failed(error));
        }
        self.hit.push(hit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fake::Fake;
    use crate::scenario::fault::Part;

    const BYTES: u64 = 8192;

    /// A system whose only coordinator has a region, and that coordinator: this process, which has no such file mapped.
    fn system(dir: &Path) -> (Fake, Process) {
        fs::write(dir.join("c0"), [7; BYTES as usize]).unwrap();
        let system = Fake::with_segments(dir);
        let mut process = system.processes().into_iter().next().unwrap();
        (process.place, process.pid) = (PlaceId::Coordinator(0), std::process::id());
        (system, process)
    }

    fn shows(look: &Look) -> bool {
        matches!(look, Look::Shown(_))
    }

    #[test]
    fn a_file_loses_its_name_or_its_length_and_has_them_again() {
        for what in [SegmentFault::Unlink, SegmentFault::Truncate] {
            let dir = tempfile::tempdir().unwrap();
            let (mut system, process) = system(dir.path());
            let before = found(&dir.path().join("c0")).unwrap();
            let mut fault = Segment::new(what, Vec::new());
            fault.inject(&mut system, &[process]).unwrap();
            assert!(shows(&fault.prove(&system)), "{what:?}");
            assert!(!shows(&fault.prove_healed(&system)), "{what:?}: a heal that is forgotten shows");
            fault.heal(&mut system).unwrap();
            assert!(shows(&fault.prove_healed(&system)), "{what:?}");
            assert!(!shows(&fault.prove(&system)), "{what:?}: an injection that does nothing shows");
            assert_eq!(found(&dir.path().join("c0")).unwrap(), before, "{what:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{what:?}");
        }
    }

    #[test]
    fn a_file_in_the_place_of_the_unlinked_one_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (mut system, process) = system(dir.path());
        let mut fault = Segment::new(SegmentFault::Unlink, Vec::new());
        fault.inject(&mut system, &[process]).unwrap();
        fs::write(dir.path().join("c0"), "another").unwrap();
        assert!(fault.heal(&mut system).is_err());
        assert!(!shows(&fault.prove_healed(&system)));
        assert_eq!(fs::read_to_string(dir.path().join("c0")).unwrap(), "another");
    }

    #[test]
    fn words_that_no_memory_shows_are_not_proven() {
        let dir = tempfile::tempdir().unwrap();
        let (mut system, process) = system(dir.path());
        let name = "table[0].word".to_owned();
        let word = Overwrite { coordinator: 0, name, at: 4096, value: vec![1; 8] };
        // What is there already is not what was done.
        let same = Overwrite { at: 0, value: vec![7; 8], ..word.clone() };
        let what = SegmentFault::Scribble { part: Part::Table, words: 2 };
        let mut fault = Segment::new(what, vec![word, same]);
        fault.inject(&mut system, &[process]).unwrap();
        assert_eq!(fs::read(dir.path().join("c0")).unwrap()[4096..4104], [1; 8]);
        assert_eq!(fs::read(dir.path().join("c0")).unwrap()[..8], [!7; 8]);
        assert_eq!(fault.prove(&system), {
            let what = "showed none of 2 words in its memory";
            Look::NotYet(format!("coord/0 (pid {}) {what}", std::process::id()))
        });
    }
}
