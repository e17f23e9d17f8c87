//! Groups of a process that sleeps: what is proven of them, and what is not.

use super::*;
use crate::engine::tests::fake::Fake;
use crate::fault::skips::has_or_skips;
use crate::system::{Identity, Life, PlaceId};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

/// A process, as if it were a worker, and a place for journals.
struct Bench {
    child: Child,
    dir: tempfile::TempDir,
    system: Fake,
}

impl Bench {
    /// Nothing where no group can be made.
    fn new() -> Option<Self> {
        let is_writable = Controller::ALL.iter().all(|controller| controller.is_writable().is_ok());
        if !has_or_skips("control groups that it can make", is_writable) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        // It wakes now and then, so that the kernel counts periods.
        let child = Command::new("sh").args(["-c", "while :; do sleep 0.01; done"]).spawn().unwrap();
        let system = Fake::with_segments(dir.path());
        Some(Self { child, dir, system })
    }

    fn process(&self) -> Process {
        let Identity { pid, start_ticks } = Identity::of(self.child.id()).unwrap();
        Process {
            place: PlaceId::worker(0, 0),
            incarnation: 1,
            pid,
            start_ticks,
            life: Life::Live,
            retiring: false,
            deaths: 0,
            last_death: None,
            ended: None,
        }
    }

    fn injected(&mut self, what: What) -> Cgroup {
        let mut fault = Cgroup::new(what, self.dir.path());
        let process = self.process();
        fault.inject(&mut self.system, &[process]).unwrap();
        // The thread has done its work when it lets go of the lock and the step has changed.
        while fault.look().is_none_or(|groups| groups.step == Step::Due) {
            std::thread::yield_now();
        }
        fault
    }

    fn journals(&self) -> usize {
        fs::read_dir(self.dir.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|name| name == "undo"))
            .count()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // It may have been ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn group(fault: &Cgroup) -> PathBuf {
    fault.look().unwrap().dirs[0].clone()
}

fn until_shown(look: impl Fn() -> Look) -> String {
    loop {
        if let Look::Shown(how) = look() {
            return how;
        }
        std::thread::yield_now();
    }
}

const LIMITS: [GroupLimit; 3] = [GroupLimit::Memory(64 << 20), GroupLimit::Cpu(0.5), GroupLimit::Pids(16)];

#[test]
fn each_limit_is_proven_and_healed_and_leaves_nothing() {
    let Some(mut bench) = Bench::new() else { return };
    for limit in LIMITS {
        let before = What::Limit(limit).controller().home(bench.child.id()).unwrap();
        let mut fault = bench.injected(What::Limit(limit));
        until_shown(|| fault.prove(&bench.system));
        let dir = group(&fault);
        assert_ne!(fault.what.controller().home(bench.child.id()).unwrap(), before);
        fault.heal(&mut bench.system).unwrap();
        until_shown(|| fault.prove_healed(&bench.system));
        assert_eq!(fault.what.controller().home(bench.child.id()).unwrap(), before);
        assert!(!dir.exists());
        assert_eq!(bench.journals(), 0);
    }
}

#[test]
fn a_limit_that_another_has_raised_and_a_process_that_has_left_are_no_proof() {
    let Some(mut bench) = Bench::new() else { return };
    for limit in LIMITS {
        let fault = bench.injected(What::Limit(limit));
        until_shown(|| fault.prove(&bench.system));
        let dir = group(&fault);
        let origin = fault.look().unwrap().homes[0].dir.clone();
        fs::write(origin.join("cgroup.procs"), bench.child.id().to_string()).unwrap();
        assert!(
            matches!(fault.prove(&bench.system), Look::NotYet(what) if what.contains("is in ")),
            "{limit:?}"
        );
        fs::write(dir.join("cgroup.procs"), bench.child.id().to_string()).unwrap();
        let version = fault.look().unwrap().homes[0].version;
        match limit {
            GroupLimit::Memory(bytes) => controller::limit_memory(version, &dir, 2 * bytes).unwrap(),
            GroupLimit::Cpu(cpus) => controller::limit_cpu(version, &dir, 2.0 * cpus).unwrap(),
            GroupLimit::Pids(pids) => controller::limit_pids(&dir, 2 * pids).unwrap(),
        }
        assert!(matches!(fault.prove(&bench.system), Look::NotYet(_)), "{limit:?}");
        // As at the end of a run that was cut off.
        drop(fault);
        assert!(!dir.exists(), "{limit:?}");
        assert_eq!(bench.journals(), 0, "{limit:?}");
    }
}

#[test]
fn an_end_by_other_means_than_the_oom_killer_is_no_proof() {
    let Some(mut bench) = Bench::new() else { return };
    let fault = bench.injected(What::Limit(GroupLimit::Memory(1 << 30)));
    bench.child.kill().unwrap();
    bench.child.wait().unwrap();
    let as_oom = fault.look().unwrap().proof_of_end();
    assert!(matches!(&as_oom, Look::NotYet(what) if what.contains("not by the OOM killer")), "{as_oom:?}");
    assert!(matches!(fault.prove(&bench.system), Look::NotYet(what) if what.contains("none of its")));
}

#[test]
fn the_kernel_ends_a_process_that_is_made_to_use_more_than_its_group_has() {
    let Some(mut bench) = Bench::new() else { return };
    let fault = bench.injected(What::Oom);
    let dir = group(&fault);
    // Until it is reaped, its pid stays.
    assert_eq!(bench.child.wait().unwrap().signal(), Some(9));
    let how = until_shown(|| fault.prove(&bench.system));
    assert!(how.starts_with("oom_kill is 1, and gone from /proc"), "{how}");
    assert!(!dir.exists());
    assert_eq!(bench.journals(), 0);
}

#[test]
fn a_process_that_cannot_be_put_into_a_group_is_left_as_it_was() {
    let Some(mut bench) = Bench::new() else { return };
    fs::set_permissions(bench.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let before = Controller::Memory.home(bench.child.id()).unwrap();
    let fault = bench.injected(What::Limit(GroupLimit::Memory(64 << 20)));
    assert!(matches!(fault.prove(&bench.system), Look::NotYet(what) if what.contains("mode 0700")));
    assert_eq!(Controller::Memory.home(bench.child.id()).unwrap(), before);
}
