//! Fleet status and events, and what else a fleet shows to those who look.

use super::{PROGRAM, Up, kill, shm, wait_until};
use coordinator::bus::layout::EVENTS;
use coordinator::client::events::{Follower, What};
use coordinator::client::status::{self, ProcessStatus};
use coordinator::client::{
    Address, Client, Event, Failure, Identity, PlaceId, Task, TaskId, Terms, WorkerRef,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);

pub(super) fn command(shm: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("COORDINATOR_SHM_DIR", shm);
    command
}

/// What it says on stdout, on stderr, and its exit status.
pub(super) fn said(shm: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let Output { stdout, stderr, status } = command(shm, arguments).output().unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), status.code())
}

pub(super) fn fine(shm: &Path, arguments: &[&str]) -> String {
    let (stdout, stderr, code) = said(shm, arguments);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

/// `events --follow`, with its lines so far.
struct Follow {
    child: Child,
    lines: Vec<String>,
    more: Receiver<String>,
}

impl Follow {
    fn start(shm: &Path, arguments: &[&str]) -> Self {
        let mut child =
            command(shm, &["events", "--follow"]).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        let (send, more) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if send.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines: Vec::new(), more }
    }

    /// Waits for a line with all these words; which one it is.
    fn waits_for(&mut self, words: &[&str]) -> usize {
        let mut at = None;
        wait_until(&format!("{words:?}"), || {
            self.lines.extend(self.more.try_iter());
            at = self.lines.iter().position(|line| words.iter().all(|word| line.contains(word)));
            at.is_some()
        });
        at.unwrap()
    }

    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        self.lines.extend(self.more.iter());
        (code, self.lines)
    }
}

pub(super) fn worker(up: &Up, coordinator: usize, worker: usize) -> ProcessStatus {
    status::of(&up.dir).unwrap().coordinators[coordinator].workers[worker].process.clone()
}

pub(super) fn any(client: &mut Client, task: Task<'_>, terms: &Terms) -> TaskId {
    let id = client.submit(Address::Any, task, terms, 0).unwrap();
    client.flush();
    id
}

/// An event tells when a process was forked, and not when it was ready: that a worker waits for the one before it within its
/// coordinator is not seen here, since its event comes after that one's either way.
#[test]
fn a_fleet_that_spawns_one_by_one_starts_each_coordinator_when_the_one_before_is_ready() {
    let shm = shm();
    let up = Up::start(shm.path(), 4, 8, &["--spawn-max", "1"]);
    let all = fine(shm.path(), &["events", "test"]);
    let started: Vec<&str> = all.lines().filter(|line| line.contains(" started pid ")).collect();
    let at = |words: &str| started.iter().position(|line| line.contains(words)).expect(words);
    for coordinator in 1..4 {
        let next = at(&format!("supervisor coord/{coordinator} started"));
        let before = coordinator - 1;
        let workers = (0..8).map(|worker| at(&format!("coord/{before} worker/{before}.{worker} started")));
        assert!(workers.into_iter().all(|worker| worker < next), "{started:#?}");
    }
    assert_eq!(started.len(), 4 * 9, "{started:#?}");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_death_and_what_follows_are_events_in_order() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let mut follow = Follow::start(shm.path(), &[]);
    let mut other = Follow::start(shm.path(), &["test", "--json"]);
    let victim = worker(&up, 1, 0);
    let name = format!("coord/1 worker/1.0 died pid {} killed by SIGKILL", victim.pid);
    kill(victim.identity(), Signal::SIGKILL);
    let died = follow.waits_for(&[&name]);
    let started = follow.waits_for(&["coord/1 worker/1.0 started", "incarnation 2"]);
    let recovered = follow.waits_for(&["coord/1 worker/1.0 recovered"]);
    assert!(died < started && died < recovered, "{:#?}", follow.lines);
    let next = worker(&up, 1, 0);
    assert!(follow.lines[started].contains(&format!("pid {}", next.pid)), "{}", follow.lines[started]);

    let dead = status::of(&up.dir).unwrap().coordinators[0].process.clone();
    kill(dead.identity(), Signal::SIGKILL);
    let died = follow.waits_for(&["supervisor coord/0 died", &dead.pid.to_string(), "SIGKILL"]);
    let started = follow.waits_for(&["supervisor coord/0 started", "incarnation 2"]);
    let recovered = follow.waits_for(&["coord/0 coord/0 recovered after "]);
    assert!(died < started && died < recovered, "{:#?}", follow.lines);
    other.waits_for(&[r#""source":"coord/0""#, r#""kind":"recovered""#, r#""subject":"coord/0""#]);

    // Read at leisure it is the same.
    let all = fine(shm.path(), &["events", "test", "--since", "1h"]);
    // But for the clock of the day, which each reader holds against the fleet's on its own.
    let untimed = |line: &String| all.contains(line.split_once(' ').unwrap().1);
    assert!(follow.lines.iter().all(untimed), "{all}");
    let after = all.lines().last().unwrap().split(' ').next().unwrap();
    let since = fine(shm.path(), &["events", "test", "--since", after, "--json"]);
    assert!(since.lines().count() < all.lines().count(), "{since}");
    assert_eq!(said(shm.path(), &["events", "test", "--since", "yesterday"]).2, Some(64));

    assert_eq!(up.stop(), Some(0));
    let (code, lines) = follow.end();
    assert_eq!(code, Some(0));
    let times: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(times.is_sorted(), "{lines:#?}");
    assert!(lines.last().unwrap().ends_with("supervisor fleet stopped"), "{lines:#?}");
    let (code, json) = other.end();
    assert_eq!((code, json.len()), (Some(0), lines.len()));
    let ready = json.iter().find(|line| line.contains(r#""stage":"ready""#)).unwrap();
    let mut ready: Value = serde_json::from_str(ready).unwrap();
    ready.as_object_mut().unwrap().remove("stage");
    documented("`events`", &ready);
    for (line, text) in json.iter().zip(&lines) {
        let event: Value = serde_json::from_str(line).unwrap();
        let mut words = text.split(' ').skip(1);
        assert_eq!(words.next(), event["source"].as_str());
        assert_eq!(words.next(), event["subject"].as_str());
        assert!(event["unix_ns"].is_u64() && event["number"].is_u64());
    }
}

#[test]
fn a_follower_goes_on_with_the_next_supervisor_and_with_coordinators_that_come_later() {
    let shm = shm();
    let adopt = ["--on-supervisor-death", "adopt", "--coordinators-max", "2"];
    let mut up = Up::start(shm.path(), 1, 1, &adopt);
    let mut follow = Follow::start(shm.path(), &["test"]);
    let first = status::of(&up.dir).unwrap().supervisor;
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    follow.waits_for(&["supervisor supervisor adopted by pid", &format!("pid {} is dead", first.pid)]);
    wait_until("the next one is ready", || status::of(&up.dir).is_ok_and(|now| now.supervisor.is_live()));
    let second = status::of(&up.dir).unwrap().supervisor;
    assert_eq!((second.incarnation, second.deaths), (first.incarnation + 1, 1));
    assert_eq!(said(shm.path(), &["scale", "test", "--coordinators", "2"]).2, Some(0));
    follow.waits_for(&["supervisor supervisor scaled from 1 to 2 by operator"]);
    follow.waits_for(&["coord/1 worker/1.0 started"]);
    assert_eq!(said(shm.path(), &["stop", "test"]).2, Some(0));
    assert_eq!(follow.end().0, Some(0));
    wait_until("nothing is left", || super::is_empty(shm.path()));
}

#[test]
fn a_follower_ends_with_a_fleet_whose_supervisor_is_killed() {
    let shm = shm();
    let mut up = Up::start(shm.path(), 2, 1, &[]);
    let mut follow = Follow::start(shm.path(), &[]);
    follow.waits_for(&["coord/1 worker/1.0 started"]);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    assert_eq!(follow.end().0, Some(0));
    // What it left says what it was, until it is removed; and no process is there to be asked.
    assert!(fine(shm.path(), &["events", "test"]).contains("fleet ready"));
    assert!(fine(shm.path(), &["status"]).contains("its supervisor is dead"));
    fine(shm.path(), &["clean"]);
}

#[test]
fn a_reader_that_is_too_slow_knows_how_much_it_has_missed() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &["--depth", "64"]);
    let mut slow = Follower::attach(&up.dir).unwrap();
    let began = slow.rest().unwrap();
    let last = |seen: &[coordinator::client::events::Seen]| {
        seen.iter()
            .filter(|seen| seen.source == PlaceId::Coordinator(0))
            .map(|seen| seen.number)
            .max()
            .unwrap_or(0)
    };
    let before = last(&began);
    let mut client = Client::attach(&up.dir).unwrap();
    let mut cancelled = 0;
    while cancelled < EVENTS + 200 {
        for _ in 0..100 {
            any(&mut client, Task::Sleep(LONG), &Terms::within(LONG));
        }
        wait_until("they are there", || client.status().ledger().in_flight == 100);
        let told = fine(shm.path(), &["cancel", "test", "all"]);
        cancelled += told.lines().filter(|line| line.starts_with("cancelled 1.")).count() as u64;
        wait_until("their outcomes", || {
            client.poll(|event| {
                if let Event::Outcome(outcome) = event {
                    assert_eq!(outcome.result.unwrap_err(), Failure::Cancelled);
                }
            });
            client.in_flight() == 0
        });
    }
    assert_eq!(status::of(&up.dir).unwrap().counts.cancelled, cancelled);
    let seen: Vec<_> =
        slow.rest().unwrap().into_iter().filter(|seen| seen.source == PlaceId::Coordinator(0)).collect();
    let What::Missed { count } = seen[0].what else { panic!("{:?}", seen[0]) };
    assert_eq!(seen[0].number, before + 1);
    assert_eq!(seen[1].number, before + 1 + count);
    assert_eq!(seen.len() as u64 - 1, EVENTS);
    assert!(seen[1..].windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
    assert!(last(&seen) - before >= cancelled);
    let text = fine(shm.path(), &["events"]);
    assert!(text.contains("events, overwritten before they were read"), "{text}");
}

/// Of an object, and of everything in it.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                into.insert(key.clone());
                keys(value, into);
            }
        }
        Value::Array(all) => all.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

/// The documents' part of this name lists the keys of `value`, and no others.
pub(super) fn documented(part: &str, value: &Value) {
    let documents = include_str!("../../../../docs/status.md");
    let part = documents.split("\n## ").find(|text| text.starts_with(part)).unwrap();
    // The kinds of events have a table, and a test, of their own.
    let part = part.split("\n| kind |").next().unwrap();
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let listed: BTreeSet<_> =
        rows.flat_map(|cell| cell.split(", ")).map(|key| key.trim_matches('`').to_owned()).collect();
    let mut found = BTreeSet::new();
    keys(value, &mut found);
    for key in &listed {
        assert!(found.contains(key), "nothing has the key {key} of docs/status.md");
    }
    for key in &found {
        assert!(part.contains(&format!("`{key}`")), "docs/status.md does not list {key}");
    }
}

#[test]
fn status_says_since_when_what_is_stuck_and_whom_it_waits_for() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let dead = worker(&up, 0, 1);
    kill(dead.identity(), Signal::SIGKILL);
    wait_until("its successor", || {
        worker(&up, 0, 1).last_death.is_some_and(|death| death.recovered_ns.is_some())
    });
    let to = WorkerRef { coordinator: 1, worker: 0 };
    let id = client.send(to, Task::Sleep(LONG), LONG, 0).unwrap();
    client.flush();
    wait_until("it takes long", || {
        first_status(shm.path())["status"]["stuck"].as_array().is_some_and(|stuck| !stuck.is_empty())
    });
    let status = first_status(shm.path());
    let stuck = &status["status"]["stuck"][0];
    assert_eq!((&stuck["place"], &stuck["kind"]), (&"worker/1.0".into(), &"in-hand".into()));
    assert_eq!(stuck["task_id"], id.to_string());
    assert!(stuck["for_ns"].as_u64().unwrap() > 1_000_000_000);
    let text = fine(shm.path(), &["status"]);
    for words in [
        format!("worker/1.0 has had task {id} in hand for "),
        format!(
            "incarnation 2 after 1 death, the last of pid {} (killed by SIGKILL), recovered in ",
            dead.pid
        ),
        "1 accepted = 0 answered (0 failed tasks) + 0 failed deliveries + 1 in flight".to_owned(),
        "coord/1      pid ".to_owned(),
    ] {
        assert!(text.contains(&words), "{words}: {text}");
    }
    // For as long as the processes have been there.
    let up_ns = status["status"]["supervisor"]["up_ns"].as_u64().unwrap();
    assert!((1_000_000_000..3_600_000_000_000).contains(&up_ns), "{up_ns}");
    drop(client);
    assert_eq!(up.stop(), Some(0));
}

/// The first fleet of `status --json`.
fn first_status(shm: &Path) -> Value {
    let all: Value = serde_json::from_str(&fine(shm, &["status", "test", "--json"])).unwrap();
    all[0].clone()
}

#[test]
fn status_lists_the_tasks_that_wait_for_a_pause_to_end_and_has_the_documented_keys() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let dead = worker(&up, 0, 1);
    kill(dead.identity(), Signal::SIGKILL);
    wait_until("its successor", || {
        worker(&up, 0, 1).last_death.is_some_and(|death| death.recovered_ns.is_some())
    });
    // More tasks than workers: some of them wait when the coordinators are paused.
    let all: Vec<_> = (0..7).map(|_| any(&mut client, Task::Sleep(LONG), &Terms::within(LONG))).collect();
    wait_until("some of them wait", || {
        let status = client.status();
        let queued: u32 = status.coordinators.iter().map(|one| one.queued).sum();
        status.ledger.accepted == 7 && queued == 3
    });

    // Everything that may be there is, once an operator holds it: then each key is one of the documents'.
    let control = coordinator::bus::view::Control::attach(&up.dir.join("control")).unwrap();
    let own = Identity::own();
    let relaxed = coordinator::bus::sync::Ordering::Relaxed;
    control.orders().pause_start.store(own.start_ticks, relaxed);
    control.orders().pause_pid.store(own.pid, relaxed);
    control.orders().pause.store(7, coordinator::bus::sync::Ordering::Release);
    wait_until("they stand still", || {
        first_status(shm.path())["status"]["coordinators"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["paused"] == true)
    });
    let status = first_status(shm.path());
    assert_eq!(status["status"]["pause"]["pid"], own.pid);
    let stuck = status["status"]["stuck"].as_array().unwrap();
    let waiting: Vec<_> = stuck.iter().filter(|stuck| stuck["kind"] == "paused").collect();
    assert_eq!(waiting.iter().map(|stuck| stuck["tasks"].as_u64().unwrap()).sum::<u64>(), 3, "{stuck:?}");
    for stuck in waiting {
        assert!(stuck["place"].as_str().unwrap().starts_with("coord/"), "{stuck}");
        assert!(all.iter().any(|id| stuck["task_id"] == id.to_string()), "{stuck}");
    }
    assert!(fine(shm.path(), &["status"]).contains(&format!("paused by pid {}", own.pid)));
    control.orders().pause.store(0, coordinator::bus::sync::Ordering::Release);
    documented("`status --json`", &status);
    drop(client);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_fleet_is_meant_by_its_name_or_by_being_the_only_one() {
    let shm = shm();
    let verbs = [&["events"][..], &["top", "--once", "--interval", "1ms"], &["dead-letters"]];
    for verb in verbs {
        let (_, error, code) = said(shm.path(), verb);
        assert_eq!(code, Some(10));
        assert!(error.contains("there is no fleet under"), "{error}");
    }
    let up = Up::start(shm.path(), 1, 1, &[]);
    for verb in verbs {
        fine(shm.path(), verb);
    }
    let mut second = command(shm.path(), &["up", "--name", "second", "--workers", "1"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let dir = shm.path().join("coord-second");
    wait_until("the second fleet", || {
        status::of(&dir).is_ok_and(|status| status.stage == status::Stage::Ready)
    });
    for verb in verbs {
        let (_, error, code) = said(shm.path(), verb);
        assert_eq!(code, Some(10));
        assert!(error.contains("there are 2 fleets: `second`, `test`"), "{error}");
        let named: Vec<_> = verb[..1].iter().chain(&["second"]).chain(&verb[1..]).copied().collect();
        fine(shm.path(), &named);
        let other: Vec<_> = verb[..1].iter().chain(&["third"]).chain(&verb[1..]).copied().collect();
        let (_, error, code) = said(shm.path(), &other);
        assert_eq!(code, Some(10));
        assert!(error.contains("there is no fleet `third`"), "{error}");
    }
    assert_eq!(up.stop(), Some(0));
    assert_eq!(said(shm.path(), &["stop", "second"]).2, Some(0));
    second.wait().unwrap();
}

#[test]
fn what_is_no_fleet_is_said_with_its_place() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let make = |name: &str, control: &[u8]| {
        let dir = shm.path().join(format!("coord-{name}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::write(dir.join("control"), control).unwrap();
        std::fs::set_permissions(dir.join("control"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    };
    let whole = std::fs::read(up.dir.join("control")).unwrap();
    make("short", &whole[..whole.len() / 2]);
    make("tiny", b"x");
    make("empty", b"");
    make("foreign", &b"another program's bytes ".repeat(whole.len() / 20));
    std::fs::create_dir(shm.path().join("coord-hollow")).unwrap();
    for name in ["short", "tiny", "empty", "foreign", "hollow"] {
        for verb in [&["events", name][..], &["top", name], &["dead-letters", name], &["status", name]] {
            let (out, error, code) = said(shm.path(), verb);
            assert_eq!((out.as_str(), code), ("", Some(10)), "{verb:?}");
            assert!(
                error.contains(&format!("coord-{name}")) && error.contains("hint: "),
                "{verb:?}: {error}"
            );
        }
        let (_, error, code) = said(shm.path(), &["cancel", name, "all"]);
        assert_eq!(code, Some(10));
        assert!(error.contains(&format!("coord-{name}")), "{error}");
    }
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn another_user_is_told_that_it_is_not_theirs() {
    if !crate::support::wants::may_become_another_user() {
        return;
    }
    let shm = shm();
    std::fs::set_permissions(shm.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = shm.path().join("program");
    std::fs::copy(PROGRAM, &program).unwrap();
    let up = Up::start(shm.path(), 1, 1, &[]);
    // By its name it is none of theirs; where it is theirs to name, it may still not be read.
    for verb in [&["events", "test"][..], &["top", "test"], &["dead-letters", "test"]] {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(verb)
            .arg("--shm-dir")
            .arg(shm.path())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(10), "{error}");
        assert!(error.contains("there is no fleet `test`") && error.contains("hint:"), "{error}");
    }
    assert_eq!(up.stop(), Some(0));
}
