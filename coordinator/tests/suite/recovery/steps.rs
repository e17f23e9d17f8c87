//! A kill at every step: the n-th successor is killed at its n-th change of shared memory, so one fleet
//! that lives through n deaths has been killed once at each of the first n instructions that any process
//! else can see: of a takeover, and then of everything that a coordinator or a worker does.
//!
//!     STEPS=4000 cargo test -p coordinator --features kill-points --test recovery steps -- --nocapture

use super::{Up, is_empty, kill, shm, wait_until, worker};
use crate::support::outcomes::{Outcomes, assert_balanced};
use coordinator::client::status::{FleetStatus, ProcessStatus};
use coordinator::client::{Client, Identity, Task, now_ns};
use coordinator::wire::command_body;
use nix::sys::signal::Signal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const STEPS: u32 = 600;
/// What is lost is missed after this long, and its coordinator's grace.
const TIMEOUT: Duration = Duration::from_secs(20);
const WATCHDOG: Duration = Duration::from_secs(60);

/// What a task carries: 5 words and a bit.
fn content(tag: u64) -> Vec<u8> {
    (0..43).map(|at| (tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at % 8)) as u8 ^ at as u8).collect()
}

/// A fleet of two workers that is killed again and again.
struct Trial {
    /// `coordinators` or `workers`.
    who: &'static str,
    watched: fn(&FleetStatus) -> &ProcessStatus,
    /// One task in so many is a command: its answer is not the task once more.
    commands: u64,
    steps: u32,
    timeout: Duration,
    plant: Option<&'static str>,
}

impl Trial {
    fn of(who: &'static str) -> Self {
        let steps = std::env::var("STEPS").ok().map_or(STEPS, |text| text.parse().expect("a number"));
        let watched: fn(&FleetStatus) -> &ProcessStatus = if who == "workers" {
            |status| &status.coordinators[0].workers[0].process
        } else {
            |status| &status.coordinators[0].process
        };
        Self { who, watched, commands: 16, steps, timeout: TIMEOUT, plant: None }
    }

    fn send(&self, client: &mut Client, to: u32, tag: u64) -> bool {
        let sent = if tag.is_multiple_of(self.commands) {
            let command = command_body(&["/bin/echo", &tag.to_string()]).unwrap();
            client.send(worker(0, to), Task::Exec(&command), self.timeout, tag)
        } else {
            client.send(worker(0, to), Task::Echo(&content(tag)), self.timeout, tag)
        };
        sent.is_ok()
    }

    /// Panics unless each is there with its own content; how many there were.
    fn check(&self, outcomes: &mut Outcomes) -> u64 {
        let all = std::mem::take(&mut outcomes.all);
        let count = all.len() as u64;
        for (tag, came) in all {
            let wanted = if tag.is_multiple_of(self.commands) {
                format!("{tag}\n").into_bytes()
            } else {
                content(tag)
            };
            match came {
                Ok(came) => assert!(came.body == wanted, "task {tag}: other bytes"),
                Err(why) => panic!("task {tag} failed: {why}"),
            }
        }
        count
    }

    /// Keeps the fleet at work until the watched process has died so often; what it went through.
    fn live_through(&self) -> String {
        let shm = shm();
        let shape = ["--depth", "2", "--payload-max", "64"];
        let policy = ["--restarts-max", "1000000", "--attempts-max", "255", "--kill-at-each-step", self.who];
        let pauses = ["--backoff", "1ms", "--backoff-max", "1ms"];
        let plant: Vec<&str> = self.plant.map_or(Vec::new(), |bug| vec!["--plant", bug]);
        let up = Up::start(shm.path(), 1, 2, &[&shape[..], &policy[..], &pauses[..], &plant[..]].concat());
        let mut client = Client::attach(&up.dir).unwrap();
        kill((self.watched)(&client.status()).identity(), Signal::SIGKILL);
        let mut outcomes = Outcomes::default();
        let (mut sent, mut answered, mut seen, mut seen_ns) = (0, 0, 0, now_ns());
        while seen <= self.steps {
            for to in 0..2 {
                sent += u64::from(self.send(&mut client, to, sent));
            }
            client.flush();
            client.wait(Duration::from_micros(300));
            outcomes.take(&mut client);
            answered += self.check(&mut outcomes);
            let deaths = (self.watched)(&client.status()).deaths;
            if deaths > seen {
                (seen, seen_ns) = (deaths, now_ns());
            }
            let stuck = now_ns() - seen_ns > WATCHDOG.as_nanos() as u64;
            assert!(!stuck, "stuck: {:#?}", client.status());
        }
        wait_until("every task has its outcome", || {
            outcomes.take(&mut client);
            answered += self.check(&mut outcomes);
            answered == sent
        });
        // Between a death and its successor the books are those of the dead.
        wait_until("the books agree", || client.ledger() == client.status().ledger());
        assert_balanced(&client);
        let everyone: Vec<Identity> = up.identities();
        assert_eq!(up.stop(), Some(0));
        assert!(everyone.iter().all(Identity::is_gone));
        assert!(is_empty(shm.path()));
        format!(
            "{}: {seen} deaths, each a step later than the one before; {sent} tasks, each answered once",
            self.who
        )
    }
}

#[test]
fn a_coordinator_killed_at_any_step_loses_nothing() {
    println!("{}", Trial::of("coordinators").live_through());
}

#[test]
fn a_worker_killed_at_any_step_loses_nothing() {
    println!("{}", Trial::of("workers").live_through());
}

/// An attempt is one process that began the task: deaths of coordinators alone cost none.
#[test]
fn a_task_that_was_not_begun_again_has_lost_no_attempt_however_often_its_coordinator_dies() {
    let shm = shm();
    let policy =
        ["--restarts-max", "1000000", "--attempts-max", "255", "--kill-at-each-step", "coordinators"];
    let up = Up::start(shm.path(), 1, 1, &[&["--depth", "1"][..], &policy[..]].concat());
    let mut client = Client::attach(&up.dir).unwrap();
    client.send(worker(0, 0), Task::Sleep(Duration::from_millis(300)), TIMEOUT, 0).unwrap();
    client.flush();
    let place = |client: &Client| client.status().coordinators[0].workers[0].clone();
    wait_until("it is in hand", || place(&client).task.is_some());
    kill(client.status().coordinators[0].process.identity(), Signal::SIGKILL);
    let outcomes = Outcomes::wait_for(&mut client, 1);
    let (status, attempt) = (client.status(), outcomes.attempt(0));
    let (deaths, begun) = (status.coordinators[0].process.deaths, place(&client).process.incarnation);
    println!("{deaths} deaths of the coordinator, {begun} workers, attempt {attempt}");
    // Fewer than there were workers: some died before they began.
    assert!(u32::from(attempt) <= begun, "attempt {attempt} of {begun} workers");
    assert_eq!(up.stop(), Some(0));
}

/// A worker that is killed anywhere after it began a task has used up an attempt: a command runs as
/// often as its answer says, or less often.
#[test]
fn no_command_runs_more_often_than_its_attempts_say() {
    let shm = shm();
    let policy = ["--restarts-max", "1000000", "--attempts-max", "255", "--kill-at-each-step", "workers"];
    let pauses = ["--backoff", "1ms", "--backoff-max", "1ms"];
    let up = Up::start(shm.path(), 1, 1, &[&["--depth", "1"][..], &policy[..], &pauses[..]].concat());
    let mut client = Client::attach(&up.dir).unwrap();
    let first = client.status().coordinators[0].workers[0].process.identity();
    kill(first, Signal::SIGKILL);
    let ran = shm.path().join("ran");
    let mut attempts = Vec::new();
    while client.status().coordinators[0].workers[0].process.deaths < 120 {
        let tag = attempts.len() as u64;
        let script = format!("echo {tag} >> {}", ran.display());
        let command = command_body(&["/bin/sh", "-c", &script]).unwrap();
        client.send(worker(0, 0), Task::Exec(&command), TIMEOUT, tag).unwrap();
        client.flush();
        attempts.push(Outcomes::wait_for(&mut client, 1).attempt(tag));
    }
    let ran_as = std::fs::read_to_string(&ran).unwrap();
    std::fs::remove_file(ran).unwrap();
    for (tag, attempt) in attempts.iter().enumerate() {
        let times = ran_as.lines().filter(|line| *line == tag.to_string()).count();
        assert!(
            (1..=usize::from(*attempt)).contains(&times),
            "task {tag} ran {times} times, attempt {attempt}"
        );
    }
    assert_eq!(up.stop(), Some(0));
}

/// A fleet that makes a mistake on purpose does not live through it.
fn is_found(bug: &'static str, commands: u64) {
    // Enough for many rounds of everything, and not so long that the loss is waited for.
    let trial = Trial {
        commands,
        steps: 2000,
        timeout: Duration::from_secs(1),
        plant: Some(bug),
        ..Trial::of("coordinators")
    };
    // The same without it does: what is found is the mistake, and not a slow machine.
    let control = Trial { plant: None, steps: 300, ..trial };
    assert!(control.live_through().contains("each answered once"));
    let lived = catch_unwind(AssertUnwindSafe(|| trial.live_through()));
    let why = lived.expect_err("a mistake that no kill shows");
    let why = why.downcast_ref::<String>().map_or("", String::as_str);
    assert!(why.starts_with("task "), "{bug}: {why}");
}

#[test]
fn an_entry_freed_before_its_answer_is_told_is_found() {
    is_found("FreeBeforeTold", 16);
}

#[test]
fn a_record_acknowledged_before_it_is_in_the_table_is_found() {
    is_found("AcknowledgeBeforeTable", 16);
}

#[test]
fn leases_decided_before_the_answers_are_taken_are_found() {
    is_found("LeasesBeforeAnswers", 1);
}
