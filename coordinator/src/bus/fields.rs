//! Every word of the layout by its name: what a test scribbles over, one after the other.
//!
//! A struct's list names all its fields, or it does not compile. Of a part that is there many times, the first and
//! the last are listed: what holds for these holds for those between them.

use super::bitmap::{ReadyBitmap, Word};
use super::doorbell::Doorbell;
use super::events::EventCell;
use super::layout::{ControlLayout, EVENTS, OPTIONS_WORDS, RegionLayout};
use super::ring::{RingHeader, Side};
use super::shape::FleetShape;
use super::slot::{
    CoordinatorEntry, CoordinatorOwn, Counters, DeadLetterEntry, FleetState, Orders, ProcessCell,
    RegionState, Stamp, TableEntry, WorkerOrders, WorkerOwn, WorkerSlot,
};
use super::sync::{AtomicI32, AtomicU32, AtomicU64};
use std::mem::offset_of;

/// A word of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As in the source: `workers[1].process.deaths`.
    pub name: String,
    /// Where it begins in the file, in bytes.
    pub at: u64,
    /// 4 or 8.
    pub bytes: u64,
}

trait Fields: Sized {
    /// Lists the words of one that begins at `at` and is called `name`.
    fn list(name: &str, at: u64, into: &mut Vec<Field>);

    /// The first and the last of `count` from `at`.
    fn list_ends(name: &str, at: u64, count: u64, into: &mut Vec<Field>) {
        for index in ends(count) {
            Self::list(&format!("{name}[{index}]"), at + index * size_of::<Self>() as u64, into);
        }
    }
}

fn ends(count: u64) -> impl Iterator<Item = u64> {
    let last = (count > 1).then(|| count - 1);
    (count > 0).then_some(0).into_iter().chain(last)
}

/// The type of a field is found by the compiler.
fn list_field<T, F: Fields>(_: fn(&T) -> &F, name: &str, at: u64, into: &mut Vec<Field>) {
    F::list(name, at, into);
}

macro_rules! words {
    ($($word:ty)*) => {
        $(impl Fields for $word {
            fn list(name: &str, at: u64, into: &mut Vec<Field>) {
                into.push(Field { name: name.to_owned(), at, bytes: size_of::<Self>() as u64 });
            }
        })*
    };
}

macro_rules! fields {
    ($($part:ident { $($field:tt)* })*) => {
        $(impl Fields for $part {
            fn list(name: &str, at: u64, into: &mut Vec<Field>) {
                // A field that is missing in the list below is an error here.
                let _: fn(&$part) = |$part { $($field: _,)* }| ();
                $(list_field(
                    |part: &$part| &part.$field,
                    &format!("{name}.{}", stringify!($field)),
                    at + offset_of!($part, $field) as u64,
                    into,
                );)*
            }
        })*
    };
}

impl<T: Fields, const N: usize> Fields for [T; N] {
    fn list(name: &str, at: u64, into: &mut Vec<Field>) {
        T::list_ends(name, at, N as u64, into);
    }
}

words! { AtomicI32 AtomicU32 AtomicU64 }

fields! {
    Stamp {
        magic layout boot created_unix_ns owner_start owner_namespace owner_pid version epoch coordinators workers
        payload_max depth file within
    }
    FleetState { stage clients deaths supervisors adoptable beat client_pid client_start client_moves marker }
    Orders { pause pause_pid pause_start coordinators workers scaled followed }
    ProcessCell {
        start_ticks dead_start dead_seen_ns attached_ns recovered_ns pid life wait_status incarnation deaths dead_pid
        dead_status padding
    }
    CoordinatorEntry { process bell own retire suspected_ns }
    CoordinatorOwn { beat live busy queued paused wanted closed left_until scaled deaths }
    RegionState { stopping epoch }
    Counters {
        accepted answered failed_tasks failed late duplicates fenced requeued damaged ending returned revived retried cancelled
        dead_letters dead_letters_lost hits misses refills recycled poisoned hung healed refused left
        batches batched
    }
    WorkerSlot { process own bell orders }
    WorkerOwn { heartbeat executed task progress_ns command_pid command_start }
    WorkerOrders { retire suspected_ns }
    TableEntry { word task_len answer_len task answer }
    DeadLetterEntry { state task_len stamp task answer }
    EventCell { number at_ns kind place details }
    RingHeader { tail head }
    Side { position holder }
    Doorbell { rung armed }
    ReadyBitmap { summary words }
    Word { 0 }
}

/// Of the control file.
pub fn of_control(shape: &FleetShape) -> Vec<Field> {
    let (layout, mut all) = (ControlLayout::new(shape), Vec::new());
    Stamp::list("stamp", layout.stamp, &mut all);
    FleetState::list("state", layout.state, &mut all);
    Doorbell::list("client_bell", layout.client_bell, &mut all);
    let count = shape.coordinators().into();
    CoordinatorEntry::list_ends("coordinators", layout.coordinators, count, &mut all);
    Orders::list("orders", layout.orders, &mut all);
    EventCell::list_ends("events", layout.events, EVENTS, &mut all);
    AtomicU64::list_ends("options", layout.options, OPTIONS_WORDS, &mut all);
    all
}

/// Of a coordinator's region.
pub fn of_region(shape: &FleetShape) -> Vec<Field> {
    let (layout, mut all) = (RegionLayout::new(shape), Vec::new());
    let workers = u64::from(shape.workers_per_coordinator());
    Stamp::list("stamp", layout.stamp, &mut all);
    RegionState::list("state", layout.state, &mut all);
    Counters::list("counters", layout.counters, &mut all);
    ReadyBitmap::list("ready", layout.ready, &mut all);
    RingHeader::list("client_down", layout.client_down, &mut all);
    RingHeader::list("client_up", layout.client_up, &mut all);
    WorkerSlot::list_ends("workers", layout.workers, workers, &mut all);
    RingHeader::list_ends("worker_rings", layout.worker_rings, 2 * workers, &mut all);
    TableEntry::list_ends("table", layout.table, layout.entries, &mut all);
    for (which, at) in layout.control.into_iter().enumerate() {
        RingHeader::list(&format!("control[{which}]"), at, &mut all);
    }
    DeadLetterEntry::list_ends("dead_letters", layout.dead_letters, layout.dead_letters_max, &mut all);
    EventCell::list_ends("events", layout.events, EVENTS, &mut all);
    // Of the slots, the words that say what is there, and the first of the payload.
    let rings = [
        ("client_down_slots", layout.client_down_slots, layout.client_ring),
        ("client_up_slots", layout.client_up_slots, layout.client_ring),
        ("worker_slots[first]", layout.worker_slots, layout.worker_ring),
        (
            "worker_slots[last]",
            layout.worker_slots + (2 * workers - 1) * layout.worker_ring.bytes(),
            layout.worker_ring,
        ),
        ("control_slots[0]", layout.control_slots[0], layout.control_ring),
        ("control_slots[1]", layout.control_slots[1], layout.control_ring),
    ];
    for (name, at, geometry) in rings {
        for slot in ends(geometry.capacity()) {
            let at = at + slot * geometry.stride() as u64;
            <[AtomicU64; 2]>::list(&format!("{name}[{slot}]"), at, &mut all);
        }
    }
    let bodies = [
        ("bodies", layout.bodies, layout.entries * layout.body / 8),
        ("dead_letter_bodies", layout.dead_letter_bodies, layout.dead_letters_max * layout.body / 8),
    ];
    for (name, at, words) in bodies {
        AtomicU64::list_ends(name, at, words, &mut all);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_has_two_names_or_lies_outside_its_file() {
        let shape = FleetShape::new(3, 5, 100, 2).unwrap();
        let files = [
            (of_control(&shape), ControlLayout::new(&shape).bytes()),
            (of_region(&shape), RegionLayout::new(&shape).bytes()),
        ];
        for (mut fields, bytes) in files {
            fields.sort_by_key(|field| field.at);
            for pair in fields.windows(2) {
                assert!(pair[0].at + pair[0].bytes <= pair[1].at, "{pair:?}");
            }
            assert!(fields.last().is_some_and(|last| last.at + last.bytes <= bytes));
        }
    }
}
