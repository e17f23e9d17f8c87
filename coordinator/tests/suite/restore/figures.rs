//! What a backup and a restore cost with tasks in flight. Small by default; the figures of the record:
//!
//!     RESTORE_COORDINATORS=7 RESTORE_WORKERS=100 cargo test --release -p coordinator --test restore figures -- \
//!         --nocapture

use super::fleet::{LONG, Place, text};
use crate::support::up::{Up, wait_until};
use coordinator::client::{Client, Task, WorkerRef};
use std::time::{Duration, Instant};

/// For each worker: one in hand, the others behind it.
const TASKS: u32 = 4;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

#[test]
fn figures_of_a_backup_and_a_restore() {
    let (coordinators, workers) = (number("RESTORE_COORDINATORS", 2), number("RESTORE_WORKERS", 5));
    let place = Place::new();
    let up = Up::start(place.shm.path(), coordinators, workers, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let shape = *client.shape();
    let agents = coordinators * workers;
    for number in 0..agents * TASKS {
        let body = place.gated(number.into());
        client.send(WorkerRef::nth(&shape, number % agents), Task::Exec(&body), LONG, 0).unwrap();
    }
    client.flush();
    wait_until("every agent has one in hand", || {
        let status = client.status();
        status.coordinators.iter().flat_map(|one| &one.workers).all(|worker| worker.task.is_some())
    });
    let begun = Instant::now();
    let said = place.succeeds(&["backup", "backup"]);
    let backup = begun.elapsed();
    drop(client);
    place.disaster(up);
    place.open_gate();
    let begun = Instant::now();
    let restored = place.coordinator(&["restore", "backup", "--results", "out"]);
    let all = begun.elapsed();
    assert_eq!(restored.status.code(), Some(0), "{}", text(&restored.stderr));
    assert_eq!(place.done().values().sum::<u32>(), agents * TASKS);
    println!("{} processes, {} tasks in flight", shape.processes(), agents * TASKS);
    print!("backup: {} in all\n{said}", seconds(backup));
    println!("restore: {} until the last of these commands had ended", seconds(all));
    print!("{}", text(&restored.stderr));
}
