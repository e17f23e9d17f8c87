//! A kill at every step: the n-th successor is killed at its n-th change of shared memory, so one fleet
//! that lives through n deaths has been killed once at each of the first n instructions that anybody
//! else can see: of a takeover, and then of everything that a coordinator or a worker does.
//!
//!     STEPS=3000 cargo test -p coordinator --features kill-points --test recovery steps

use super::outcomes::{Outcomes, assert_balanced};
use super::{LONG, Up, is_empty, kill, shm, wait_until, worker};
use coordinator::client::status::{FleetStatus, ProcessStatus};
use coordinator::client::{Client, Identity, Task, now_ns};
use nix::sys::signal::Signal;
use std::time::Duration;

const STEPS: u32 = 600;
const WATCHDOG: Duration = Duration::from_secs(60);

/// What a task carries: 5 words and a bit.
fn content(tag: u64) -> Vec<u8> {
    (0..43).map(|at| (tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at % 8)) as u8 ^ at as u8).collect()
}

/// Keeps a small fleet at work until whoever is `watched` has died so often; what it went through.
fn live_through(who: &str, watched: impl Fn(&FleetStatus) -> ProcessStatus) -> String {
    let steps = std::env::var("STEPS").ok().map_or(STEPS, |text| text.parse().expect("a number"));
    let shm = shm();
    let shape = ["--depth", "2", "--payload-max", "64"];
    let policy = ["--restarts-max", "1000000", "--attempts-max", "255", "--kill-at-each-step", who];
    let up = Up::start(shm.path(), 1, 2, &[&shape[..], &policy[..]].concat());
    let mut client = Client::attach(&up.dir).unwrap();
    kill(watched(&client.status()).identity(), Signal::SIGKILL);
    let mut outcomes = Outcomes::default();
    let (mut sent, mut answered, mut seen, mut seen_ns) = (0, 0, 0, now_ns());
    let mut check = |outcomes: &mut Outcomes| {
        for (tag, came) in std::mem::take(&mut outcomes.all) {
            assert!(came.unwrap().body == content(tag), "task {tag}: other bytes");
            answered += 1;
        }
        answered
    };
    while seen <= steps {
        for n in 0..2 {
            if client.send(worker(0, n), Task::Echo(&content(sent)), LONG, sent).is_ok() {
                sent += 1;
            }
        }
        client.flush();
        client.wait(Duration::from_micros(300));
        outcomes.take(&mut client);
        check(&mut outcomes);
        let process = watched(&client.status());
        if process.deaths > seen {
            (seen, seen_ns) = (process.deaths, now_ns());
        }
        assert!(now_ns() - seen_ns < WATCHDOG.as_nanos() as u64, "stuck: {:#?}", client.status());
    }
    wait_until("every task has its outcome", || {
        outcomes.take(&mut client);
        check(&mut outcomes) == sent
    });
    // Between a death and its successor the books are those of the dead.
    wait_until("the books agree", || client.ledger() == client.status().ledger());
    assert_balanced(&client);
    let everyone: Vec<Identity> = up.identities();
    assert_eq!(up.stop(), Some(0));
    assert!(everyone.iter().all(Identity::is_gone));
    assert!(is_empty(shm.path()));
    format!("{who}: {seen} deaths, each a step later than the one before; {sent} tasks, each answered once")
}

#[test]
fn a_coordinator_killed_at_any_step_loses_nothing() {
    println!("{}", live_through("coordinators", |status| status.coordinators[0].process.clone()));
}

#[test]
fn a_worker_killed_at_any_step_loses_nothing() {
    println!("{}", live_through("workers", |status| status.coordinators[0].workers[0].process.clone()));
}
