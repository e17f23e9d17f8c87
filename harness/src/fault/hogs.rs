//! Processes of the harness's own beside the fleet: some that are busy, or one that holds memory.
//!
//! Each is this very program ([`keep_busy`], [`hold_memory`]), dies with its parent by the kernel's doing, and is the first that the
//! kernel ends where memory runs out. Proven by the time that each of them had a processor or waited for one, and by the pages that the kernel counts.
//! Deliberately absent: what the fleet makes of it.

use super::{Fault, Look};
use crate::companion::{Companion, dies_with};
use crate::scenario::fault::Action;
use crate::scenario::unit::bytes_text;
use crate::system::{Identity, Process, System};
use procfs::process::{MMapExtension, Process as Proc};
use procfs::{Current as _, Meminfo};
use rustix::process::nice;
use std::cell::Cell;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

/// What the host keeps beside what is held: below this, its other programs would be in danger.
pub const RESERVE_BYTES: u64 = 256 << 20;
/// Time on a processor that is twice what the start of a process takes: from then on it is looked at.
const STARTED_NS: u64 = 4_000_000;
/// For so long at least,
const WATCHED: Duration = Duration::from_millis(50);
/// and of that it must have had a processor, or waited for one, for this share: it does so all the time, however many there are.
const BUSY_MIN: f64 = 0.5;
/// Between two looks at all pages that are held.
const TOUCH_EVERY: Duration = Duration::from_secs(1);

/// A process of this fault. Dropped, it is killed.
#[derive(Debug)]
struct Hog {
    process: Companion,
    /// Since when it has been looked at, and for how long it had wanted a processor until then.
    watched: Cell<Option<(Instant, u64)>>,
}

impl Hog {
    fn start(arguments: &[String]) -> io::Result<Self> {
        let process = Companion::start(|command| {
            let parent = std::process::id().to_string();
            command.args(["hog", "--parent", &parent]).args(arguments);
        })?;
        Ok(Self { process, watched: Cell::new(None) })
    }

    fn identity(&self) -> Identity {
        self.process.identity()
    }

    fn proc(&self) -> Result<Proc, String> {
        if !self.identity().is_alive() {
            return Err("has ended".to_owned());
        }
        i32::try_from(self.identity().pid)
            .map_err(|_| "has no pid".to_owned())
            .and_then(|pid| Proc::new(pid).map_err(|error| error.to_string()))
    }
}

#[derive(Debug)]
pub(super) struct Hogs {
    what: Action,
    /// Memory that others are about to hold, in bytes.
    pledged: u64,
    processes: Vec<Hog>,
    /// The first that had ended before it was to be killed.
    ended: Option<u32>,
}

impl Hogs {
    pub(super) fn new(what: Action, pledged: u64) -> Self {
        Self { what, pledged, processes: Vec::new(), ended: None }
    }

    fn start(&mut self) -> io::Result<()> {
        match self.what {
            Action::CpuHogs { hogs, nice } => {
                for _ in 0..hogs {
                    self.processes.push(Hog::start(&["--nice".to_owned(), nice.to_string()])?);
                }
            }
            Action::Memory { bytes } => {
                self.processes.push(Hog::start(&["--bytes".to_owned(), bytes.to_string()])?);
            }
            _ => {}
        }
        Ok(())
    }

    fn shown(&self, hog: &Hog) -> Result<(), String> {
        let proc = hog.proc()?;
        if let Action::Memory { bytes } = self.what {
            let rollup = proc.smaps_rollup().map_err(|error| error.to_string())?;
            let extension = |map: &MMapExtension| map.map.get("Rss").copied();
            let held =
                rollup.memory_map_rollup.iter().filter_map(|map| extension(&map.extension)).sum::<u64>();
            return if held >= bytes { Ok(()) } else { Err(format!("holds {} so far", bytes_text(held))) };
        }
        let had = proc.schedstat().map_err(|error| error.to_string())?;
        let wanted_ns = had.sum_exec_runtime.saturating_add(had.run_delay);
        let Some((since, before_ns)) = hog.watched.get() else {
            if had.sum_exec_runtime >= STARTED_NS {
                hog.watched.set(Some((Instant::now(), wanted_ns)));
            }
            return Err(format!("has run for {} µs so far", had.sum_exec_runtime / 1000));
        };
        let (watched, wanted) = (since.elapsed(), Duration::from_nanos(wanted_ns.saturating_sub(before_ns)));
        if watched >= WATCHED && wanted.as_secs_f64() >= BUSY_MIN * watched.as_secs_f64() {
            Ok(())
        } else {
            Err(format!("has wanted a processor for {wanted:?} of the last {watched:?}"))
        }
    }

    /// What proves it, in words.
    fn how(&self) -> String {
        if let Action::Memory { .. } = self.what {
            let left = Meminfo::current().ok().and_then(|memory| memory.mem_available);
            let left = left.map_or_else(String::new, |left| format!("; {} available", bytes_text(left)));
            return format!("Rss in /proc/PID/smaps_rollup{left}");
        }
        let waits = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
        let waits = waits.split_whitespace().find_map(|word| word.strip_prefix("avg10="));
        let waits = waits.map_or_else(String::new, |share| format!("; PSI of processors {share} %"));
        format!("/proc/PID/schedstat{waits}")
    }
}

impl Fault for Hogs {
    fn inject(&mut self, _: &mut dyn System, _: &[Process]) -> Result<String, String> {
        if let Action::Memory { bytes } = self.what {
            let left = Meminfo::current().ok().and_then(|memory| memory.mem_available);
            let left = left.ok_or("/proc/meminfo does not show how much memory is available")?;
            let left = left.saturating_sub(self.pledged);
            if left < bytes.saturating_add(RESERVE_BYTES) {
                let (left, bytes) = (bytes_text(left), bytes_text(bytes));
                let kept = bytes_text(RESERVE_BYTES);
                return Err(format!("{left} of memory are available: {bytes} would leave less than {kept}"));
            }
        }
        let started = self.start();
        started.map_err(|error| {
            self.processes.clear();
            format!("cannot start a process: {error}")
        })?;
        let pids: Vec<String> = self.processes.iter().map(|hog| hog.identity().pid.to_string()).collect();
        Ok(format!("{}: pid {}", self.what.words(), pids.join(", ")))
    }

    fn prove(&self, _: &dyn System) -> Look {
        let first = self.processes.iter().find_map(|hog| Some((hog.identity().pid, self.shown(hog).err()?)));
        match first {
            _ if self.processes.is_empty() => Look::NotYet("no process was started".to_owned()),
            Some((pid, what)) => Look::NotYet(format!("process {pid} {what}")),
            None => Look::Shown(self.how()),
        }
    }

    fn heal(&mut self, _: &mut dyn System) -> Result<String, String> {
        for hog in &self.processes {
            if !hog.identity().is_alive() {
                self.ended.get_or_insert(hog.identity().pid);
            }
            hog.process.kill();
        }
        match self.ended {
            Some(pid) => Err(ended_before(pid)),
            None => Ok("SIGKILL to each of them".to_owned()),
        }
    }

    fn prove_healed(&self, _: &dyn System) -> Look {
        if let Some(pid) = self.ended {
            return Look::NotYet(ended_before(pid));
        }
        match self.processes.iter().find(|hog| !hog.identity().is_gone()) {
            Some(hog) => Look::NotYet(format!("process {} is still there", hog.identity().pid)),
            None => Look::Shown("gone from /proc".to_owned()),
        }
    }
}

/// The fault did not last as long as it was to.
fn ended_before(pid: u32) -> String {
    format!("process {pid} had ended before it was to be killed")
}

/// What a busy process does: it returns only if its parent has gone.
///
/// # Errors
/// The kernel does not let it die with its parent, or be as nice.
pub fn keep_busy(parent: u32, niceness: i32) -> io::Result<()> {
    nice(niceness)?;
    if !dies_with(parent)? {
        return Ok(());
    }
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

/// What a process does that holds memory: it returns only if its parent has gone.
///
/// # Errors
/// The kernel does not let it die with its parent, or does not give it so much.
pub fn hold_memory(parent: u32, bytes: usize) -> io::Result<()> {
    // The first to go, rather than anything that matters.
    File::options().write(true).open("/proc/self/oom_score_adj")?.write_all(b"1000")?;
    if !dies_with(parent)? {
        return Ok(());
    }
    let mut memory: Vec<u8> = Vec::new();
    memory.try_reserve_exact(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    memory.resize(bytes, 0xa5);
    loop {
        std::thread::sleep(TOUCH_EVERY);
        memory.iter_mut().step_by(rustix::param::page_size()).for_each(|byte| *byte = black_box(*byte ^ 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::fake::Fake;
    use std::process::{Child, Command};

    /// As a fault whose process was started, and does nothing.
    fn idle(what: Action) -> Hogs {
        of(what, Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn of(what: Action, child: Child) -> Hogs {
        let process = Companion::of(child).unwrap();
        Hogs { what, pledged: 0, processes: vec![Hog { process, watched: Cell::new(None) }], ended: None }
    }

    #[test]
    fn a_process_that_holds_nothing_is_no_proof_and_one_that_is_not_killed_is_not_healed() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        let mut fault = idle(Action::Memory { bytes: 1 << 30 });
        assert!(matches!(fault.prove(&system), Look::NotYet(what) if what.contains("holds")));
        assert!(matches!(fault.prove_healed(&system), Look::NotYet(_)));
        fault.heal(&mut system).unwrap();
        while let Look::NotYet(_) = fault.prove_healed(&system) {
            std::thread::yield_now();
        }
        assert!(matches!(fault.prove(&system), Look::NotYet(what) if what.contains("has ended")));
    }

    /// For so long that a busy process would have been proven by far.
    fn looks(fault: &Hogs, system: &Fake) -> Vec<Look> {
        let begun = Instant::now();
        let mut found = Vec::new();
        while begun.elapsed() < 4 * WATCHED {
            found.push(fault.prove(system));
            std::thread::yield_now();
        }
        found
    }

    #[test]
    fn a_process_that_sleeps_is_no_proof_whatever_its_start_took() {
        let dir = tempfile::tempdir().unwrap();
        let system = Fake::with_segments(dir.path());
        let fault = idle(Action::CpuHogs { hogs: 1, nice: 0 });
        let shown = |look: &Look| matches!(look, Look::Shown(_));
        assert!(!looks(&fault, &system).iter().any(shown));
        // As after a start that took long.
        let had = fault.processes[0].proc().unwrap().schedstat().unwrap();
        fault.processes[0].watched.set(Some((Instant::now(), had.sum_exec_runtime + had.run_delay)));
        let found = looks(&fault, &system);
        assert!(!found.iter().any(shown), "{found:?}");
        assert!(
            matches!(&found[found.len() - 1], Look::NotYet(what) if what.contains("has wanted")),
            "{found:?}"
        );
    }

    #[test]
    fn a_busy_process_is_proven() {
        let dir = tempfile::tempdir().unwrap();
        let system = Fake::with_segments(dir.path());
        let busy = Command::new("sh").args(["-c", "ulimit -t 60; while :; do :; done"]).spawn().unwrap();
        let fault = of(Action::CpuHogs { hogs: 1, nice: 0 }, busy);
        while let Look::NotYet(_) = fault.prove(&system) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_process_that_ended_early_is_not_healed() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        let mut fault = idle(Action::Memory { bytes: 1 << 20 });
        fault.processes[0].process.end().unwrap();
        let why = fault.heal(&mut system).unwrap_err();
        assert!(why.contains("had ended before"), "{why}");
        assert_eq!(fault.prove_healed(&system), Look::NotYet(why));
    }

    #[test]
    fn a_fault_without_a_process_is_not_proven() {
        let dir = tempfile::tempdir().unwrap();
        let system = Fake::with_segments(dir.path());
        let fault = Hogs::new(Action::CpuHogs { hogs: 2, nice: 0 }, 0);
        assert!(matches!(fault.prove(&system), Look::NotYet(_)));
    }

    #[test]
    fn more_than_the_host_has_is_not_even_tried() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        for (bytes, pledged) in [(u64::MAX, 0), (1 << 20, u64::MAX)] {
            let mut fault = Hogs::new(Action::Memory { bytes }, pledged);
            let refused = fault.inject(&mut system, &[]).unwrap_err();
            assert!(refused.contains("would leave less than 256 MiB"), "{refused}");
            assert!(fault.processes.is_empty());
        }
    }
}
