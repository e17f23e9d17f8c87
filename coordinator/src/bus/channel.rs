//! Two processes and the two rings between them, in a file of their own.
//!
//! The parts of a fleet's region, for programs that need only the bus: each side has a [`Sender`] and a
//! [`Receiver`]. Sending publishes at once and wakes the other side if it sleeps; receiving adapts to the
//! load, and spins before it sleeps for as long as that pays.

mod ends;

use super::doorbell::Doorbell;
use super::error::BusError;
use super::mapping::Mapping;
use super::ring::{Consumer, Geometry, Producer, Ring, RingError, RingHeader};
use super::shared::Shared;
use super::spin::Spin;
use super::sync::{AtomicU32, AtomicU64, Ordering};
use super::tune::Tuning;
use crate::os::identity::{Identity, Presence, boot_id, namespace};
pub use ends::{Receiver, SendError, Sender};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MAGIC: u64 = u64::from_le_bytes(*b"coordchn");
const VERSION: u32 = 1;
/// The slots begin here, behind everything else.
const SLOTS_AT: u64 = 4096;
/// More would not fit the address space of small machines: 64 Ki records of 64 KiB.
pub const BYTES_MAX: u64 = 1 << 33;
/// A ring of a channel reserves one in this many of its slots for control records: at least one, and at most
/// `RESERVED_MAX`. A ring of fewer than `RESERVED_FROM` slots reserves none: so little data cannot block it
/// for long.
const RESERVED_SHARE: u64 = 16;
const RESERVED_MAX: u64 = 8;
const RESERVED_FROM: u64 = 4;
/// Bytes of a ring by default: more than the first-level caches hold, so that the producer does not write
/// into lines that its consumer still has (measured: twice the records per second of 128 KiB at 64 B), and
/// little compared with the second level.
const RING_BYTES: usize = 512 * 1024;
const RECORDS_MIN: u32 = 64;
/// What one side writes about itself.
#[derive(Debug)]
#[repr(C, align(128))]
struct SideState {
    /// Where its receiver sleeps, and where its sender does when the ring is full.
    bell: Doorbell,
    room: Doorbell,
    /// {start time: 42, pid: 22} of the process that has this side: one word, so that it never names half a
    /// process. 0 if the side was never taken.
    holder: AtomicU64,
    /// The [`namespace`] of all holders; 0 until the first one.
    namespace: AtomicU64,
}

#[derive(Debug)]
#[repr(C, align(128))]
struct ChannelHeader {
    /// Written last.
    magic: AtomicU64,
    version: AtomicU32,
    records: AtomicU32,
    payload_max: AtomicU32,
    /// Of the creator's [`Tuning`].
    touch: AtomicU32,
    step: AtomicU32,
    spin_ns: AtomicU64,
    boot: [AtomicU64; 2],
    /// From first to second, and back.
    rings: [RingHeader; 2],
    sides: [SideState; 2],
}

// SAFETY: atomics, and structs of them; no padding is ever read.
unsafe impl Shared for ChannelHeader {}
const _: () = assert!(size_of::<ChannelHeader>() as u64 <= SLOTS_AT);

/// The default number of records in a ring, for payloads of at most `payload_max` bytes.
pub fn default_records(payload_max: u32) -> u32 {
    let stride = Geometry::new(1, (payload_max as usize).min(super::ring::LEN_MAX)).stride();
    ((RING_BYTES / stride) as u32).next_power_of_two().max(RECORDS_MIN)
}

/// The two ends of a channel are alike; these are their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    First = 0,
    Second = 1,
}

/// A file with both rings, mapped.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    map: &'static Mapping,
    path: &'static Path,
    geometry: Geometry,
    tuning: Tuning,
}

impl Channel {
    /// Makes the file at `path`, for at least `records` records of at most `payload_max` bytes each
    /// way. It has another name until it is whole, so that the path always leads to a whole channel. The
    /// mapping stays for the life of the process; the file stays until it is removed.
    pub fn create(path: &Path, records: u32, payload_max: u32) -> Result<Self, BusError> {
        Self::create_tuned(path, records, payload_max, Tuning::get())
    }

    /// As [`Channel::create`], with a tuning of the caller's choice.
    pub fn create_tuned(
        path: &Path,
        records: u32,
        payload_max: u32,
        tuning: Tuning,
    ) -> Result<Self, BusError> {
        let geometry = geometry(path, records, payload_max)?;
        let unfinished = unfinished(path);
        let map = Mapping::create(&unfinished, SLOTS_AT + 2 * geometry.bytes())?;
        let channel = Self::over(map, path, geometry, tuning);
        let header = channel.header();
        let relaxed = Ordering::Relaxed;
        header.version.store(VERSION, relaxed);
        header.records.store(records, relaxed);
        header.payload_max.store(payload_max, relaxed);
        header.touch.store(tuning.touch.into(), relaxed);
        header.step.store(tuning.step, relaxed);
        header.spin_ns.store(tuning.spin.as_nanos() as u64, relaxed);
        header.boot[0].store((boot_id() >> 64) as u64, relaxed);
        header.boot[1].store(boot_id() as u64, relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        let (here, keep) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
        rustix::fs::renameat_with(here, &unfinished, here, path, keep).map_err(|errno| {
            // Nothing else can be done if even this fails: the owner of the directory removes it.
            let _ = rustix::fs::unlink(&unfinished);
            BusError::io(path, "create", errno)
        })?;
        Ok(channel)
    }

    fn over(map: Mapping, path: &Path, geometry: Geometry, tuning: Tuning) -> Self {
        Self { map: map.leak(), path: Box::leak(path.into()), geometry, tuning }
    }

    /// Maps a channel that another process made.
    pub fn attach(path: &Path) -> Result<Self, BusError> {
        let map = Mapping::attach(path)?;
        if map.bytes() < SLOTS_AT {
            return Err(BusError::refused(path, "it is too short for a channel"));
        }
        let header: &ChannelHeader = map.at(0);
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(BusError::refused(path, "it is not a channel, or not a whole one"));
        }
        let relaxed = Ordering::Relaxed;
        let version = header.version.load(relaxed);
        if version != VERSION {
            let why = format!("its layout has version {version}, this build knows {VERSION}");
            return Err(BusError::refused(path, why));
        }
        let boot = u128::from(header.boot[0].load(relaxed)) << 64 | u128::from(header.boot[1].load(relaxed));
        if boot != boot_id() {
            return Err(BusError::refused(path, "it was made before the last boot of this machine"));
        }
        let geometry = geometry(path, header.records.load(relaxed), header.payload_max.load(relaxed))?;
        let wanted = SLOTS_AT + 2 * geometry.bytes();
        if map.bytes() != wanted {
            return Err(BusError::refused(path, format!("it has {} bytes instead of {wanted}", map.bytes())));
        }
        let tuning = Tuning {
            touch: header.touch.load(relaxed) == 1,
            step: header.step.load(relaxed).clamp(1, 64),
            spin: Duration::from_nanos(header.spin_ns.load(relaxed).min(1_000_000)),
        };
        Ok(Self::over(map, path, geometry, tuning))
    }

    fn header(&self) -> &'static ChannelHeader {
        self.map.at(0)
    }

    /// What the channel was tuned for when it was made.
    pub fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// The ring from `side` to the other.
    pub fn ring(&self, side: Side) -> Ring {
        let slots = SLOTS_AT + side as u64 * self.geometry.bytes();
        let words = self.map.slice(slots, self.geometry.bytes() as usize / 8);
        Ring::new(&self.header().rings[side as usize], words, self.geometry)
    }

    /// Both ends of `side`, which no process may have had before.
    pub fn ends(&self, side: Side) -> Result<(Sender, Receiver), BusError> {
        let taken = || BusError::EndTaken { path: self.path.to_owned() };
        let holders = &self.header().sides[side as usize].namespace;
        let own = namespace();
        let _ = holders.compare_exchange(0, own, Ordering::AcqRel, Ordering::Relaxed);
        if own == 0 || holders.load(Ordering::Acquire) != own {
            // The process that wrote it died before it had the side; its successors could not check us.
            return Err(BusError::refused(self.path, "this side belongs to another pid or time namespace"));
        }
        // The holder comes first: a process that finds an end taken can check whether its holder lives.
        self.enter(side, 0).map_err(|_| taken())?;
        let producer = self.ring(side).producer().ok_or_else(taken)?;
        let consumer = self.ring(side.other()).consumer().ok_or_else(taken)?;
        Ok(self.hold(side, producer, consumer))
    }

    /// Both ends of `side` after the death of the process that had them. A process that is alive, stopped
    /// or not, gets no successor: end it first.
    pub fn take_over(&self, side: Side) -> Result<(Sender, Receiver), BusError> {
        let refused = |why: String| BusError::refused(self.path, why);
        let state = &self.header().sides[side as usize];
        let holder = state.holder.load(Ordering::Acquire);
        if holder == 0 {
            return Err(refused("this side was never taken: there is nothing to take over".into()));
        }
        let identity = unpack_holder(holder);
        let own = namespace();
        if own == 0 || state.namespace.load(Ordering::Acquire) != own {
            return Err(refused(
                "its holder is in another pid or time namespace and cannot be checked".into(),
            ));
        }
        match identity.presence() {
            Presence::Gone => {}
            Presence::Alive => return Err(refused(format!("process {} has it and is alive", identity.pid))),
            Presence::Unknown => {
                return Err(refused(format!(
                    "it cannot be determined whether process {} is alive",
                    identity.pid
                )));
            }
        }
        self.enter(side, holder).map_err(|_| refused("another process has just taken it over".into()))?;
        let broken = |error: RingError| refused(error.to_string());
        // Its holder may have died before it had taken both ends, or either of them.
        let (down, up) = (self.ring(side), self.ring(side.other()));
        let producer = down.producer().map_or_else(|| down.take_over_producer().map_err(broken), Ok)?;
        let consumer = up.consumer().map_or_else(|| up.take_over_consumer().map_err(broken), Ok)?;
        // The dead holder may not have rung for what it had published, or for the slots it had freed.
        let peer = &self.header().sides[side.other() as usize];
        peer.bell.wake();
        peer.room.wake();
        Ok(self.hold(side, producer, consumer))
    }

    /// Records this process as the holder of `side` after `before`.
    fn enter(&self, side: Side, before: u64) -> Result<u64, u64> {
        let state = &self.header().sides[side as usize];
        let own = pack_holder(Identity::own());
        state.holder.compare_exchange(before, own, Ordering::AcqRel, Ordering::Acquire)
    }

    fn hold(&self, side: Side, producer: Producer, consumer: Consumer) -> (Sender, Receiver) {
        let (own, other) = (&self.header().sides[side as usize], &self.header().sides[side.other() as usize]);
        let capacity = self.geometry.capacity();
        let reserved = (capacity / RESERVED_SHARE).clamp(1, RESERVED_MAX);
        let reserved = if capacity < RESERVED_FROM { 0 } else { reserved };
        let sender = Sender {
            producer: producer.reserving(reserved),
            payload_max: self.geometry.payload_max(),
            spin: Spin::new(self.tuning.spin),
            peer: &other.bell,
            room: &own.room,
        };
        let receiver = Receiver {
            consumer: consumer.tuned(self.tuning.touch, self.tuning.step),
            spin: Spin::new(self.tuning.spin),
            bell: &own.bell,
            peer_room: &other.room,
        };
        (sender, receiver)
    }
}

/// A name beside `path` that only this call uses. What a process left that was killed in between is debris
/// and blocks nothing.
fn unfinished(path: &Path) -> PathBuf {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let identity = Identity::own();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{}-{call}.unfinished", identity.pid, identity.start_ticks));
    name.into()
}

/// `PID_MAX_LIMIT` of the kernel is 2²²; 2⁴² ticks are 1,400 years.
const PID_BITS: u32 = 22;

fn pack_holder(identity: Identity) -> u64 {
    identity.start_ticks << PID_BITS | u64::from(identity.pid) & ((1 << PID_BITS) - 1)
}

fn unpack_holder(word: u64) -> Identity {
    Identity { pid: (word & ((1 << PID_BITS) - 1)) as u32, start_ticks: word >> PID_BITS }
}

impl Side {
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

fn geometry(path: &Path, records: u32, payload_max: u32) -> Result<Geometry, BusError> {
    let too_large = || {
        BusError::refused(
            path,
            format!("{records} records of {payload_max} bytes are too many for a channel"),
        )
    };
    if records == 0 || payload_max as usize > super::ring::LEN_MAX {
        return Err(too_large());
    }
    let geometry = Geometry::new(records.into(), payload_max as usize);
    if geometry.bytes() > BYTES_MAX {
        return Err(too_large());
    }
    Ok(geometry)
}

#[cfg(test)]
mod tests;
