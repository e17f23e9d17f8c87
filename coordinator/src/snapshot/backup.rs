//! Backs up a running fleet at one moment: pauses its coordinators, copies their tables, and lets them go on.
//!
//! Workers go on meanwhile; their answers wait in their rings. The cut is the same for all: each coordinator has taken
//! what its client had sent, and has paused before the first table is read.
//!
//! Tasks that a client itself holds back are in no region, and so in no backup: a journal has them.

use super::Snapshot;
use super::record::{Counters, DeadLetter, Header, Kind};
use crate::bus::directory::{control_path, region_path};
use crate::bus::error::BusError;
use crate::bus::slot::{Life, Stage};
use crate::bus::sync::{AtomicU64, Ordering, full_fence};
use crate::bus::view::{Control, Region};
use crate::client::left::unanswered;
use crate::client::operator::OperatorLock;
use crate::os::clock::{now_ns, unix_ns};
use crate::os::identity::Identity;
use crate::wire::TaskId;
use crate::wire::place::PlaceId;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

mod contents;

pub use super::header::header_of;

/// How often it is checked whether all coordinators have paused.
const LOOK: Duration = Duration::from_micros(200);
/// The fleet runs for this long before it is read once more, and twice as long each further time,
const AGAIN_FIRST: Duration = Duration::from_millis(5);
/// up to this.
const AGAIN_MAX: Duration = Duration::from_millis(500);
/// Coordinators that have not paused are woken again after this many checks.
const REMIND: u32 = 500;

#[derive(Debug, Error)]
pub enum BackupError {
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Coordinators by number.
    #[error("{} did not pause within {patience:?}", names(.running))]
    NotPaused { running: Vec<u32>, patience: Duration },
    #[error("the fleet ended before it could be read")]
    Ended,
}

impl BackupError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotPaused { .. } => {
                "`coordinator status` shows their state; continue a stopped one with `kill -CONT PID`, or kill it: it is \
                 replaced then"
            }
            Self::Bus(_) | Self::Ended => "",
        }
    }
}

fn names(coordinators: &[u32]) -> String {
    let all: Vec<String> =
        coordinators.iter().map(|index| PlaceId::Coordinator(*index).to_string()).collect();
    all.join(", ")
}

/// A backup of a fleet.
#[derive(Debug)]
pub struct Taken {
    pub snapshot: Snapshot,
    /// How long the coordinators were paused, at most.
    pub paused: Duration,
    /// Damaged entries, which are not in the backup.
    pub damaged: u32,
    /// At least this many tasks are held by the client alone, and are not in the backup.
    pub with_client: u32,
}

/// Backs up the fleet of which this process is the operator. Its coordinators have `patience` to pause.
///
/// # Errors
/// Coordinators do not pause, the fleet ends, or its shared memory cannot be read.
pub fn take(lock: &OperatorLock, name: &str, patience: Duration) -> Result<Taken, BackupError> {
    let control = lock.control();
    let begun = Instant::now();
    let mut regions = Regions { lock, found: vec![None; control.shape().coordinators() as usize] };
    let mut again = AGAIN_FIRST;
    loop {
        let (pause, epochs) = (Pause::raise(control), regions.epochs()?);
        wait(control, &pause, begun, patience)?;
        let moves = moves(control);
        let (snapshot, damaged, with_client) = copy(lock, name, &mut regions)?;
        // What was read was read before the epochs and the pause are looked at again.
        full_fence();
        // A successor that came meanwhile has another epoch: then its predecessor's pause does not count.
        let held = pause.is_raised() && regions.epochs()? == epochs;
        // A task that was handed back during the read may have been missed at both coordinators.
        let is_moving = moves % 2 == 1 || self::moves(control) != moves;
        let with_client = with_client.max(u32::from(is_moving));
        let paused = pause.lower();
        let is_late = begun.elapsed() >= patience;
        // A task that was handed back to the client is at another coordinator once that has taken it.
        if held && (with_client == 0 || is_late) {
            return Ok(Taken { snapshot, paused, damaged, with_client });
        }
        if is_late {
            return Err(BackupError::NotPaused { running: regions.others(&epochs)?, patience });
        }
        std::thread::sleep(again);
        again = AGAIN_MAX.min(2 * again);
    }
}

/// See `FleetState::client_moves`. Even if there is no client.
fn moves(control: &Control) -> u32 {
    let state = control.state();
    let client = Identity {
        pid: state.client_pid.load(Ordering::Acquire),
        start_ticks: state.client_start.load(Ordering::Acquire),
    };
    let moves = state.client_moves.load(Ordering::Acquire);
    if moves % 2 == 1 && (client.pid == 0 || client.is_gone()) { moves.wrapping_add(1) } else { moves }
}

/// Pauses the coordinators until it is dropped.
struct Pause<'a> {
    control: &'a Control,
    ticket: u32,
    since_ns: u64,
}

impl<'a> Pause<'a> {
    fn raise(control: &'a Control) -> Self {
        let orders = control.orders();
        // A number that no coordinator can still show from an earlier pause.
        let shown = (0..control.shape().coordinators())
            .map(|index| control.coordinator(index).own.paused.load(Ordering::Acquire))
            .chain([orders.pause.load(Ordering::Acquire)]);
        let ticket = shown.max().unwrap_or(0).wrapping_add(1).max(1);
        let own = Identity::own();
        orders.pause_pid.store(own.pid, Ordering::Relaxed);
        orders.pause_start.store(own.start_ticks, Ordering::Relaxed);
        orders.pause.store(ticket, Ordering::Release);
        let pause = Self { control, ticket, since_ns: now_ns() };
        pause.wake_all();
        pause
    }

    fn wake_all(&self) {
        for index in 0..self.control.shape().coordinators() {
            self.control.coordinator(index).bell.wake();
        }
    }

    /// False if a coordinator has ended the pause, because it took its operator for dead.
    fn is_raised(&self) -> bool {
        self.control.orders().pause.load(Ordering::Acquire) == self.ticket
    }

    /// Coordinators that may still change something.
    fn running(&self) -> Vec<u32> {
        (0..self.control.shape().coordinators())
            .filter(|index| {
                let entry = self.control.coordinator(*index);
                match entry.process.life() {
                    Life::Absent | Life::Dead | Life::Stopped => false,
                    Life::Starting | Life::Replacing => true,
                    Life::Live => entry.own.paused.load(Ordering::Acquire) != self.ticket,
                }
            })
            .collect()
    }

    fn lower(self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.since_ns))
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let pause = &self.control.orders().pause;
        let _ = pause.compare_exchange(self.ticket, 0, Ordering::AcqRel, Ordering::Relaxed);
        self.wake_all();
    }
}

fn wait(control: &Control, pause: &Pause<'_>, begun: Instant, patience: Duration) -> Result<(), BackupError> {
    let mut looks = 0;
    loop {
        let running = pause.running();
        if running.is_empty() {
            return Ok(());
        }
        if control.owner().is_gone() && control.stage() != Stage::Ready {
            return Err(BackupError::Ended);
        }
        if begun.elapsed() >= patience {
            return Err(BackupError::NotPaused { running, patience });
        }
        looks += 1;
        if looks % REMIND == 0 {
            pause.wake_all();
        }
        std::thread::sleep(LOOK);
    }
}

/// The regions of the fleet, except those of coordinators that were never started.
struct Regions<'a> {
    lock: &'a OperatorLock,
    found: Vec<Option<Region>>,
}

impl Regions<'_> {
    fn each(&mut self) -> Result<Vec<(u32, Region)>, BusError> {
        let control = self.lock.control();
        let mut all = Vec::new();
        for (index, found) in (0..).zip(&mut self.found) {
            let path = region_path(self.lock.dir(), index);
            if found.is_none() && path.exists() {
                *found = Some(Region::attach(&path, control.stamped(), index)?);
            }
            all.extend(found.map(|region| (index, region)));
        }
        Ok(all)
    }

    /// The epoch of each region: the first word that a successor changes.
    fn epochs(&mut self) -> Result<Vec<(u32, u32)>, BusError> {
        let of = |region: &Region| region.state().epoch.load(Ordering::Acquire);
        Ok(self.each()?.iter().map(|(index, region)| (*index, of(region))).collect())
    }

    /// Coordinators whose epoch is not the one `before`.
    fn others(&mut self, before: &[(u32, u32)]) -> Result<Vec<u32>, BusError> {
        let now = self.epochs()?;
        Ok(now.into_iter().filter(|one| !before.contains(one)).map(|(index, _)| index).collect())
    }
}

/// A fleet that was backed up, looked at once more: whose results are still to be written.
#[derive(Debug)]
pub struct Unwritten {
    dir: PathBuf,
    regions: Vec<Region>,
}

impl Unwritten {
    /// # Errors
    /// The fleet cannot be read.
    pub fn of(dir: &Path) -> Result<Self, BusError> {
        let control = Control::attach(&control_path(dir))?;
        let region = |index: u32| {
            let path = region_path(dir, index);
            path.exists().then(|| Region::attach(&path, control.stamped(), index))
        };
        let regions: Result<_, _> = (0..control.shape().coordinators()).filter_map(region).collect();
        Ok(Self { dir: dir.to_owned(), regions: regions? })
    }

    /// The tasks that no client has taken the answer of, or that a client has not noted as written; `None` if that cannot be
    /// found out.
    pub fn tasks(&self) -> Option<HashSet<TaskId>> {
        let mut found = HashSet::new();
        for region in &self.regions {
            found.extend(unanswered(*region).ok()?);
        }
        // After the regions: a client notes a task of an earlier one before it acknowledges the answer.
        found.extend(super::clients::unwritten_in(&self.dir).ok()?);
        Some(found)
    }
}

/// Copies the fleet. Also returns how many entries were damaged, and how many tasks only the client has.
fn copy(
    lock: &OperatorLock,
    name: &str,
    regions: &mut Regions<'_>,
) -> Result<(Snapshot, u32, u32), BackupError> {
    let control = lock.control();
    let stamped = control.stamped();
    let options = control.options();
    let header = Header::new(Kind::Backup, name, &stamped.shape, &options, stamped.epoch, unix_ns());
    let mut read = contents::Contents::default();
    // Read twice, since the client goes on: what it ends in between is named at first, what it had just sent at last.
    let mut names = super::clients::left_in(lock.dir());
    let mut snapshot =
        Snapshot { header, counters: Vec::new(), tasks: Vec::new(), untold: Vec::new(), dead: Vec::new() };
    let (mut coordinators, mut workers) = (0, 0);
    for (index, region) in regions.each()? {
        snapshot.counters.push(counters(index, &region));
        read.region(index, &region);
        let entry = control.coordinator(index);
        if !matches!(entry.process.life(), Life::Absent | Life::Stopped) {
            coordinators += 1;
            let lives =
                |number: &u32| !matches!(region.worker(*number).process.life(), Life::Absent | Life::Stopped);
            let here = (0..stamped.shape.workers_per_coordinator()).filter(lives).count() as u32;
            workers = workers.max(here);
        }
    }
    snapshot.header.coordinators = coordinators.max(1);
    snapshot.header.workers = workers.max(1);
    let (damaged, with_client) = (read.damaged, read.with_client);
    (snapshot.tasks, snapshot.untold, snapshot.dead) = read.deduplicated();
    names.extend(super::clients::left_in(lock.dir()));
    super::clients::name(&mut snapshot, names);
    Ok((snapshot, damaged, with_client))
}

fn counters(coordinator: u32, region: &Region) -> Counters {
    let counters = region.counters();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let answered = read(&counters.answered).saturating_add(read(&counters.failed_tasks));
    let (failed, returned) = (read(&counters.failed), read(&counters.returned));
    let accepted = read(&counters.accepted);
    Counters {
        coordinator,
        epoch: region.state().epoch.load(Ordering::Acquire),
        accepted,
        answered,
        failed,
        returned,
        in_flight: accepted.saturating_sub(answered).saturating_sub(failed).saturating_sub(returned),
        late: read(&counters.late),
        duplicates: read(&counters.duplicates),
    }
}
