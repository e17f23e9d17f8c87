//! Where everything lies in the files of a fleet, computed only from its shape.
//!
//! Every part is a line of a sum, so that the cost of a topology can be printed and refused.

use super::bitmap::{READY_MAX, ReadyBitmap};
use super::doorbell::Doorbell;
use super::events::EventCell;
use super::ring::{Geometry, HEADER, LINE, RingHeader};
use super::shape::{FleetShape, WORKERS_PER_COORDINATOR_MAX};
use super::slot::{
    CoordinatorEntry, Counters, DeadLetterEntry, FleetState, Orders, RegionState, Stamp, TableEntry,
    WorkerSlot,
};

/// Every worker of a coordinator has a bit.
const _: () = assert!(WORKERS_PER_COORDINATOR_MAX as usize <= READY_MAX);

/// Pages are reserved whole.
pub const PAGE: u64 = 4096;
/// Parts begin at multiples of this: two cache lines.
const ALIGN: u64 = 128;

/// Orders that fit into a control ring.
const CONTROL_RECORDS: u64 = 64;
/// Events that are kept, of the supervisor and of each coordinator.
pub const EVENTS: u64 = 1024;
/// Dead letters that a coordinator keeps: as many as its table has entries, within these bounds.
const DEAD_LETTERS_MIN: u64 = 16;
const DEAD_LETTERS_MAX: u64 = 128;
/// Words for the supervisor's command line; the first one holds how many bytes follow.
pub const OPTIONS_WORDS: u64 = 1024;

/// Hands out consecutive parts.
struct Cursor(u64);

impl Cursor {
    fn part(&mut self, bytes: u64) -> u64 {
        let start = self.0.next_multiple_of(ALIGN);
        self.0 = start + bytes;
        start
    }

    fn parts_of<T>(&mut self, count: u64) -> u64 {
        self.part(count * size_of::<T>() as u64)
    }
}

/// Offsets in the `control` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlLayout {
    pub stamp: u64,
    pub state: u64,
    pub client_bell: u64,
    pub coordinators: u64,
    pub orders: u64,
    pub events: u64,
    pub options: u64,
    bytes: u64,
}

impl ControlLayout {
    pub fn new(shape: &FleetShape) -> Self {
        let mut cursor = Cursor(0);
        let stamp = cursor.parts_of::<Stamp>(1);
        let state = cursor.parts_of::<FleetState>(1);
        let client_bell = cursor.parts_of::<Doorbell>(1);
        let coordinators = cursor.parts_of::<CoordinatorEntry>(shape.coordinators().into());
        let orders = cursor.parts_of::<Orders>(1);
        let events = cursor.parts_of::<EventCell>(EVENTS);
        let options = cursor.parts_of::<u64>(OPTIONS_WORDS);
        let bytes = cursor.0.next_multiple_of(PAGE);
        Self { stamp, state, client_bell, coordinators, orders, events, options, bytes }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Offsets in a coordinator's region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionLayout {
    pub stamp: u64,
    pub state: u64,
    pub counters: u64,
    pub ready: u64,
    pub client_down: u64,
    pub client_down_slots: u64,
    pub client_up: u64,
    pub client_up_slots: u64,
    pub workers: u64,
    pub worker_rings: u64,
    pub worker_slots: u64,
    pub table: u64,
    pub bodies: u64,
    /// Two, each with its slots behind it: the client's and the operator's.
    pub control: [u64; 2],
    pub control_slots: [u64; 2],
    pub dead_letters: u64,
    pub dead_letter_bodies: u64,
    pub events: u64,
    bytes: u64,
    pub client_ring: Geometry,
    pub worker_ring: Geometry,
    pub control_ring: Geometry,
    /// Dead letters that are kept.
    pub dead_letters_max: u64,
    /// Entries of the task table.
    pub entries: u64,
    /// Bytes of a body in the table.
    pub body: u64,
}

impl RegionLayout {
    pub fn new(shape: &FleetShape) -> Self {
        let workers = u64::from(shape.workers_per_coordinator());
        let entries = workers * u64::from(shape.depth());
        let payload = HEADER + shape.payload_max() as usize;
        // every task that the table can hold is in the client's ring at worst
        let client_ring = Geometry::new(entries, payload);
        // every task that may wait for the worker
        let worker_ring = Geometry::new(shape.depth().into(), payload);
        let body = u64::from(shape.payload_max()).next_multiple_of(LINE as u64);

        let mut cursor = Cursor(0);
        let stamp = cursor.parts_of::<Stamp>(1);
        let state = cursor.parts_of::<RegionState>(1);
        let counters = cursor.parts_of::<Counters>(1);
        let ready = cursor.parts_of::<ReadyBitmap>(1);
        let client_down = cursor.parts_of::<RingHeader>(1);
        let client_up = cursor.parts_of::<RingHeader>(1);
        let client_down_slots = cursor.part(client_ring.bytes());
        let client_up_slots = cursor.part(client_ring.bytes());
        let worker_parts = cursor.parts_of::<WorkerSlot>(workers);
        let worker_rings = cursor.parts_of::<RingHeader>(2 * workers);
        let worker_slots = cursor.part(2 * workers * worker_ring.bytes());
        let table = cursor.parts_of::<TableEntry>(entries);
        let bodies = cursor.part(entries * body);
        let control_ring = Geometry::new(CONTROL_RECORDS, HEADER);
        let dead_letters_max = entries.clamp(DEAD_LETTERS_MIN, DEAD_LETTERS_MAX);
        let control = [(); 2].map(|()| cursor.parts_of::<RingHeader>(1));
        let control_slots = [(); 2].map(|()| cursor.part(control_ring.bytes()));
        let dead_letters = cursor.parts_of::<DeadLetterEntry>(dead_letters_max);
        let dead_letter_bodies = cursor.part(dead_letters_max * body);
        let events = cursor.parts_of::<EventCell>(EVENTS);
        Self {
            stamp,
            state,
            counters,
            ready,
            client_down,
            client_down_slots,
            client_up,
            client_up_slots,
            workers: worker_parts,
            worker_rings,
            worker_slots,
            table,
            bodies,
            control,
            control_slots,
            dead_letters,
            dead_letter_bodies,
            events,
            bytes: cursor.0.next_multiple_of(PAGE),
            client_ring,
            worker_ring,
            control_ring,
            dead_letters_max,
            entries,
            body,
        }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl FleetShape {
    /// Bytes reserved in /dev/shm: one control file, one region per coordinator.
    pub fn shm_bytes(&self) -> u64 {
        ControlLayout::new(self).bytes() + u64::from(self.coordinators()) * RegionLayout::new(self).bytes()
    }

    /// Of the largest of these files.
    pub fn file_bytes(&self) -> u64 {
        ControlLayout::new(self).bytes().max(RegionLayout::new(self).bytes())
    }
}

/// Two builds that lay the files out differently must not meet in one.
pub fn layout_hash(shape: &FleetShape) -> u64 {
    let text = format!(
        "{:?} {:?} {} {} {} {} {} {}",
        ControlLayout::new(shape),
        RegionLayout::new(shape),
        size_of::<CoordinatorEntry>(),
        size_of::<WorkerSlot>(),
        size_of::<TableEntry>(),
        size_of::<Counters>(),
        size_of::<DeadLetterEntry>(),
        size_of::<EventCell>(),
    );
    u64::from(crc32c::crc32c(text.as_bytes())) << 32
        | u64::from(crc32c::crc32c(env!("CARGO_PKG_VERSION").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_do_not_overlap(c in 1_u32..20, w in 1_u32..200, payload in 0_u32..5000, depth in 1_u32..9) {
            let shape = FleetShape::new(c, w, payload, depth).unwrap();
            let l = RegionLayout::new(&shape);
            let w = u64::from(w);
            let parts = [
                (l.stamp, size_of::<Stamp>() as u64),
                (l.state, size_of::<RegionState>() as u64),
                (l.counters, size_of::<Counters>() as u64),
                (l.ready, size_of::<ReadyBitmap>() as u64),
                (l.client_down, size_of::<RingHeader>() as u64),
                (l.client_up, size_of::<RingHeader>() as u64),
                (l.client_down_slots, l.client_ring.bytes()),
                (l.client_up_slots, l.client_ring.bytes()),
                (l.workers, w * size_of::<WorkerSlot>() as u64),
                (l.worker_rings, 2 * w * size_of::<RingHeader>() as u64),
                (l.worker_slots, 2 * w * l.worker_ring.bytes()),
                (l.table, l.entries * size_of::<TableEntry>() as u64),
                (l.bodies, l.entries * l.body),
                (l.control[0], size_of::<RingHeader>() as u64),
                (l.control[1], size_of::<RingHeader>() as u64),
                (l.control_slots[0], l.control_ring.bytes()),
                (l.control_slots[1], l.control_ring.bytes()),
                (l.dead_letters, l.dead_letters_max * size_of::<DeadLetterEntry>() as u64),
                (l.dead_letter_bodies, l.dead_letters_max * l.body),
                (l.events, EVENTS * size_of::<EventCell>() as u64),
            ];
            for pair in parts.windows(2) {
                prop_assert!(pair[0].0 + pair[0].1 <= pair[1].0);
            }
            let last = parts[parts.len() - 1];
            prop_assert!(last.0 + last.1 <= l.bytes());
        }
    }
}
