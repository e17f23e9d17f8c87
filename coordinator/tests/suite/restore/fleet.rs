//! Real fleets: backed up at work, killed, restored. The oracle is a file that each task appends its number to,
//! and the client's own book.

use crate::support::up::{PROGRAM, Up, kill, shm, wait_until};
use coordinator::client::{Address, Client, Event, Task, TaskId, Terms, WorkerRef};
use coordinator::snapshot::file::Snapshot;
use coordinator::snapshot::read_snapshot;
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub const LONG: Duration = Duration::from_secs(50);

/// Where a test has its files: the fleets' shared memory, a log, a gate.
pub struct Place {
    pub shm: tempfile::TempDir,
    dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { shm: shm(), dir: tempfile::tempdir().unwrap() };
        nix::unistd::mkfifo(&place.file("never"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        place
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn coordinator(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env("COORDINATOR_SHM_DIR", self.shm.path()).current_dir(self.dir.path());
        // As its fleets have it: what those leave there is looked for there.
        command.env("TMPDIR", self.shm.path());
        command
    }

    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.coordinator(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    pub fn backup(&self) -> Snapshot {
        self.succeeds(&["backup", "backup", "--name", "test"]);
        read_snapshot(&self.file("backup")).unwrap()
    }

    /// Ends every process of the fleet at once, and removes what it leaves.
    pub fn disaster(&self, mut up: Up) {
        let everyone = up.identities();
        up.child.kill().unwrap();
        up.child.wait().unwrap();
        wait_until("everybody is gone", || everyone.iter().all(|process| !process.is_alive()));
        self.succeeds(&["clean"]);
    }

    /// How often each task was done.
    pub fn done(&self) -> BTreeMap<u64, u32> {
        let mut done = BTreeMap::new();
        for line in std::fs::read_to_string(self.file("log")).unwrap_or_default().lines() {
            *done.entry(line.parse().unwrap()).or_default() += 1;
        }
        done
    }

    pub fn open_gate(&self) {
        std::fs::write(self.file("gate"), "").unwrap();
    }

    /// The command that does task `number` if the gate is open when it begins, and otherwise waits for ever.
    pub fn gated(&self, number: u64) -> Vec<u8> {
        let dir = self.dir.path().display();
        shell(&format!("test -e {dir}/gate || read x < {dir}/never; echo {number} >> {dir}/log"))
    }

    /// The command that does task `number` at once.
    pub fn quick(&self, number: u64) -> Vec<u8> {
        shell(&format!("echo {number} >> {}/log; echo did {number}", self.dir.path().display()))
    }

    pub fn results(&self, name: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.file(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub fn shell(script: &str) -> Vec<u8> {
    command_body(&["sh", "-c", script]).unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn once(numbers: impl IntoIterator<Item = u64>) -> BTreeMap<u64, u32> {
    numbers.into_iter().map(|number| (number, 1)).collect()
}

fn ids(results: &[serde_json::Value]) -> BTreeSet<String> {
    results.iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

/// Polls until `count` tasks have ended, all of them well; their ids.
fn answered(client: &mut Client, count: usize) -> BTreeSet<TaskId> {
    let mut answered = BTreeSet::new();
    wait_until("the tasks are answered", || {
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                let fine = outcome.result.as_ref().is_ok_and(|answer| answer.code == 0);
                assert!(fine, "{:?}", outcome.result);
                answered.insert(outcome.id);
            }
        });
        answered.len() >= count
    });
    answered
}

#[test]
fn what_was_not_answered_is_done_once_more_and_what_was_is_not() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 3, 20, &["--attempts-max", "2"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    for number in 0..60 {
        let worker = WorkerRef::nth(&shape, number);
        client.send(worker, Task::Exec(&place.quick(number.into())), LONG, 0).unwrap();
    }
    client.flush();
    answered(&mut client, 60);
    let mut sent = HashMap::new();
    // One in hand of each worker, one behind it, and some for any worker.
    for number in 60..180_u64 {
        let worker = WorkerRef::nth(&shape, (number % 60) as u32);
        sent.insert(client.send(worker, Task::Exec(&place.gated(number)), LONG, 0).unwrap(), number);
    }
    let terms =
        Terms { timeout: Some(LONG), attempts_max: Some(5), retry_failures: true, ..Terms::within(2 * LONG) };
    for number in 180..200_u64 {
        let body = place.gated(number);
        sent.insert(client.submit(Address::Any, Task::Exec(&body), &terms, 0).unwrap(), number);
    }
    client.flush();
    wait_until("every worker has one in hand", || {
        let status = client.status();
        status.coordinators.iter().flat_map(|one| &one.workers).all(|worker| worker.task.is_some())
    });
    let snapshot = place.backup();
    let open: BTreeSet<TaskId> = snapshot.tasks.iter().map(|task| task.id).collect();
    assert_eq!(open, sent.keys().copied().collect());
    assert_eq!((snapshot.tasks.len(), &snapshot.untold[..], snapshot.dead.len()), (140, &[][..], 0));
    for task in &snapshot.tasks {
        let any = sent[&task.id] >= 180;
        assert_eq!((task.worker.is_none(), task.retry_failures), (any, any));
        assert_eq!(task.attempts_max, if any { 5 } else { 0 });
        assert_eq!(task.lifetime_ns, (if any { 2 * LONG } else { LONG }).as_nanos() as u64);
    }
    assert!(snapshot.header.options.windows(2).any(|pair| pair == ["--attempts-max", "2"]));
    // The fleet goes on as before.
    client.poll(|event| panic!("{event:?}"));
    assert_eq!(client.ledger().in_flight, 140);
    drop(client);
    place.disaster(up);
    assert_eq!(place.done(), once(0..60));

    place.open_gate();
    let said = place.coordinator(&["restore", "backup", "--results", "out"]);
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    assert_eq!(place.done(), once(0..200));
    let results = place.results("out");
    assert!(results.iter().all(|result| result["status"] == "ok"), "{results:?}");
    assert_eq!((results.len(), ids(&results)), (140, open.iter().map(ToString::to_string).collect()));
    assert!(crate::support::up::is_empty(place.shm.path()));
}

#[test]
fn an_answer_that_no_client_heard_is_reported_and_its_task_not_done_again() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 2, 3, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let mut sent = BTreeSet::new();
    for number in 0..12 {
        let worker = WorkerRef::nth(&shape, number % 6);
        let id = client.send(worker, Task::Exec(&place.quick(number.into())), LONG, 0).unwrap();
        sent.insert(id.to_string());
    }
    let mut others = Vec::new();
    let bad = shell("echo so far; echo why >&2; exit 3");
    let bytes = shell("printf '\\377\\n'");
    for (task, number) in [Task::Echo(b"back"), Task::Exec(&bad), Task::Exec(&bytes)].into_iter().zip(0..) {
        // One for any worker may be handed back, and a client that hears nothing does not hand it on.
        let worker = WorkerRef::nth(&shape, number);
        others.push(client.send(worker, task, LONG, 0).unwrap().to_string());
    }
    client.flush();
    wait_until("all is done", || client.status().ledger().answered == 15);
    let snapshot = place.backup();
    assert_eq!((snapshot.tasks.len(), snapshot.untold.len()), (0, 15));
    place.disaster(up);
    assert_eq!(place.coordinator(&["restore", "backup", "--results", "out"]).status.code(), Some(10));
    assert_eq!(place.done(), once(0..12));
    let (others, results): (Vec<_>, Vec<_>) =
        place.results("out").into_iter().partition(|result| others.iter().any(|id| result["id"] == **id));
    let told = |what: &str| others.iter().find(|result| result["stdout"] == what).unwrap();
    let (echo, failed) = (told("back"), told("so far\n"));
    assert_eq!((&echo["status"], &echo["stderr"]), (&"ok".into(), &"".into()));
    assert_eq!(
        (&failed["status"], &failed["exit"], &failed["stderr"], failed["error"].is_string()),
        (&"failed".into(), &3.into(), &"why\n".into(), true)
    );
    assert!(others.iter().any(|result| result["stdout_base64"] == "/wo="), "{others:?}");
    assert_eq!(ids(&results), sent);
    for result in &results {
        assert_eq!((&result["before"], &result["status"]), (&true.into(), &"ok".into()));
        assert!(result["stdout"].as_str().unwrap().starts_with("did "), "{result}");
    }
}

/// When the client sent a task and when it had its answer, on the clock of all processes.
#[derive(Default)]
struct Book {
    sent: HashMap<TaskId, u64>,
    answered: HashMap<TaskId, u64>,
}

#[test]
fn every_backup_under_load_is_a_cut_through_the_clients_book() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 3, 20, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let mut book = Book::default();
    let mut next = 0;
    for round in 0..12 {
        let begun = coordinator::client::now_ns();
        let mut backup = place.command(&["backup", "backup", "--name", "test"]).spawn().unwrap();
        let status = loop {
            for _ in 0..64 {
                let worker = WorkerRef::nth(&shape, next % 60);
                next += 1;
                let now = coordinator::client::now_ns();
                // Those for any worker may be handed back and on.
                let address = if next % 3 == 0 { Address::Any } else { Address::Worker(worker) };
                if let Ok(id) = client.submit(address, Task::Echo(b"echo"), &Terms::within(LONG), 0) {
                    book.sent.insert(id, now);
                }
            }
            client.flush();
            client.poll(|event| {
                if let Event::Outcome(outcome) = event {
                    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
                    book.answered.insert(outcome.id, 0);
                }
            });
            // By now the client has acknowledged them too.
            let now = coordinator::client::now_ns();
            book.answered.values_mut().filter(|at| **at == 0).for_each(|at| *at = now);
            if let Some(status) = backup.try_wait().unwrap() {
                break status;
            }
        };
        let ended = coordinator::client::now_ns();
        assert!(status.success(), "round {round}");
        let snapshot = read_snapshot(&place.file("backup")).unwrap();
        let open: BTreeSet<TaskId> = snapshot.tasks.iter().map(|task| task.id).collect();
        let untold: BTreeSet<TaskId> = snapshot.untold.iter().map(|one| one.id).collect();
        assert!(open.is_disjoint(&untold), "round {round}");
        for id in open.union(&untold) {
            let sent = book.sent[id];
            assert!(sent < ended, "round {round}: {id} was sent after it");
            let answered = book.answered.get(id).copied().unwrap_or(u64::MAX);
            assert!(answered > begun, "round {round}: {id} had been answered before it");
        }
        // What was sent because of an answer is in no backup that has not the answer.
        let newest = open.union(&untold).map(|id| book.sent[id]).max().unwrap_or(0);
        for id in &open {
            let answered = book.answered.get(id).copied().unwrap_or(u64::MAX);
            assert!(
                answered > newest,
                "round {round}: {id} is open, and was answered before another was sent"
            );
        }
        for (id, sent) in &book.sent {
            let answered = book.answered.get(id).copied().unwrap_or(u64::MAX);
            let must = *sent < begun && answered > ended;
            assert!(!must || open.contains(id) || untold.contains(id), "round {round}: {id} is missing");
        }
    }
    assert!(!book.answered.is_empty(), "nothing went on meanwhile");
    let left = client.in_flight();
    answered(&mut client, left);
    assert_eq!(client.ledger(), client.status().ledger());
    assert_eq!(up.stop(), Some(0));
}

/// Each coordinator answers.
#[track_caller]
fn goes_on(client: &mut Client) {
    let coordinators = client.shape().coordinators();
    for coordinator in 0..coordinators {
        client.send(WorkerRef { coordinator, worker: 0 }, Task::Echo(b"x"), LONG, 0).unwrap();
    }
    client.flush();
    answered(client, coordinators as usize);
}

#[test]
fn a_coordinator_that_does_not_stand_still_is_named_and_the_fleet_goes_on() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 3, 2, &["--hang-after", "never"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let status = client.status();
    kill(status.coordinators[1].process.identity(), Signal::SIGSTOP);
    let output = place.coordinator(&["backup", "backup", "--patience", "300ms"]);
    assert_eq!(output.status.code(), Some(10));
    let said = text(&output.stderr);
    assert!(said.contains("coord/1 did not pause within 300ms") && said.contains("kill -CONT"), "{said}");
    assert!(!said.contains("coord/0") && !place.file("backup").exists(), "{said}");
    kill(status.coordinators[1].process.identity(), Signal::SIGCONT);
    goes_on(&mut client);
    assert_eq!(place.backup().header.coordinators, 3);
}

#[test]
fn a_pause_ends_with_its_operator() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 3, 2, &["--hang-after", "never"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let stopped = client.status().coordinators[2].process.identity();
    kill(stopped, Signal::SIGSTOP);
    let mut operator = place.command(&["backup", "backup", "--patience", "10m"]).spawn().unwrap();
    // The others keep the pause: what is sent to them is not even accepted.
    wait_until("the others stand still", || {
        client.send(WorkerRef { coordinator: 0, worker: 0 }, Task::Echo(b"x"), LONG, 0).unwrap();
        client.flush();
        let sent = client.ledger().accepted;
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(200) && client.in_flight() > 0 {
            client.poll(|_| ());
        }
        client.in_flight() > 0 && client.status().ledger().accepted < sent
    });
    operator.kill().unwrap();
    operator.wait().unwrap();
    kill(stopped, Signal::SIGCONT);
    answered(&mut client, 1);
    goes_on(&mut client);
    place.backup();
}

#[test]
fn a_coordinator_killed_meanwhile_costs_no_task() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 3, 4, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let mut sent = BTreeSet::new();
    for number in 0..24_u64 {
        let worker = WorkerRef::nth(&shape, (number % 12) as u32);
        sent.insert(client.send(worker, Task::Exec(&place.gated(number)), LONG, 0).unwrap());
    }
    client.flush();
    wait_until("all is accepted", || client.status().ledger().accepted == 24);
    for round in 0..6 {
        let victim = &client.status().coordinators[round % 3];
        let (before, identity) = (victim.process.incarnation, victim.process.identity());
        if round % 2 == 0 {
            kill(identity, Signal::SIGKILL);
        }
        let mut backup = place.command(&["backup", "backup", "--name", "test"]).spawn().unwrap();
        if round % 2 == 1 {
            kill(identity, Signal::SIGKILL);
        }
        assert!(backup.wait().unwrap().success(), "round {round}");
        let snapshot = read_snapshot(&place.file("backup")).unwrap();
        let open: BTreeSet<TaskId> = snapshot.tasks.iter().map(|task| task.id).collect();
        assert_eq!((open.len(), &open), (snapshot.tasks.len(), &sent), "round {round}");
        wait_until("there is a successor", || {
            let process = &client.status().coordinators[round % 3].process;
            process.incarnation > before && process.is_live()
        });
    }
    place.disaster(up);
    place.open_gate();
    place.succeeds(&["restore", "backup", "--name", "other", "--results", "out"]);
    assert_eq!(place.done(), once(0..24));
}

#[test]
fn a_coordinator_that_dies_standing_still_is_read_when_it_has_a_successor() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 2, 2, &["--hang-after", "never"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mut sent = BTreeSet::new();
    for number in 0..4_u64 {
        let worker = WorkerRef { coordinator: (number % 2) as u32, worker: 0 };
        sent.insert(client.send(worker, Task::Exec(&place.gated(number)), LONG, 0).unwrap());
    }
    client.flush();
    wait_until("all is accepted", || client.status().ledger().accepted == 4);
    let (first, second) =
        (&client.status().coordinators[0].process, &client.status().coordinators[1].process);
    kill(second.identity(), Signal::SIGSTOP);
    let mut backup = place.command(&["backup", "backup", "--patience", "10m"]).spawn().unwrap();
    // Then it takes nothing more.
    wait_until("the first one stands still", || {
        client.send(WorkerRef { coordinator: 0, worker: 1 }, Task::Exec(&place.gated(9)), LONG, 0).unwrap();
        client.flush();
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            client.poll(|_| ());
        }
        client.status().ledger().accepted < client.ledger().accepted
    });
    kill(first.identity(), Signal::SIGKILL);
    wait_until("there is a successor", || {
        let process = &client.status().coordinators[0].process;
        process.incarnation > first.incarnation && process.is_live()
    });
    kill(second.identity(), Signal::SIGCONT);
    assert!(backup.wait().unwrap().success());
    let snapshot = read_snapshot(&place.file("backup")).unwrap();
    let open: BTreeSet<TaskId> = snapshot.tasks.iter().map(|task| task.id).collect();
    assert!(sent.is_subset(&open), "{sent:?}, {open:?}");
    assert_eq!(snapshot.counters[0].epoch, 2);
}

#[test]
fn what_a_dead_coordinator_handed_back_is_in_the_backup_before_its_client_knows() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 2, 3, &["--failover", "survivors"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let mut sent = BTreeSet::new();
    for number in 0..12_u64 {
        let task = place.gated(number);
        let id = client.submit(Address::Any, Task::Exec(&task), &Terms::within(LONG), 0).unwrap();
        sent.insert(id);
    }
    client.flush();
    wait_until("all is accepted", || client.status().ledger().accepted == 12);
    kill(client.status().coordinators[0].process.identity(), Signal::SIGKILL);
    wait_until("its tasks are handed back", || {
        let ledger = client.status().coordinators[0].ledger;
        ledger.returned > 0 && ledger.returned == ledger.accepted
    });
    // Once before the client looks, and once when it has handed them on.
    for _ in 0..2 {
        let snapshot = place.backup();
        let open: BTreeSet<TaskId> = snapshot.tasks.iter().map(|task| task.id).collect();
        assert_eq!((snapshot.tasks.len(), &open), (12, &sent));
        wait_until("they are at work again", || {
            client.poll(|event| panic!("{event:?}"));
            client.status().ledger().in_flight == 12
        });
    }
    drop(client);
    place.disaster(up);
    place.open_gate();
    place.succeeds(&["restore", "backup", "--results", "out"]);
    assert_eq!(place.done(), once(0..12));
}

#[test]
fn what_cannot_be_restored_is_refused_before_anything_starts() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 1, 1, &[]);
    place.backup();
    let whole = std::fs::read(place.file("backup")).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let newer = text(&whole).replacen("\"format\":2", "\"format\":3", 1).into_bytes();
    for (bytes, words) in [
        (&whole[..whole.len() - 1], "it is incomplete, it ends at line 3"),
        (&changed, "it is damaged at line"),
        (b"x", "this is neither a backup nor a journal"),
        (&newer, "it is damaged at line 1"),
    ] {
        std::fs::write(place.file("bad"), bytes).unwrap();
        let output = place.coordinator(&["restore", "bad", "--name", "other"]);
        assert_eq!(output.status.code(), Some(64));
        let said = text(&output.stderr);
        assert!(said.contains(words) && said.contains("hint: "), "{said}");
    }
    let taken = place.coordinator(&["restore", "backup"]);
    assert_eq!(taken.status.code(), Some(64));
    assert!(text(&taken.stderr).contains("a fleet with that name already exists"), "{}", text(&taken.stderr));
    for (arguments, code) in [
        (&["backup", "no/such/dir", "--name", "test"][..], 20),
        (&["backup", "b", "--name", "none"], 10),
        (&["restore", "none"], 64),
    ] {
        let output = place.coordinator(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_restore_that_was_killed_is_resumed_at_once() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 1, 1, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    // With a closed gate, it takes as long as it may to end.
    let dir = place.dir().display();
    let script = format!(
        "trap '' TERM; test -e {dir}/gate || {{ echo >> {dir}/begun; read x < {dir}/never; }}; echo 1 >> {dir}/log"
    );
    client.submit(Address::Any, Task::Exec(&shell(&script)), &Terms::within(LONG), 0).unwrap();
    client.flush();
    let begun = |count| std::fs::read_to_string(place.file("begun")).is_ok_and(|text| text.len() == count);
    wait_until("it has begun", || begun(1));
    place.backup();
    drop(client);
    place.disaster(up);
    let mut first = place.command(&["restore", "backup", "--results", "out"]).spawn().unwrap();
    wait_until("it has begun again", || begun(2));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(place.shm.path().join("coord-test").exists());
    place.open_gate();
    place.succeeds(&["restore", "backup", "--results", "out", "--resume"]);
    assert_eq!(place.done(), once([1]));
}

#[test]
fn a_restored_fleet_stays_if_it_is_wanted() {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    client.submit(Address::Any, Task::Exec(&place.gated(1)), &Terms::within(LONG), 0).unwrap();
    client.flush();
    wait_until("it is accepted", || client.status().ledger().accepted == 1);
    place.backup();
    drop(client);
    place.disaster(up);
    place.open_gate();
    let mut restore = place
        .command(&["restore", "backup", "--name", "next", "--keep", "--results", "out"])
        .spawn()
        .unwrap();
    wait_until("the task is done", || place.done() == once([1]));
    let dir = place.shm.path().join("coord-next");
    let mut client = None;
    wait_until("the fleet takes another client", || {
        client = Client::attach(&dir).ok();
        client.is_some()
    });
    goes_on(&mut client.unwrap());
    place.succeeds(&["stop", "next"]);
    assert_eq!(restore.wait().unwrap().code(), Some(0));
    assert_eq!(place.results("out").len(), 1);
}
