//! A client with a journal, that dies with its fleet.

use super::child;
use super::fleet::{LONG, Place, text};
use crate::support::up::{Up, kill, wait_until};
use coordinator::client::{Address, Client, Event, Task, Terms};
use coordinator::snapshot::backup::header_of;
use coordinator::snapshot::journal::{Journal, replay};
use coordinator::snapshot::journaled::Journaled;
use coordinator::snapshot::record::Kind;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

const QUICK: u64 = 10;
const GATED: u64 = 12;

/// Sends quick tasks and takes their answers; sends gated ones; says so, and waits for its end.
pub fn client(dir: &Path) {
    let fleet = PathBuf::from(std::fs::read_to_string(dir.join("fleet")).unwrap());
    let script = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let journal =
        Journal::create(&dir.join("journal"), &header_of(&fleet, "test", Kind::Journal).unwrap()).unwrap();
    let mut client = Journaled::new(Client::attach(&fleet).unwrap(), journal);
    let terms = Terms::within(LONG);
    for number in 0..QUICK {
        let body = script(&format!("task-{number}"));
        client.submit(Address::Any, Task::Exec(&body), &terms, number, Some("quick")).unwrap();
    }
    client.flush().unwrap();
    let mut ended = 0;
    wait_until("the quick ones are answered", || {
        client.poll(|event| ended += u64::from(matches!(event, Event::Outcome(_)))).unwrap();
        ended == QUICK
    });
    for number in QUICK..QUICK + GATED {
        let (body, name) = (script(&format!("task-{number}")), format!("gated {number}"));
        client.submit(Address::Any, Task::Exec(&body), &terms, number, Some(&name)).unwrap();
    }
    client.flush().unwrap();
    let mut said = std::io::stderr().lock();
    writeln!(said, "flushed").unwrap();
    loop {
        client.wait(LONG);
    }
}

#[test]
fn a_reboot_loses_nothing_that_was_accepted() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 2, 4, &[]);
    std::fs::write(place.file("fleet"), up.dir.to_str().unwrap()).unwrap();
    for number in 0..QUICK + GATED {
        let body = if number < QUICK { place.quick(number) } else { place.gated(number) };
        std::fs::write(place.file(&format!("task-{number}")), body).unwrap();
    }
    let mut client =
        child("journaled", place.dir()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(client.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "flushed\n");
    client.kill().unwrap();
    client.wait().unwrap();
    place.disaster(up);

    place.open_gate();
    let restored = place.coordinator(&["restore", "journal", "--results", "out"]);
    assert_eq!(restored.status.code(), Some(0), "{}", text(&restored.stderr));
    let done: BTreeMap<u64, u32> = (0..QUICK + GATED).map(|number| (number, 1)).collect();
    assert_eq!(place.done(), done);
    let mut names: Vec<String> =
        place.results("out").iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let mut wanted: Vec<String> = (QUICK..QUICK + GATED).map(|number| format!("gated {number}")).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    // The journal knows that they have ended: once more is nothing more.
    assert!(replay(&place.file("journal")).unwrap().open.is_empty());
    place.succeeds(&["restore", "journal", "--results", "again"]);
    assert_eq!(place.done(), done);
}

#[test]
fn a_restore_that_was_cut_short_goes_on_where_it_was() {
    let place = Place::new();
    let path = place.file("journal");
    let mut journal = Journal::create(&path, &super::header(Kind::Journal)).unwrap();
    for number in 0..10 {
        let body = if number < 6 { place.quick(number) } else { place.gated(number) };
        journal.accepted(&super::task(number, &body)).unwrap();
    }
    journal.commit().unwrap();
    drop(journal);
    let mut restore = place.command(&["restore", "journal", "--results", "out"]).spawn().unwrap();
    wait_until("six have ended", || replay(&path).unwrap().open.len() == 4);
    // It is its journal: no other process restores it meanwhile.
    let second = place.coordinator(&["restore", "journal", "--name", "other", "--results", "other"]);
    assert_eq!(second.status.code(), Some(64));
    assert!(text(&second.stderr).contains("another process is appending to it"), "{}", text(&second.stderr));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(restore.id() as i32),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(restore.wait().unwrap().code(), Some(21));
    assert_eq!(place.results("out").len(), 6);
    assert!(crate::support::up::is_empty(place.shm.path()));

    place.open_gate();
    place.succeeds(&["restore", "journal", "--results", "rest"]);
    assert_eq!(place.results("rest").len(), 4);
    assert_eq!(place.done(), (0..10).map(|number| (number, 1)).collect::<BTreeMap<u64, u32>>());
}

#[test]
fn a_restore_whose_supervisor_is_killed_closes_no_task() {
    let place = Place::new();
    let path = place.file("journal");
    let mut journal = Journal::create(&path, &super::header(Kind::Journal)).unwrap();
    for number in 0..10 {
        let body = if number < 3 { place.quick(number) } else { place.gated(number) };
        journal.accepted(&super::task(number, &body)).unwrap();
    }
    journal.commit().unwrap();
    drop(journal);
    for (signal, results) in [(Signal::SIGKILL, "killed"), (Signal::SIGTERM, "stopped")] {
        let mut restore = place.command(&["restore", "journal", "--results", results]).spawn().unwrap();
        let fleet = place.shm.path().join("coord-demo");
        wait_until("seven are in hand", || {
            coordinator::client::status::of(&fleet).is_ok_and(|status| {
                let workers = status.coordinators.iter().flat_map(|one| &one.workers);
                workers.filter(|worker| worker.task.is_some()).count() == 7
            }) && replay(&path).unwrap().open.len() == 7
        });
        let supervisor = coordinator::client::status::of(&fleet).unwrap().supervisor.identity();
        kill(supervisor, signal);
        assert_eq!(restore.wait().unwrap().code(), Some(10));
        wait_until("nothing is left of it", || crate::support::up::is_empty(place.shm.path()));
        assert_eq!(replay(&path).unwrap().open.len(), 7, "{results}");
    }
    place.open_gate();
    place.succeeds(&["restore", "journal", "--results", "rest"]);
    assert_eq!(place.results("rest").len(), 7);
    assert_eq!(place.done(), (0..10).map(|number| (number, 1)).collect::<BTreeMap<u64, u32>>());
}
