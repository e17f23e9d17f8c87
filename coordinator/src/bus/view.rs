//! The files of a fleet, each with its parts by name.

mod noted;
mod workers;

use super::bitmap::ReadyBitmap;
use super::doorbell::Doorbell;
use super::error::BusError;
use super::events::EventCell;
use super::layout::{ControlLayout, RegionLayout, layout_hash};
use super::layout::{EVENTS, OPTIONS_WORDS};
use super::leak::leak;
use super::mapping::{Mapping, PrivateDir, read_head, read_head_in};
use super::ring::{Geometry, Ring};
use super::shape::FleetShape;
use super::slot::{
    CoordinatorEntry, Counters, DeadLetterEntry, FleetState, MAGIC, Orders, RegionState, Stage, Stamp,
    TableEntry, VERSION, WITHIN, WorkerSlot,
};
use super::sync::{AtomicU64, Ordering};
use super::written::{Foreign, STAMP_WORDS, WrittenStamp};
use crate::os::identity::{Identity, boot_id, namespace};
use std::ffi::OsStr;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The contents of a stamp, copied out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    pub owner: Identity,
    pub boot: u128,
    pub namespace: u64,
    pub epoch: u32,
    pub created_unix_ns: u64,
    pub shape: FleetShape,
    /// See [`Stamp::within`].
    pub within: [u64; WITHIN],
    layout: u64,
    file: u32,
}

impl Stamped {
    pub fn new(owner: Identity, created_unix_ns: u64, shape: FleetShape) -> Self {
        Self {
            owner,
            boot: boot_id(),
            namespace: namespace(),
            epoch: 1,
            created_unix_ns,
            shape,
            within: [0; WITHIN],
            layout: layout_hash(&shape),
            file: 0,
        }
    }

    fn write(&self, to: &Stamp, file: u32) {
        let relaxed = Ordering::Relaxed;
        to.layout.store(self.layout, relaxed);
        to.boot[0].store((self.boot >> 64) as u64, relaxed);
        to.boot[1].store(self.boot as u64, relaxed);
        to.created_unix_ns.store(self.created_unix_ns, relaxed);
        to.owner_start.store(self.owner.start_ticks, relaxed);
        to.owner_namespace.store(self.namespace, relaxed);
        to.owner_pid.store(self.owner.pid, relaxed);
        to.version.store(VERSION, relaxed);
        to.epoch.store(self.epoch, relaxed);
        to.coordinators.store(self.shape.coordinators(), relaxed);
        to.workers.store(self.shape.workers_per_coordinator(), relaxed);
        to.payload_max.store(self.shape.payload_max(), relaxed);
        to.depth.store(self.shape.depth(), relaxed);
        to.file.store(file, relaxed);
        for (word, outer) in to.within.iter().zip(self.within) {
            word.store(outer, relaxed);
        }
        // Last, so that a stamp is there whole or not at all.
        to.magic.store(MAGIC, Ordering::Release);
    }

    fn read(from: &Stamp, path: &Path) -> Result<Self, BusError> {
        if from.magic.load(Ordering::Acquire) != MAGIC {
            return Err(BusError::refused(path, "it is not a file of a fleet"));
        }
        let relaxed = Ordering::Relaxed;
        let version = from.version.load(relaxed);
        if version != VERSION {
            return Err(BusError::refused(
                path,
                format!("its layout has version {version}, this build knows {VERSION}"),
            ));
        }
        let shape = FleetShape::new(
            from.coordinators.load(relaxed),
            from.workers.load(relaxed),
            from.payload_max.load(relaxed),
            from.depth.load(relaxed),
        )
        .map_err(|error| BusError::refused(path, error.to_string()))?;
        let layout = from.layout.load(relaxed);
        if layout != layout_hash(&shape) {
            return Err(BusError::refused(path, "another build of this program made it"));
        }
        Ok(Self {
            owner: Identity {
                pid: from.owner_pid.load(relaxed),
                start_ticks: from.owner_start.load(relaxed),
            },
            boot: u128::from(from.boot[0].load(relaxed)) << 64 | u128::from(from.boot[1].load(relaxed)),
            namespace: from.owner_namespace.load(relaxed),
            epoch: from.epoch.load(relaxed),
            created_unix_ns: from.created_unix_ns.load(relaxed),
            shape,
            within: from.within.each_ref().map(|word| word.load(relaxed)),
            layout,
            file: from.file.load(relaxed),
        })
    }
}

/// Who made the fleet with this control file, since which boot and in which namespaces: whatever
/// build laid it out. Nothing is mapped for it, so a file that is cut short meanwhile is an error and
/// no more.
pub fn peek_owner(path: &Path) -> Result<(Identity, u128, u64), BusError> {
    let Head { owner, boot, namespace, .. } = Head::parse(&read_head(path)?, path)?;
    Ok((owner, boot, namespace))
}

/// As [`peek_owner`], in a directory that is open.
pub(super) fn peek_in(dir: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<Head, BusError> {
    Head::parse(&read_head_in(dir, name, path)?, path)
}

/// What every build finds at the beginning of a control file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub owner: Identity,
    pub boot: u128,
    pub namespace: u64,
    pub created_unix_ns: u64,
    /// See [`Stamp::within`].
    pub within: [u64; WITHIN],
}

impl Head {
    fn parse(head: &[u8; size_of::<Stamp>()], path: &Path) -> Result<Self, BusError> {
        let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let short = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes"));
        if long(offset_of!(Stamp, magic)) != MAGIC {
            return Err(BusError::refused(path, "it is not a file of a fleet"));
        }
        let owner = Identity {
            pid: short(offset_of!(Stamp, owner_pid)),
            start_ticks: long(offset_of!(Stamp, owner_start)),
        };
        let boot = offset_of!(Stamp, boot);
        let boot = u128::from(long(boot)) << 64 | u128::from(long(boot + 8));
        let namespace = long(offset_of!(Stamp, owner_namespace));
        let within = std::array::from_fn(|at| long(offset_of!(Stamp, within) + 8 * at));
        Ok(Self { owner, boot, namespace, created_unix_ns: long(offset_of!(Stamp, created_unix_ns)), within })
    }
}

fn check_size(map: &Mapping, wanted: u64) -> Result<(), BusError> {
    if map.bytes() == wanted {
        Ok(())
    } else {
        Err(BusError::refused(map.path(), format!("it has {} bytes instead of {wanted}", map.bytes())))
    }
}

/// The control file: the supervisor, the coordinators, and their bells.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    map: &'static Mapping,
    layout: ControlLayout,
    stamped: Stamped,
}

impl Control {
    pub fn create(path: &Path, stamped: &Stamped) -> Result<Self, BusError> {
        let (dir, name) = PrivateDir::around(path)?;
        Self::create_in(&dir, name, stamped)
    }

    pub fn create_in(dir: &PrivateDir, name: &OsStr, stamped: &Stamped) -> Result<Self, BusError> {
        let layout = ControlLayout::new(&stamped.shape);
        let map = Mapping::create_in(dir, name, layout.bytes())?.leak();
        stamped.write(map.at(layout.stamp), 0);
        Ok(Self { map, layout, stamped: *stamped })
    }

    pub fn attach(path: &Path) -> Result<Self, BusError> {
        let map = Mapping::attach_private(path)?;
        if map.bytes() < size_of::<Stamp>() as u64 {
            return Err(BusError::refused(path, "it is too short for a fleet's control file"));
        }
        let stamped = Stamped::read(map.at(0), path)?;
        if stamped.file != 0 {
            return Err(BusError::refused(path, "it is a coordinator's region"));
        }
        let layout = ControlLayout::new(&stamped.shape);
        check_size(&map, layout.bytes())?;
        Ok(Self { map: map.leak(), layout, stamped })
    }

    pub fn stamped(&self) -> &Stamped {
        &self.stamped
    }

    pub fn shape(&self) -> &FleetShape {
        &self.stamped.shape
    }

    /// The current supervisor: another one than the stamp named at attaching, if the fleet has been adopted. Its
    /// pid is 0 while the identity is being written.
    ///
    /// A supervisor has a successor only after its end: as long as the one lives that this process knows, a stamp that names
    /// another was overwritten.
    pub fn owner(&self) -> Identity {
        let (named, known) = (self.named_owner(), self.stamped.owner);
        if named != known && known.is_alive() { known } else { named }
    }

    /// Notes a supervisor that has adopted the fleet and lives, so that it is known when the stamp is overwritten.
    pub fn note_owner(&mut self) {
        let owner = self.owner();
        if owner != self.stamped.owner && owner.is_alive() {
            self.stamped.owner = owner;
        }
    }

    fn named_owner(&self) -> Identity {
        let stamp: &Stamp = self.map.at(self.layout.stamp);
        let pid = stamp.owner_pid.load(Ordering::Acquire);
        let start_ticks = stamp.owner_start.load(Ordering::Acquire);
        let unchanged = stamp.owner_pid.load(Ordering::Acquire) == pid;
        Identity { pid: if unchanged { pid } else { 0 }, start_ticks }
    }

    /// True if `/proc` has a coordinator of this fleet: if its supervisor is gone, another one may adopt it. A
    /// coordinator that cannot be checked counts as alive.
    pub fn has_living_coordinator(&self) -> bool {
        (0..self.shape().coordinators()).any(|index| {
            let cell = &self.coordinator(index).process;
            let identity = Identity {
                pid: cell.pid.load(Ordering::Acquire),
                start_ticks: cell.start_ticks.load(Ordering::Relaxed),
            };
            identity.pid != 0 && !identity.is_gone()
        })
    }

    /// The fleet belongs to `owner` from now on. Only for a process that holds the lock on its directory and has
    /// seen that its previous owner is gone.
    pub fn adopt(&self, owner: Identity) {
        let stamp: &Stamp = self.map.at(self.layout.stamp);
        stamp.owner_pid.store(0, Ordering::Release);
        stamp.owner_start.store(owner.start_ticks, Ordering::Release);
        stamp.owner_pid.store(owner.pid, Ordering::Release);
        self.state().supervisors.fetch_add(1, Ordering::AcqRel);
    }

    /// As it is now; to be taken right after it was written.
    pub fn written_stamp(&self) -> WrittenStamp {
        WrittenStamp::of(self.map.slice(self.layout.stamp, STAMP_WORDS))
    }

    /// Puts the words of the stamp back that another program has overwritten.
    pub fn put_back_stamp(&self, written: &WrittenStamp) -> Vec<Foreign> {
        written.put_back(self.map.slice(self.layout.stamp, STAMP_WORDS))
    }

    pub fn state(&self) -> &'static FleetState {
        self.map.at(self.layout.state)
    }

    /// A word that is not a stage was overwritten: the supervisor will put it back.
    pub fn stage(&self) -> Stage {
        Stage::from_raw(self.state().stage.load(Ordering::Acquire)).unwrap_or(Stage::Ready)
    }

    /// Unrequested deaths of coordinators and workers, as their parents have counted them.
    pub fn deaths(&self) -> u64 {
        let of_workers = |index| self.coordinator(index).own.deaths.load(Ordering::Acquire);
        let of_coordinators = self.state().deaths.load(Ordering::Acquire);
        // Any of them may be overwritten.
        (0..self.shape().coordinators()).map(of_workers).fold(of_coordinators, u64::wrapping_add)
    }

    pub fn client_bell(&self) -> &'static Doorbell {
        self.map.at(self.layout.client_bell)
    }

    pub fn orders(&self) -> &'static Orders {
        self.map.at(self.layout.orders)
    }

    /// Of the supervisor.
    pub fn events(&self) -> &'static [EventCell] {
        self.map.slice(self.layout.events, EVENTS as usize)
    }

    fn option_words(&self) -> &'static [AtomicU64] {
        self.map.slice(self.layout.options, OPTIONS_WORDS as usize)
    }

    pub fn coordinator(&self, index: u32) -> &'static CoordinatorEntry {
        let all: &'static [CoordinatorEntry] =
            self.map.slice(self.layout.coordinators, self.shape().coordinators() as usize);
        &all[index as usize]
    }
}

/// A coordinator's region.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    map: &'static Mapping,
    layout: &'static RegionLayout,
    shape: FleetShape,
}

impl Region {
    /// Makes the region of coordinator `index`; it stays in memory, not in this process's map.
    pub fn create(path: &Path, stamped: &Stamped, index: u32) -> Result<(), BusError> {
        let (dir, name) = PrivateDir::around(path)?;
        Self::create_in(&dir, name, stamped, index)
    }

    /// As [`Region::create`], in a directory that is held open.
    pub fn create_in(dir: &PrivateDir, name: &OsStr, stamped: &Stamped, index: u32) -> Result<(), BusError> {
        let layout = RegionLayout::new(&stamped.shape);
        let map = Mapping::create_in(dir, name, layout.bytes())?;
        stamped.write(map.at(layout.stamp), 1 + index);
        Ok(())
    }

    /// Maps the region of coordinator `index`, which must belong to the same fleet as `control`.
    pub fn attach(path: &Path, control: &Stamped, index: u32) -> Result<Self, BusError> {
        let map = Mapping::attach_private(path)?;
        let layout = RegionLayout::new(&control.shape);
        check_size(&map, layout.bytes())?;
        let found = Stamped::read(map.at(layout.stamp), path)?;
        // The owner may be another by now: a supervisor that has adopted the fleet.
        if found != (Stamped { file: 1 + index, owner: found.owner, ..*control }) {
            return Err(BusError::refused(path, "it belongs to another fleet or coordinator"));
        }
        // As the map: as long as the process.
        Ok(Self { map: map.leak(), layout: leak(layout), shape: control.shape })
    }

    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// As [`Control::written_stamp`].
    pub fn written_stamp(&self) -> WrittenStamp {
        WrittenStamp::of(self.map.slice(self.layout.stamp, STAMP_WORDS))
    }

    /// As [`Control::put_back_stamp`].
    pub fn put_back_stamp(&self, written: &WrittenStamp) -> Vec<Foreign> {
        written.put_back(self.map.slice(self.layout.stamp, STAMP_WORDS))
    }

    pub fn shape(&self) -> &FleetShape {
        &self.shape
    }

    pub fn state(&self) -> &'static RegionState {
        self.map.at(self.layout.state)
    }

    pub fn counters(&self) -> &'static Counters {
        self.map.at(self.layout.counters)
    }

    pub fn ready(&self) -> &'static ReadyBitmap {
        self.map.at(self.layout.ready)
    }

    fn ring(&self, header: u64, slots_at: u64, geometry: Geometry) -> Ring {
        let slots = self.map.slice(slots_at, geometry.bytes() as usize / 8);
        Ring::new(self.map.at(header), slots, geometry)
    }

    /// Client → coordinator.
    pub fn client_down(&self) -> Ring {
        self.ring(self.layout.client_down, self.layout.client_down_slots, self.layout.client_ring)
    }

    /// Coordinator → client.
    pub fn client_up(&self) -> Ring {
        self.ring(self.layout.client_up, self.layout.client_up_slots, self.layout.client_ring)
    }

    pub fn worker(&self, worker: u32) -> &'static WorkerSlot {
        let all: &'static [WorkerSlot] =
            self.map.slice(self.layout.workers, self.shape.workers_per_coordinator() as usize);
        &all[worker as usize]
    }

    /// Coordinator → worker.
    pub fn worker_down(&self, worker: u32) -> Ring {
        self.worker_ring(2 * u64::from(worker))
    }

    /// Worker → coordinator.
    pub fn worker_up(&self, worker: u32) -> Ring {
        self.worker_ring(2 * u64::from(worker) + 1)
    }

    fn worker_ring(&self, ring: u64) -> Ring {
        let header = self.layout.worker_rings + ring * size_of::<super::ring::RingHeader>() as u64;
        let slots = self.layout.worker_slots + ring * self.layout.worker_ring.bytes();
        self.ring(header, slots, self.layout.worker_ring)
    }

    pub fn table(&self) -> &'static [TableEntry] {
        self.map.slice(self.layout.table, self.layout.entries as usize)
    }

    /// The words that hold the body of a table entry.
    pub fn body(&self, entry: u32) -> &'static [AtomicU64] {
        let at = self.layout.bodies + u64::from(entry) * self.layout.body;
        self.map.slice(at, self.layout.body as usize / 8)
    }

    /// Client → coordinator: what goes before tasks.
    pub fn client_control(&self) -> Ring {
        self.control_ring(0)
    }

    /// Operator → coordinator. Its producing end belongs to the process that holds the lock on the fleet.
    pub fn operator_control(&self) -> Ring {
        self.control_ring(1)
    }

    fn control_ring(&self, which: usize) -> Ring {
        self.ring(self.layout.control[which], self.layout.control_slots[which], self.layout.control_ring)
    }

    pub fn dead_letters(&self) -> &'static [DeadLetterEntry] {
        self.map.slice(self.layout.dead_letters, self.layout.dead_letters_max as usize)
    }

    /// The words that hold the body of a dead letter's task.
    pub fn dead_letter_body(&self, index: u32) -> &'static [AtomicU64] {
        let at = self.layout.dead_letter_bodies + u64::from(index) * self.layout.body;
        self.map.slice(at, self.layout.body as usize / 8)
    }

    /// Of the coordinator.
    pub fn events(&self) -> &'static [EventCell] {
        self.map.slice(self.layout.events, EVENTS as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::identity::Identity;

    #[test]
    fn how_a_supervisor_was_started_is_read_back_whole_or_not_at_all() {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join("control");
        let shape = FleetShape::new(1, 1, 64, 1).unwrap();
        let none = Identity { pid: 0, start_ticks: 0 };
        let control = Control::create(&path, &Stamped::new(none, 0, shape)).unwrap();
        assert_eq!(control.options(), Vec::<String>::new());
        control.note_start(&["x".repeat(1 << 16)], Path::new("/tmp"));
        assert_eq!(control.options(), Vec::<String>::new());
        assert_eq!(control.temporary().as_deref(), Some(Path::new("/tmp")));
        let options = ["--agent", "[\"a b\", \"\u{e9}\"]", ""];
        control.note_start(&options, Path::new("/var/tmp"));
        let attached = Control::attach(&path).unwrap();
        assert_eq!(attached.options(), options);
        assert_eq!(attached.temporary().as_deref(), Some(Path::new("/var/tmp")));
        control.note_start(&options, Path::new(&"/x".repeat(1 << 15)));
        assert_eq!(control.options(), options);
        assert_eq!(control.temporary(), None);
    }
}
