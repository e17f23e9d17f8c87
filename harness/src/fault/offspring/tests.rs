//! Shells as if they were workers, and what they start while a fault lasts.

use crate::engine::tests::fake::Fake;
use crate::fault::cpus::Cpus;
use crate::fault::limit::Limit;
use crate::fault::skips::has_or_skips;
use crate::fault::{Fault, Look};
use crate::scenario::fault::Resource;
use crate::system::{Identity, PlaceId, Process, System as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A shell that does what it is told, in a process group of its own.
struct Shell {
    child: Child,
    says: BufReader<ChildStdout>,
    system: Fake,
    _dir: tempfile::TempDir,
}

const PLACE: PlaceId = PlaceId::Coordinator(0);

impl Shell {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let mut system = Fake::with_segments(dir.path());
        let identity = Identity::of(child.id()).unwrap();
        let process = system.process(PLACE);
        (process.pid, process.start_ticks) = (identity.pid, identity.start_ticks);
        system.present.insert(identity);
        Self { child, says, system, _dir: dir }
    }

    fn process(&self) -> Process {
        self.system.processes().into_iter().find(|process| process.place == PLACE).unwrap()
    }

    fn told(&mut self, what: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{what}").unwrap();
    }

    /// Returns once it has done it.
    fn does(&mut self, what: &str) {
        self.told(&format!("{what}\necho done"));
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    fn heal(&mut self, fault: &mut dyn Fault) -> String {
        fault.heal(&mut self.system).unwrap();
        loop {
            match fault.prove_healed(&self.system) {
                Look::Shown(how) => return how,
                Look::NotYet(why) => assert!(!why.contains("faster"), "{why}"),
            }
            std::thread::yield_now();
        }
    }

    /// What the kernel shows for the shell and everything below it, by name and pid.
    fn shown(&self, of: fn(u32) -> Option<String>) -> Vec<(String, u32, String)> {
        let mut pids = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = pids.get(at).copied() {
            let children =
                std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            pids.extend(children.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
            at += 1;
        }
        let name = |pid| Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned());
        pids.into_iter().filter_map(|pid| Some((name(pid)?, pid, of(pid)?))).collect()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        self.child.wait().unwrap();
    }
}

fn row(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let row = text.lines().find_map(|line| line.strip_prefix(name))?;
    row.split_whitespace().next().map(str::to_owned)
}

fn open_files(pid: u32) -> Option<String> {
    row(&format!("/proc/{pid}/limits"), "Max open files")
}

fn processors(pid: u32) -> Option<String> {
    row(&format!("/proc/{pid}/status"), "Cpus_allowed_list:")
}

/// A fault, and what the kernel shows of it.
type Case = (Box<dyn Fault>, fn(u32) -> Option<String>);

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![(Box::new(Limit::new(Resource::Descriptors, 77)), open_files)];
    let own = rustix::thread::sched_getaffinity(None).unwrap();
    if has_or_skips("two processors", own.count() >= 2) {
        cases.push((Box::new(Cpus::new(1)), processors));
    }
    cases
}

#[test]
fn what_a_target_has_started_is_healed_with_it_and_what_that_has_started() {
    for (mut fault, of) in cases() {
        let mut shell = Shell::start();
        let before = of(shell.child.id()).unwrap();
        let target = shell.process();
        fault.inject(&mut shell.system, &[target]).unwrap();
        shell.does("sleep 600 & sh -c 'sleep 600 & sh -c \"sleep 600; :\" & wait' &");
        // The shells below start theirs in their own time.
        while shell.shown(of).iter().filter(|(name, ..)| name == "sleep").count() < 3 {
            std::thread::yield_now();
        }
        assert!(shell.shown(of).iter().all(|(.., shown)| *shown != before), "{:?}", shell.shown(of));
        let how = shell.heal(&mut *fault);
        assert!(how.contains("nothing that they have started has it any more"), "{how}");
        let after = shell.shown(of);
        assert!(after.len() >= 6 && after.iter().all(|(.., shown)| *shown == before), "{before}: {after:?}");
    }
}

#[test]
fn a_target_that_starts_processes_while_it_is_healed_leaves_none_with_it() {
    const COUNT: usize = 150;
    for (mut fault, of) in cases() {
        let mut shell = Shell::start();
        let before = of(shell.child.id()).unwrap();
        let target = shell.process();
        fault.inject(&mut shell.system, &[target]).unwrap();
        shell.told(&format!("i=0; while [ $i -lt {COUNT} ]; do sleep 600 & i=$((i+1)); done"));
        let sleepers = |shell: &Shell| shell.shown(of).iter().filter(|(name, ..)| name == "sleep").count();
        while sleepers(&shell) < COUNT / 5 {
            std::thread::yield_now();
        }
        shell.heal(&mut *fault);
        while sleepers(&shell) < COUNT {
            std::thread::yield_now();
        }
        let after = shell.shown(of);
        assert!(after.iter().all(|(.., shown)| *shown == before), "{before}: {after:?}");
    }
}

#[test]
fn what_a_process_has_set_itself_is_left_to_it() {
    let mut shell = Shell::start();
    let before = open_files(shell.child.id()).unwrap();
    // Of its soft limit alone, as the fault lowers it, and so before the fault.
    shell.does("(ulimit -S -n 77; exec sleep 600) &");
    while shell.shown(open_files).iter().filter(|(name, ..)| name == "sleep").count() < 1 {
        std::thread::yield_now();
    }
    // What is started in the clock tick of the injection may have it.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(50) {
        std::thread::yield_now();
    }
    let mut fault = Limit::new(Resource::Descriptors, 77);
    let target = shell.process();
    fault.inject(&mut shell.system, &[target]).unwrap();
    // Of both limits, and since.
    shell.does("(ulimit -n 77; exec sleep 600) & (ulimit -n 66; exec sleep 600) & sleep 600 &");
    while shell.shown(open_files).iter().filter(|(name, ..)| name == "sleep").count() < 4 {
        std::thread::yield_now();
    }
    shell.heal(&mut fault);
    let mut after: Vec<String> = shell.shown(open_files).into_iter().map(|(.., shown)| shown).collect();
    after.sort();
    let mut wanted = vec!["66".to_owned(), "77".to_owned(), "77".to_owned(), before.clone(), before];
    wanted.sort();
    assert_eq!(after, wanted);
}
