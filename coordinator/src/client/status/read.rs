//! From shared words to a status.

use super::open::{Open, open};
use super::{
    Capacity, CoordinatorStatus, Counts, Death, FleetStatus, Holder, ProcessStatus, Wanted, WorkerStatus,
    stopped::stopped, stuck,
};
use crate::bus::directory::{control_path, region_path};
use crate::bus::error::{BusError, Cause};
use crate::bus::slot::{Counters, DeadLetterState, Life, ProcessCell, Stage};
use crate::bus::sync::{AtomicU32, AtomicU64, Ordering};
use crate::bus::view::{Control, Region};
use crate::client::Ledger;
use crate::os::clock::{now_ns, since_boot_ns};
use crate::os::identity::Identity;
use crate::process::reap::HowEnded;
use crate::wire::place::PlaceId;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A process that writes a time while the status is read may be ahead of it by this much.
const LATE_NS: u64 = 1_000_000_000;

/// Reads a fleet again and again, without becoming its client.
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    control: Control,
    regions: Vec<Option<Region>>,
}

impl Watch {
    pub fn attach(dir: &Path) -> Result<Self, BusError> {
        let control = Control::attach(&control_path(dir))?;
        let mut watch = Self {
            dir: dir.to_owned(),
            control,
            regions: vec![None; control.shape().coordinators() as usize],
        };
        watch.look()?;
        Ok(watch)
    }

    /// Maps the regions that have come since.
    pub(crate) fn look(&mut self) -> Result<(), BusError> {
        for (region, index) in self.regions.iter_mut().zip(0..) {
            if region.is_none() {
                *region = region_of(&self.dir, &self.control, index)?;
            }
        }
        Ok(())
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Of the coordinators that have ever lived.
    pub(crate) fn regions(&self) -> impl Iterator<Item = (u32, Region)> + use<'_> {
        (0..).zip(&self.regions).filter_map(|(index, region)| Some((index, (*region)?)))
    }

    /// The status now.
    pub fn read(&mut self) -> Result<FleetStatus, BusError> {
        self.look()?;
        Ok(read(&self.control, |index| self.regions[index as usize]))
    }

    /// True when the fleet has stopped, or every process that could continue it is gone.
    pub fn has_ended(&self) -> bool {
        let control = &self.control;
        if control.stage() == Stage::Stopped {
            return true;
        }
        // Coordinators may continue without a supervisor until another one adopts them.
        control.owner().is_gone()
            && (0..control.shape().coordinators()).all(|index| {
                let cell = &control.coordinator(index).process;
                let identity = Identity {
                    pid: cell.pid.load(Ordering::Acquire),
                    start_ticks: cell.start_ticks.load(Ordering::Acquire),
                };
                matches!(cell.life(), Life::Absent | Life::Dead | Life::Stopped) || identity.is_gone()
            })
    }
}

/// `None` where no coordinator has ever lived.
fn region_of(dir: &Path, control: &Control, index: u32) -> Result<Option<Region>, BusError> {
    let attach = || Region::attach(&region_path(dir, index), control.stamped(), index);
    let is_absent = |error: &BusError| matches!(error, BusError::Kernel { cause: Cause::Absent, .. });
    match attach() {
        Ok(region) => Ok(Some(region)),
        Err(error) if is_absent(&error) => {
            if control.coordinator(index).process.incarnation.load(Ordering::Acquire) == 0 {
                return Ok(None);
            }
            // It was created in the meantime, or the fleet is gone.
            attach().map(Some)
        }
        Err(error) => Err(error),
    }
}

/// Reads the status of the fleet in `dir`, without becoming its client.
pub fn of(dir: &Path) -> Result<FleetStatus, BusError> {
    Watch::attach(dir)?.read()
}

/// `region` gives the region of a coordinator, if there is one.
pub(crate) fn read(control: &Control, region: impl Fn(u32) -> Option<Region>) -> FleetStatus {
    let now = now_ns();
    let mut coordinators = Vec::new();
    let mut stuck = Vec::new();
    let (mut ledger, mut counts) = (Ledger::default(), Counts::default());
    for index in 0..control.shape().coordinators() {
        let region = region(index);
        let tasks = region.map(open).unwrap_or_default();
        let coordinator = coordinator(control, region, index, &tasks, now);
        stuck::look(&mut stuck, &coordinator, &tasks, now);
        ledger += coordinator.ledger;
        counts += coordinator.counts;
        coordinators.push(coordinator);
    }
    stuck.sort_by_key(|stuck| std::cmp::Reverse(stuck.for_ns));
    let (state, orders, shape) = (control.state(), control.orders(), control.shape());
    let nonzero = |word: &AtomicU32| Some(word.load(Ordering::Acquire)).filter(|count| *count > 0);
    FleetStatus {
        stage: control.stage(),
        started_unix_ns: control.stamped().created_unix_ns,
        read_ns: now,
        capacity: Capacity {
            coordinators: shape.coordinators(),
            workers: shape.workers_per_coordinator(),
            payload_max: shape.payload_max(),
            depth: shape.depth(),
        },
        supervisor: supervisor(control),
        deaths: control.deaths(),
        client: holder(&state.client_pid, &state.client_start),
        pause: paused_by(control),
        wanted: Wanted { coordinators: nonzero(&orders.coordinators), workers: nonzero(&orders.workers) },
        ledger,
        counts,
        coordinators,
        stuck,
    }
}

/// The operator that has paused the coordinators.
pub(crate) fn paused_by(control: &Control) -> Option<Holder> {
    let orders = control.orders();
    let is_paused = orders.pause.load(Ordering::Acquire) != 0;
    is_paused.then(|| holder(&orders.pause_pid, &orders.pause_start)).flatten()
}

fn holder(pid: &AtomicU32, start: &AtomicU64) -> Option<Holder> {
    let identity = Identity { pid: pid.load(Ordering::Acquire), start_ticks: start.load(Ordering::Acquire) };
    (identity.pid > 0).then(|| Holder {
        pid: identity.pid,
        start_ticks: identity.start_ticks,
        alive: identity.is_alive(),
    })
}

fn supervisor(control: &Control) -> ProcessStatus {
    let owner = control.owner();
    let life = if owner.is_gone() { Life::Dead } else { Life::Live };
    let supervisors = control.state().supervisors.load(Ordering::Acquire).max(1);
    ProcessStatus {
        place: PlaceId::Supervisor,
        pid: owner.pid,
        start_ticks: owner.start_ticks,
        up_ns: (life == Life::Live).then(|| up_ns(owner.start_ticks)),
        life,
        ended: None,
        incarnation: supervisors,
        // A supervisor takes over only from one that has died.
        deaths: supervisors - 1,
        last_death: None,
        suspected_ns: None,
        retiring: false,
    }
}

fn process(place: PlaceId, cell: &ProcessCell) -> ProcessStatus {
    // First of all: the deaths of all processes before this one are counted below.
    let Identity { pid, start_ticks } = cell.identity();
    let life = cell.life();
    let deaths = cell.deaths.load(Ordering::Acquire);
    let ended = matches!(life, Life::Dead | Life::Stopped)
        .then(|| HowEnded::from_raw(cell.wait_status.load(Ordering::Relaxed)).in_fleet().to_string());
    ProcessStatus {
        place,
        pid,
        start_ticks,
        up_ns: (life == Life::Live).then(|| up_ns(start_ticks)),
        life,
        ended,
        incarnation: cell.incarnation.load(Ordering::Acquire),
        deaths,
        last_death: (deaths > 0).then(|| last_death(cell)),
        suspected_ns: None,
        retiring: false,
    }
}

/// How long ago a process began, from the ticks since boot that `/proc` gives.
fn up_ns(start_ticks: u64) -> u64 {
    let a_tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    since_boot_ns().saturating_sub(start_ticks.saturating_mul(a_tick_ns))
}

/// Times that cannot be were overwritten: nothing is seen before it happens.
fn last_death(cell: &ProcessCell) -> Death {
    let now = now_ns();
    let seen_ns = cell.dead_seen_ns.load(Ordering::Acquire).min(now);
    let since =
        |at: &AtomicU64| Some(at.load(Ordering::Acquire)).filter(|at_ns| (seen_ns..=now).contains(at_ns));
    Death {
        pid: cell.dead_pid.load(Ordering::Relaxed),
        start_ticks: cell.dead_start.load(Ordering::Relaxed),
        how: HowEnded::from_raw(cell.dead_status.load(Ordering::Relaxed)).in_fleet().to_string(),
        seen_ns,
        attached_ns: since(&cell.attached_ns),
        recovered_ns: since(&cell.recovered_ns),
    }
}

fn suspected(since: &AtomicU64, now: u64) -> Option<u64> {
    let since_ns = since.load(Ordering::Acquire);
    (1..=now).contains(&since_ns).then(|| now - since_ns)
}

fn coordinator(
    control: &Control,
    region: Option<Region>,
    index: u32,
    tasks: &[Open],
    now: u64,
) -> CoordinatorStatus {
    let entry = control.coordinator(index);
    let mut process = process(PlaceId::Coordinator(index), &entry.process);
    process.suspected_ns = suspected(&entry.suspected_ns, now);
    process.retiring = entry.retire.load(Ordering::Acquire) > 0;
    let places = if region.is_some() { control.shape().workers_per_coordinator() } else { 0 };
    // By worker and sequence.
    let in_hand = tasks.iter().filter_map(|open| Some(((open.leased_to?, open.task.id.sequence), open)));
    let in_hand: HashMap<_, _> = in_hand.collect();
    let workers: Vec<_> = region
        .iter()
        .flat_map(|region| (0..places).map(|number| worker(region, index, number, &in_hand, now)))
        .collect();
    let count =
        |of: &dyn Fn(&WorkerStatus) -> bool| workers.iter().filter(|worker| of(worker)).count() as u32;
    let counters = region.as_ref().map(Region::counters);
    let read =
        |of: fn(&Counters) -> &AtomicU64| counters.map_or(0, |counters| of(counters).load(Ordering::Relaxed));
    CoordinatorStatus {
        epoch: region.map_or(0, |region| region.state().epoch.load(Ordering::Acquire)),
        ledger: region.as_ref().map(ledger).unwrap_or_default(),
        untold: region.and_then(|region| region.client_up().backlog().ok()).unwrap_or(0),
        requeued: read(|counters| &counters.requeued),
        fenced: read(|counters| &counters.fenced),
        damaged: read(|counters| &counters.damaged),
        counts: region.as_ref().map(counts).unwrap_or_default(),
        queued: tasks.iter().filter(|task| task.is_queued).count() as u32,
        live: count(&|worker| worker.process.is_live()),
        busy: count(&|worker| worker.process.is_live() && worker.task.is_some()),
        wanted: Some(control.workers_wanted(index)).filter(|wanted| *wanted > 0),
        paused: entry.own.paused.load(Ordering::Acquire) > 0,
        process,
        workers,
    }
}

/// In flight is what the other counts leave: no second count that could disagree.
fn ledger(region: &Region) -> Ledger {
    let counters = region.counters();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    // The ended tasks are read first: the other way round, a task that ends in between would be missing.
    let (well, failed_tasks) = (read(&counters.answered), read(&counters.failed_tasks));
    let (failed, returned) = (read(&counters.failed), read(&counters.returned));
    let answered = well.saturating_add(failed_tasks);
    let ended = answered.saturating_add(failed).saturating_add(returned);
    let accepted = read(&counters.accepted).max(ended);
    Ledger {
        accepted,
        answered,
        failed_tasks,
        failed,
        in_flight: accepted.saturating_sub(ended),
        returned,
        late: read(&counters.late),
        duplicates: read(&counters.duplicates),
    }
}

fn counts(region: &Region) -> Counts {
    let counters = region.counters();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let is_kept = |state: &AtomicU32| {
        DeadLetterState::from_raw(state.load(Ordering::Acquire))
            .is_some_and(|state| state != DeadLetterState::Empty)
    };
    Counts {
        retried: read(&counters.retried),
        cancelled: read(&counters.cancelled),
        revived: read(&counters.revived),
        dead_letters: read(&counters.dead_letters),
        dead_letters_kept: region.dead_letters().iter().filter(|letter| is_kept(&letter.state)).count()
            as u64,
        dead_letters_evicted: read(&counters.dead_letters_lost),
        hits: read(&counters.hits),
        misses: read(&counters.misses),
        refills: read(&counters.refills),
        recycled: read(&counters.recycled),
        poisoned: read(&counters.poisoned),
        hung: read(&counters.hung),
        healed: read(&counters.healed),
        refused_forks: read(&counters.refused),
        batches: read(&counters.batches),
        batched: read(&counters.batched),
    }
}

fn worker(
    region: &Region,
    coordinator: u32,
    number: u32,
    in_hand: &HashMap<(u32, u64), &Open>,
    now: u64,
) -> WorkerStatus {
    let slot = region.worker(number);
    let mut process = process(PlaceId::worker(coordinator, number), &slot.process);
    process.suspected_ns = suspected(&slot.orders.suspected_ns, now);
    process.retiring = slot.orders.retire.load(Ordering::Acquire) > 0;
    let progress_ns = slot.own.progress_ns.load(Ordering::Relaxed);
    let task = slot.own.task.load(Ordering::Acquire).checked_sub(1);
    let in_table = task.and_then(|sequence| in_hand.get(&(number, sequence)));
    // Written meanwhile, it may be a moment later than this look.
    let latest = now.saturating_add(LATE_NS);
    let idle_or_busy_ns = (1..=latest).contains(&progress_ns).then(|| now.saturating_sub(progress_ns));
    let command = Identity {
        pid: slot.own.command_pid.load(Ordering::Acquire),
        start_ticks: slot.own.command_start.load(Ordering::Relaxed),
    };
    let is_long = task.is_some() && idle_or_busy_ns > Some(stuck::LONG_NS);
    WorkerStatus {
        process,
        executed: slot.own.executed.load(Ordering::Relaxed),
        task,
        task_id: in_table.map(|open| open.task.id.to_string()),
        attempt: in_table.map(|open| open.attempt),
        idle_or_busy_ns,
        stopped: is_long.then(|| stopped(command)).flatten(),
    }
}
