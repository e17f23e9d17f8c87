//! Words of the task table, each overwritten while its task is in hand, and tasks without a deadline that would hide it.

use crate::support::up::{PROGRAM, Up, is_empty, kill, shm, wait_until};
use coordinator::bus::directory::{control_path, region_path};
use coordinator::bus::fields::{of_control, of_region};
use coordinator::client::events::{Follower, What};
use coordinator::client::{Address, Client, Event, Failure, Task, Terms};
use coordinator::config::FleetShape;
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// As of a task of `coordinator run`.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Where a word of the first region is.
fn at(shape: &FleetShape, name: &str) -> u64 {
    of_region(shape).into_iter().find(|field| field.name == name).unwrap().at
}

fn write(path: &Path, at: u64, word: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&word.to_ne_bytes(), at).unwrap();
}

/// Waits for the outcomes of all tasks, and returns the failures.
fn failures(client: &mut Client) -> Vec<Failure> {
    let mut failures = Vec::new();
    wait_until("an outcome for each task", || {
        client.wait(Duration::from_millis(20));
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                failures.extend(outcome.result.err());
            }
        });
        client.in_flight() == 0
    });
    failures
}

#[test]
fn a_task_whose_entry_was_overwritten_fails_at_once_with_the_name_of_the_word() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--payload-max", "64", "--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let (entry, path) = (at(&shape, "table[0].word"), region_path(&up.dir, 0));
    // The state word, the lengths, and all words of the task.
    for word in (0..9).map(|number| entry + 8 * number) {
        for value in [0, 1, u64::MAX, 0x1a, 0x1_0000_0002] {
            let before = client.status().ledger.accepted;
            for _ in 0..2 {
                let nap = Task::Sleep(Duration::from_millis(60));
                client.submit(Address::Any, nap, &Terms::within(FOREVER), 0).unwrap();
            }
            client.flush();
            wait_until("both are in the table", || client.status().ledger.accepted >= before + 2);
            write(&path, word, value);
            for failure in failures(&mut client) {
                let named = match &failure {
                    Failure::Damaged(0, word) => word.starts_with("table[0]"),
                    // Its coordinator read the word before it compared it, and its successor does not know the task.
                    Failure::Missing(0) | Failure::CoordinatorDied(0, _) => true,
                    // A deadline that is over is obeyed if it is seen first.
                    Failure::TimedOut(_) => word == entry + 8 * 4,
                    _ => false,
                };
                assert!(named, "{word} := {value:#x}: {failure:?}");
            }
        }
    }
    drop(client);
    assert!(up.stop().is_some());
    assert!(is_empty(shm.path()));
}

#[test]
fn a_task_that_a_successor_does_not_know_any_more_is_missed_by_its_client() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--payload-max", "64", "--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let path = region_path(&up.dir, 0);
    let task = at(&shape, "table[0].task[0]");
    for place in [at(&shape, "table[0].word"), task, task + 8] {
        let before = client.status().ledger.accepted;
        for _ in 0..2 {
            let nap = Task::Sleep(Duration::from_millis(300));
            client.submit(Address::Any, nap, &Terms::within(FOREVER), 0).unwrap();
        }
        client.flush();
        wait_until("both are in the table", || client.status().ledger.accepted >= before + 2);
        let coordinator = up.identities()[1];
        // So that it does not see the word before it dies.
        kill(coordinator, Signal::SIGSTOP);
        write(&path, place, 0);
        kill(coordinator, Signal::SIGKILL);
        let failures = failures(&mut client);
        let named = |failure: &Failure| matches!(failure, Failure::Missing(0) | Failure::Damaged(0, _));
        assert!(failures.len() == 1 && named(&failures[0]), "{place}: {failures:?}");
    }
    drop(client);
    assert!(up.stop().is_some());
    assert!(is_empty(shm.path()));
}

#[test]
fn a_dead_letter_that_was_overwritten_becomes_no_task_and_ends_no_coordinator() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--payload-max", "64"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let (letter, path) = (at(&shape, "dead_letters[0].task[0]"), region_path(&up.dir, 0));
    let false_command = coordinator::wire::command_body(&["false"]).unwrap();
    let terms = Terms { attempts_max: Some(1), retry_failures: true, ..Terms::within(FOREVER) };
    let before = up.identities();
    // Its fleet; a worker that there is not; a kind that there is not.
    let overwritten = [(0, 0), (6, 5 << 32 | 4 << 48 | 1 << 56), (6, 0xffff << 32 | 1 << 56)];
    for ((word, value), damaged) in overwritten.into_iter().zip(1..) {
        client.submit(Address::Any, Task::Exec(&false_command), &terms, 0).unwrap();
        client.flush();
        assert_eq!(failures(&mut client).len(), 1);
        assert_eq!(client.status().counts.dead_letters_kept, 1);
        write(&path, letter + 8 * word, value);
        let mut requeue = Command::new(PROGRAM);
        requeue.args(["dead-letters", "test", "--requeue", "all", "--shm-dir"]).arg(shm.path());
        let output = requeue.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(10) && said.contains("has overwritten it"), "{output:?}");
        wait_until("it is gone", || client.status().counts.dead_letters_kept == 0);
        let status = client.status();
        assert_eq!(status.coordinators[0].damaged, damaged, "{output:?}");
        assert_eq!((up.identities(), status.ledger.in_flight), (before.clone(), 0), "{output:?}");
    }
    drop(client);
    assert_eq!(up.stop(), Some(0));
}

/// Another program overwrites the heads of the rings, again and again, while these are full.
#[test]
fn tasks_go_on_when_the_heads_of_full_rings_were_overwritten() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--payload-max", "64", "--depth", "1"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let rings = ["client_down", "client_up", "worker_rings[0]", "worker_rings[3]"];
    // A wrong tail is noticed by its reader, which gives the ring up and says so.
    let words = rings.iter().map(|ring| format!("{ring}.head.position"));
    let (path, words): (_, Vec<u64>) =
        (region_path(&up.dir, 0), words.map(|name| at(&shape, &name)).collect());
    for value in [0, u64::MAX] {
        let (mut sent, mut failed) = (0, Vec::new());
        wait_until("all tasks are sent", || {
            while sent < 40
                && client.submit(Address::Any, Task::Echo(b"x"), &Terms::within(FOREVER), sent).is_ok()
            {
                sent += 1;
            }
            client.flush();
            for word in &words {
                write(&path, *word, value);
            }
            client.wait(Duration::from_millis(20));
            client.poll(|event| {
                if let Event::Outcome(outcome) = event {
                    failed.extend(outcome.result.err());
                }
            });
            sent == 40
        });
        failed.extend(failures(&mut client));
        assert!(failed.is_empty(), "{value:#x}: {failed:?}");
    }
    drop(client);
    assert!(up.stop().is_some());
    assert!(is_empty(shm.path()));
}

/// The directory of the only fleet in `shm`, once it has a first region.
fn fleet_in(shm: &Path) -> PathBuf {
    let mut found = None;
    wait_until("the fleet is there", || {
        let mut dirs = std::fs::read_dir(shm).unwrap().map(|entry| entry.unwrap().path());
        found = dirs.find(|dir| dir.join("c0").exists());
        found.is_some()
    });
    found.unwrap()
}

/// What another process writes at the beginning of the region's state: one word, the other, or both in one store.
fn orders(shape: &FleetShape) -> [(u64, Vec<u8>); 3] {
    let (stopping, epoch) = (at(shape, "state.stopping"), at(shape, "state.epoch"));
    assert_eq!(epoch, stopping + 4);
    [
        (stopping, 1_u32.to_ne_bytes().to_vec()),
        (epoch, 77_u32.to_ne_bytes().to_vec()),
        (stopping, 1_u64.to_le_bytes().to_vec()),
    ]
}

/// `coordinator run` with a list of six tasks, of which two are in hand when `word` is written at `at`.
fn run_with(at: u64, word: &[u8]) {
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("inputs"), "1\n2\n3\n4\n5\n6\n").unwrap();
    let child = Command::new(PROGRAM)
        .args(["run", "--agents", "2", "--inputs", "inputs", "--shm-dir"])
        .arg(shm.path())
        .args(["--", "sh", "-c", "echo >> begun; sleep 0.5; echo done $1", "task"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the tasks have begun", || {
        std::fs::read(dir.path().join("begun")).is_ok_and(|text| text.len() >= 2)
    });
    let region = fleet_in(shm.path()).join("c0");
    File::options().write(true).open(&region).unwrap().write_all_at(word, at).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{at} := {word:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["done 1", "done 2", "done 3", "done 4", "done 5", "done 6"], "{at} := {word:?}");
    assert!(is_empty(shm.path()));
}

#[test]
fn a_task_that_an_overwritten_word_ended_is_done_again() {
    for (at, word) in orders(&FleetShape::new(1, 2, 64, 1).unwrap()) {
        run_with(at, &word);
    }
}

#[test]
fn a_coordinator_whose_state_was_overwritten_names_the_word_and_has_a_successor() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--payload-max", "64", "--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let path = region_path(&up.dir, 0);
    let [stopping, epoch, _] = orders(client.shape());
    for ((at, word), named) in [
        (stopping, "overwritten: state.stopping was 1, which this process had not written"),
        (epoch, "overwritten: state.epoch was 77, which this process had not written"),
    ] {
        for _ in 0..2 {
            let nap = Task::Sleep(Duration::from_millis(300));
            client.submit(Address::Any, nap, &Terms::within(FOREVER), 0).unwrap();
        }
        client.flush();
        wait_until("both are in hand", || client.status().coordinators[0].ledger.in_flight == 2);
        File::options().write(true).open(&path).unwrap().write_all_at(&word, at).unwrap();
        assert_eq!(failures(&mut client), []);
        let output = Command::new(PROGRAM).args(["events", "--shm-dir"]).arg(shm.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches(named).count(), 1, "{text}");
    }
    let output = Command::new(PROGRAM).args(["events", "--shm-dir"]).arg(shm.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let died =
        |line: &&str| line.contains("coord/0 died") && line.contains("its shared memory was overwritten");
    assert_eq!(text.lines().filter(died).count(), 2, "{text}");
    drop(client);
    assert!(up.stop().is_some());
    assert!(is_empty(shm.path()));
}

#[test]
fn a_time_or_a_position_that_another_program_has_written_is_put_back_named_and_not_obeyed() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &["--payload-max", "64"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let everyone = up.identities();
    let mut follower = Follower::attach(&up.dir).unwrap();
    let words = [
        ("c0", "workers[1].process.dead_seen_ns", "process.dead_seen_ns"),
        ("c0", "workers[1].process.attached_ns", "process.attached_ns"),
        ("c0", "workers[1].process.recovered_ns", "process.recovered_ns"),
        ("c0", "workers[1].orders.suspected_ns", "orders.suspected_ns"),
        ("control", "coordinators[1].process.dead_seen_ns", "process.dead_seen_ns"),
        ("control", "coordinators[1].process.attached_ns", "process.attached_ns"),
        ("control", "coordinators[1].process.recovered_ns", "process.recovered_ns"),
        ("control", "coordinators[1].own.closed", "own.closed"),
        ("control", "coordinators[1].own.left_until", "own.left_until"),
        ("control", "state.marker", "control.marker"),
        ("control", "state.deaths", "control.deaths"),
        ("control", "coordinators[1].own.deaths", "own.deaths"),
    ];
    for (file, field, name) in words {
        let fields = if file == "control" { of_control(&shape) } else { of_region(&shape) };
        let field = fields.into_iter().find(|known| known.name == field).unwrap();
        let memory = File::options().read(true).write(true).open(up.dir.join(file)).unwrap();
        let word = || {
            let mut word = [0; 8];
            memory.read_exact_at(&mut word[..field.bytes as usize], field.at).unwrap();
            u64::from_ne_bytes(word)
        };
        let (before, max) = (word(), if field.bytes == 4 { u64::from(u32::MAX) } else { u64::MAX });
        for found in [7, max] {
            for _ in 0..4 {
                client.submit(Address::Any, Task::Echo(b"x"), &Terms::within(FOREVER), 0).unwrap();
            }
            client.flush();
            memory.write_all_at(&found.to_ne_bytes()[..field.bytes as usize], field.at).unwrap();
            wait_until("it is put back", || word() == before);
            assert_eq!(failures(&mut client), [], "{}", field.name);
            let wanted = What::Overwritten { word: Some(name), found };
            wait_until("it is named", || follower.poll().unwrap().iter().any(|seen| seen.what == wanted));
        }
    }
    assert_eq!(up.identities(), everyone);
    assert_eq!(client.status().ledger.duplicates, 0);
    drop(client);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_word_of_the_client_that_another_program_has_written_is_put_back_and_told_to_the_client() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--payload-max", "64"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let fields = of_control(client.shape());
    let memory = File::options().read(true).write(true).open(control_path(&up.dir)).unwrap();
    assert_eq!(client.overwritten(), []);
    for name in ["client_pid", "client_start", "client_moves"] {
        let field = fields.iter().find(|field| field.name == format!("state.{name}")).unwrap();
        let bytes = field.bytes as usize;
        let word = || {
            let mut word = [0; 8];
            memory.read_exact_at(&mut word[..bytes], field.at).unwrap();
            u64::from_ne_bytes(word)
        };
        let before = word();
        for found in [before + 1, before + 2] {
            memory.write_all_at(&found.to_ne_bytes()[..bytes], field.at).unwrap();
            wait_until("it is put back", || {
                client.poll(|_| ());
                word() == before
            });
            let wanted = What::Overwritten { word: Some(&format!("control.{name}").leak()[..]), found };
            assert_eq!(client.overwritten(), [wanted]);
        }
    }
    drop(client);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_count_of_rounds_that_another_program_has_written_is_named() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &["--payload-max", "64"]);
    let mut follower = Follower::attach(&up.dir).unwrap();
    let shape = *Client::attach(&up.dir).unwrap().shape();
    let beat = of_control(&shape).into_iter().find(|field| field.name == "state.beat").unwrap();
    for found in [0, u64::MAX] {
        write(&control_path(&up.dir), beat.at, found);
        let wanted = What::Overwritten { word: Some("control.beat"), found };
        wait_until("it is named", || follower.poll().unwrap().iter().any(|seen| seen.what == wanted));
    }
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_stage_that_another_program_has_written_is_put_back_and_named_and_not_obeyed() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &["--payload-max", "64"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let everyone = up.identities();
    let stage = of_control(client.shape()).into_iter().find(|field| field.name == "state.stage").unwrap();
    let file = File::options().read(true).write(true).open(control_path(&up.dir)).unwrap();
    let word = || {
        let mut word = [0; 4];
        file.read_exact_at(&mut word, stage.at).unwrap();
        u32::from_ne_bytes(word)
    };
    let ready = word();
    for found in [0, 2, 3, u32::MAX] {
        for _ in 0..4 {
            let nap = Task::Sleep(Duration::from_millis(50));
            client.submit(Address::Any, nap, &Terms::within(FOREVER), 0).unwrap();
        }
        client.flush();
        file.write_all_at(&found.to_ne_bytes(), stage.at).unwrap();
        wait_until("it is put back", || word() == ready);
        assert_eq!(failures(&mut client), []);
        let output = Command::new(PROGRAM).args(["events", "--shm-dir"]).arg(shm.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let named = format!("overwritten: control.stage was {found}, which this process had not written");
        assert_eq!(text.matches(&named).count(), 1, "{text}");
    }
    assert_eq!(up.identities(), everyone);
    drop(client);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}
