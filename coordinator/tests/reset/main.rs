//! What one task leaves in a worker the next one does not find; and if a part of the reset were missing, it would be
//! noticed. Each test is a process of its own with one thread, as a worker is.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "without the usual harness it says itself what came of its tests")]

use coordinator::process::reap::{HowEnded, reap_any};
use coordinator::process::reset::canary::{Canary, look, plant};
use coordinator::process::reset::{Baseline, Keep, Part};
use coordinator::process::{fork, inherited};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

type Test = (&'static str, fn(&Path));

const TESTS: [Test; 11] = [
    ("what_one_task_plants_the_next_does_not_find", each_is_undone),
    ("a_reset_without_one_of_its_parts_is_noticed", each_part_is_needed),
    ("everything_at_once_is_undone", all_at_once),
    ("a_thread_poisons_the_worker", a_thread_poisons),
    ("a_closed_descriptor_poisons_the_worker", a_closed_descriptor_poisons),
    ("a_lowered_hard_limit_is_raised_again_or_poisons_the_worker", a_hard_limit),
    ("a_lost_temporary_directory_poisons_the_worker", a_lost_directory_poisons),
    ("whoever_forks_on_is_ended_with_all_that_come_of_it", all_generations),
    ("an_agent_stays", an_agent_stays),
    ("changed_and_removed_variables_come_back", variables_come_back),
    ("a_reset_of_nothing_undoes_nothing", nothing_happened),
];

/// As the usual harness does it: every test whose name has one of the words.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted =
        TESTS.iter().filter(|(name, _)| words.is_empty() || words.iter().any(|word| name.contains(*word)));
    if arguments.iter().any(|argument| argument == "--list") {
        wanted.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let mut failed = 0;
    for (name, test) in wanted {
        let how = in_a_process(*test);
        println!(
            "test {name} ... {}",
            if how.is_orderly() { "ok".to_owned() } else { format!("FAILED: {how}") }
        );
        failed += u32::from(!how.is_orderly());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// With a directory of its own, which is looked at afterwards; no test may run for ever.
fn in_a_process(test: fn(&Path)) -> HowEnded {
    let root = tempfile::tempdir().unwrap();
    let process = fork::spawn("worker/0.0", None, || {
        // SIGALRM is treated as it comes: it ends the process that still runs then.
        nix::unistd::alarm::set(120);
        inherited::child_signals().unwrap();
        test(&root.path().join("fleet/0.0"));
        0
    })
    .unwrap();
    let how = loop {
        if let Some((pid, how)) = reap_any() {
            if pid == process {
                break how;
            }
            continue;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    };
    // Whom a test that has failed has left is an orphan now.
    while let Ok(Some(left)) = first_child() {
        let _ = nix::sys::signal::kill(left, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(left, None);
    }
    how
}

fn first_child() -> std::io::Result<Option<nix::unistd::Pid>> {
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{own}/children"))?;
    Ok(children.split_whitespace().next().and_then(|pid| pid.parse().ok()).map(nix::unistd::Pid::from_raw))
}

fn part_of(canary: Canary) -> Part {
    match canary {
        Canary::Variable => Part::Environment,
        Canary::Directory => Part::Directory,
        Canary::Descriptor => Part::Descriptors,
        Canary::BlockedSignal | Canary::IgnoredSignal => Part::Signals,
        Canary::Limit => Part::Limits,
        Canary::Umask => Part::Umask,
        Canary::Child => Part::Children,
        Canary::File => Part::Temporary,
        Canary::Thread => Part::Threads,
    }
}

fn undone(baseline: &Baseline, parts: &[Part]) -> Vec<Part> {
    let report = baseline.reset_parts(parts, &Keep::default()).unwrap();
    report.undone.into_iter().map(|leak| leak.part).collect()
}

fn each_is_undone(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    assert_eq!(look(baseline.temporary()).unwrap(), []);
    for canary in Canary::CURABLE {
        plant(canary, baseline.temporary()).unwrap();
        assert_eq!(look(baseline.temporary()).unwrap(), [canary]);
        assert_eq!(undone(&baseline, &Part::ALL), [part_of(canary)]);
        assert_eq!(look(baseline.temporary()).unwrap(), [], "{canary:?}");
    }
    baseline.end();
    assert!(!temporary.parent().unwrap().exists());
}

fn each_part_is_needed(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    for canary in Canary::CURABLE {
        plant(canary, baseline.temporary()).unwrap();
        let others: Vec<Part> = Part::ALL.into_iter().filter(|part| *part != part_of(canary)).collect();
        assert_eq!(undone(&baseline, &others), []);
        assert_eq!(look(baseline.temporary()).unwrap(), [canary]);
        undone(&baseline, &Part::ALL);
    }
    assert_eq!(look(baseline.temporary()).unwrap(), []);
}

fn all_at_once(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    for _ in 0..3 {
        for canary in Canary::CURABLE {
            plant(canary, baseline.temporary()).unwrap();
        }
        assert_eq!(look(baseline.temporary()).unwrap(), Canary::CURABLE);
        assert_eq!(undone(&baseline, &Part::ALL).len(), Canary::CURABLE.len() - 1, "two are signals");
        assert_eq!(look(baseline.temporary()).unwrap(), []);
        assert_eq!(undone(&baseline, &Part::ALL), []);
    }
}

/// What stays, by the parts; nothing else does.
fn poisoned(baseline: &Baseline) -> Vec<Part> {
    let poisoned = baseline.reset(&Keep::default()).unwrap_err();
    assert!(!poisoned.to_string().is_empty());
    poisoned.0.into_iter().map(|leak| leak.part).collect()
}

fn a_thread_poisons(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    plant(Canary::Thread, None).unwrap();
    assert_eq!(look(None).unwrap(), [Canary::Thread]);
    assert_eq!(poisoned(&baseline), [Part::Threads]);
}

fn a_closed_descriptor_poisons(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    nix::unistd::close(std::io::stdin().as_raw_fd()).unwrap();
    assert_eq!(poisoned(&baseline), [Part::Descriptors]);
    // As does one that leads elsewhere.
    assert_eq!(std::fs::File::open("/proc/self/status").unwrap().into_raw_fd(), 0);
    assert_eq!(poisoned(&baseline), [Part::Descriptors]);
}

fn a_hard_limit(temporary: &Path) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let baseline = Baseline::capture(temporary).unwrap();
    let before = getrlimit(Resource::Core);
    if before.maximum == Some(0) {
        println!("no core files are allowed here at all: nothing can be lowered");
        return;
    }
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    match baseline.reset(&Keep::default()) {
        // This user may raise it again.
        Ok(report) => {
            assert_eq!((report.undone[0].part, getrlimit(Resource::Core)), (Part::Limits, before));
        }
        Err(poisoned) => assert_eq!(poisoned.0[0].part, Part::Limits),
    }
}

fn a_lost_directory_poisons(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    std::fs::rename(temporary, temporary.with_extension("away")).unwrap();
    assert_eq!(poisoned(&baseline), [Part::Temporary]);
}

fn all_generations(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    // One that has ended and is not reaped; a family over three sessions; and one that forks as fast as it can.
    for script in [
        "exit 1",
        "setsid sh -c 'setsid sleep 98765 & sleep 98765 & wait' & sleep 98765",
        "while :; do setsid sh -c ': & sleep 98765' & sleep 0.001; done",
    ] {
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap();
        if script == "exit 1" {
            while !std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(") Z ") {
                std::thread::yield_now();
            }
        } else {
            // Until a process of the second generation is there.
            let marked = || look(None).unwrap().contains(&Canary::Child);
            while !marked() {
                std::thread::yield_now();
            }
        }
        assert_eq!(undone(&baseline, &Part::ALL), [Part::Children], "{script}");
        let none = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
        assert_eq!(none.unwrap_err(), rustix::io::Errno::CHILD, "{script}");
        assert!(child.try_wait().is_err(), "reaped already");
    }
}

fn an_agent_stays(temporary: &Path) {
    let baseline = Baseline::capture(temporary).unwrap();
    let mut agent =
        Command::new("cat").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let fds = vec![agent.stdin.as_ref().unwrap().as_raw_fd(), agent.stdout.as_ref().unwrap().as_raw_fd()];
    let keep = Keep { group: Some(agent.id() as i32), fds };
    plant(Canary::Child, None).unwrap();
    plant(Canary::Descriptor, None).unwrap();
    let report = baseline.reset(&keep).unwrap();
    assert_eq!(
        report.undone.iter().map(|leak| leak.part).collect::<Vec<_>>(),
        [Part::Children, Part::Descriptors]
    );
    assert_eq!(look(None).unwrap(), []);
    // It still works.
    std::io::Write::write_all(&mut agent.stdin.take().unwrap(), b"x").unwrap();
    assert_eq!(agent.wait_with_output().unwrap().stdout, b"x");
    assert_eq!(baseline.reset(&Keep::default()).unwrap().undone, []);
}

fn variables_come_back(temporary: &Path) {
    fork::set_variable("KEPT".as_ref(), Some("before".as_ref()));
    fork::set_variable("REMOVED".as_ref(), Some("".as_ref()));
    let baseline = Baseline::capture(temporary).unwrap();
    fork::set_variable("KEPT".as_ref(), Some("after".as_ref()));
    fork::set_variable("REMOVED".as_ref(), None);
    fork::set_variable("ADDED".as_ref(), Some("x".as_ref()));
    assert_eq!(undone(&baseline, &Part::ALL), [Part::Environment]);
    assert_eq!(std::env::var("KEPT").unwrap(), "before");
    assert_eq!(std::env::var("REMOVED").unwrap(), "");
    assert!(std::env::var_os("ADDED").is_none());
    // The same in another order is no change.
    assert_eq!(undone(&baseline, &Part::ALL), []);
}

fn nothing_happened(temporary: &Path) {
    const ROUNDS: u32 = 1000;
    let baseline = Baseline::capture(temporary).unwrap();
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        assert_eq!(undone(&baseline, &Part::ALL), []);
    }
    println!("a reset of nothing takes {:?}", begun.elapsed() / ROUNDS);
    for part in Part::ALL {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            undone(&baseline, &[part]);
        }
        println!("    {part:?}: {:?}", begun.elapsed() / ROUNDS);
    }
}
