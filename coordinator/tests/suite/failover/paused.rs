//! Coordinators that stand still for a backup.

use super::{Fleet, Load, shm, slay, wait_until};
use coordinator::bus::slot::Life;
use coordinator::bus::sync::Ordering;
use coordinator::client::Identity;
use std::time::{Duration, Instant};

/// What is not looked at during the pause must not keep it awake.
#[test]
fn a_worker_that_dies_in_a_pause_costs_its_coordinator_no_time_until_it_is_replaced() {
    let shm = shm();
    let fleet = Fleet::start(shm.path(), 1, 2, &[]);
    let own = &fleet.control.coordinator(0).own;
    let (orders, operator) = (fleet.control.orders(), Identity::own());
    orders.pause_pid.store(operator.pid, Ordering::Relaxed);
    orders.pause_start.store(operator.start_ticks, Ordering::Relaxed);
    orders.pause.store(7, Ordering::Release);
    wait_until("it stands still", || own.paused.load(Ordering::Acquire) == 7);
    let victim = fleet.up.identities()[2];
    slay(victim);
    let (begun, before) = (Instant::now(), own.beat.load(Ordering::Relaxed));
    wait_until("some time has gone by", || begun.elapsed() > Duration::from_millis(500));
    // Each time that it wakes up counts: ten a second, however slow the machine is.
    let woken = own.beat.load(Ordering::Relaxed) - before;
    assert!(u128::from(woken) <= 10 + begun.elapsed().as_millis() / 50, "{woken}");
    orders.pause.store(0, Ordering::Release);
    wait_until("another process is there", || {
        fleet.workers() == [2] && !fleet.up.identities().contains(&victim)
    });
    assert_eq!(fleet.control.coordinator(0).process.life(), Life::Live);
    let mut load = Load::on(&fleet.up.dir, 10, Duration::from_millis(2));
    load.answers(20);
    load.end_whole();
    fleet.stop(shm.path());
}
