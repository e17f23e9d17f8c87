//! Two processes and the two rings between them, in a file of their own.
//!
//! What a fleet's region is made of, for those who want the bus alone: each side has a [`Sender`] and
//! a [`Receiver`]. Sending publishes at once and wakes the other side if it sleeps; receiving adapts
//! to the load, and spins before it sleeps for as long as that pays.

use super::doorbell::Doorbell;
use super::error::BusError;
use super::mapping::Mapping;
use super::ring::{Claim, Consumer, Full, Geometry, Message, Producer, Ring, RingError, RingHeader};
use super::shared::Shared;
use super::spin::Spin;
use super::sync::{AtomicU32, AtomicU64, Ordering};
use super::tune::Tuning;
use crate::os::identity::{Identity, Presence, boot_id, pid_namespace};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

const MAGIC: u64 = u64::from_le_bytes(*b"coordchn");
const VERSION: u32 = 1;
/// Slots begin here, behind everything else.
const SLOTS_AT: u64 = 4096;
/// More would not fit the address space of small machines: 64 Ki records of 64 KiB.
pub const BYTES_MAX: u64 = 1 << 33;
/// A ring of a channel keeps this share of its slots for control records, one at least, this many at
/// most; one of fewer slots than that needs none, for want of data that could fill it for long.
const RESERVED_SHARE: u64 = 16;
const RESERVED_MAX: u64 = 8;
const RESERVED_FROM: u64 = 4;
/// What a ring takes by default: more than the first-level caches hold, so that the producer does not
/// write into lines that its consumer still has (measured: twice the records a second of 128 KiB at
/// 64 B), and little beside the second level's.
const RING_BYTES: usize = 512 * 1024;
const RECORDS_MIN: u32 = 64;
/// A sleeping sender looks this often, in case its receiver died between acknowledgement and bell.
const LOOK: Duration = Duration::from_millis(10);

/// What one side writes about itself.
#[derive(Debug)]
#[repr(C, align(128))]
struct SideState {
    /// Where its receiver sleeps, and where its sender does when the ring is full.
    bell: Doorbell,
    room: Doorbell,
    /// {start time: 42, pid: 22} of the process that has it: one word, so that there is no moment at
    /// which it names nobody. 0 if nobody has had it.
    holder: AtomicU64,
    /// The pid namespace of all holders; 0 until there is one.
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

/// Records of a ring whose user has no reason for another number.
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

/// Why nothing was sent, or nothing can be any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    #[error("the ring is full: the receiver is behind")]
    Full,
    #[error("the receiver made no room within {0:?}")]
    TimedOut(Duration),
    #[error("a payload of {len} bytes; this channel was made for {max}")]
    TooLarge { len: usize, max: usize },
    /// The record of this call may have been heard, as the last of this sender; later ones are not.
    #[error("this sender has been replaced, or sealed off by its receiver; what it sends is not heard")]
    Fenced,
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
    /// way. It has another name until it is whole: whoever finds the path finds a channel. The mapping
    /// stays for the life of the process; the file until somebody removes it.
    pub fn create(path: &Path, records: u32, payload_max: u32) -> Result<Self, BusError> {
        Self::create_tuned(path, records, payload_max, Tuning::get())
    }

    /// As [`Channel::create`], for those who know how it should be tuned.
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
            // Nothing else to do if even this fails: the directory is its owner's to remove.
            let _ = rustix::fs::unlink(&unfinished);
            BusError::io(path, "create", errno)
        })?;
        Ok(channel)
    }

    fn over(map: Mapping, path: &Path, geometry: Geometry, tuning: Tuning) -> Self {
        Self { map: map.leak(), path: Box::leak(path.into()), geometry, tuning }
    }

    /// Maps a channel that somebody else made.
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
            return Err(BusError::refused(path, "it was made before the machine was booted"));
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

    /// Both ends of `side`, which nobody has had before.
    pub fn ends(&self, side: Side) -> Result<(Sender, Receiver), BusError> {
        let taken = || BusError::EndTaken { path: self.path.to_owned() };
        let namespace = &self.header().sides[side as usize].namespace;
        let own = pid_namespace();
        let _ = namespace.compare_exchange(0, own, Ordering::AcqRel, Ordering::Relaxed);
        if own == 0 || namespace.load(Ordering::Acquire) != own {
            // Whoever wrote it died before it had the side; its successors could not look at us.
            return Err(BusError::refused(self.path, "this side belongs to another pid namespace"));
        }
        // Who it is comes first: whoever finds an end taken can look whether its holder lives.
        self.enter(side, 0).map_err(|_| taken())?;
        let producer = self.ring(side).producer().ok_or_else(taken)?;
        let consumer = self.ring(side.other()).consumer().ok_or_else(taken)?;
        Ok(self.hold(side, producer, consumer))
    }

    /// Both ends of `side` after the death of the process that had them. A process that lives, stopped
    /// or not, is refused its successor: end it first.
    pub fn take_over(&self, side: Side) -> Result<(Sender, Receiver), BusError> {
        let refused = |why: String| BusError::refused(self.path, why);
        let state = &self.header().sides[side as usize];
        let holder = state.holder.load(Ordering::Acquire);
        if holder == 0 {
            return Err(refused("nobody has had this side: there is nothing to take over".into()));
        }
        let identity = unpack_holder(holder);
        let own = pid_namespace();
        if own == 0 || state.namespace.load(Ordering::Acquire) != own {
            return Err(refused("its holder is of another pid namespace, and cannot be looked at".into()));
        }
        match identity.presence() {
            Presence::Gone => {}
            Presence::Alive => return Err(refused(format!("process {} has it, and lives", identity.pid))),
            Presence::Unknown => {
                return Err(refused(format!("whether process {} lives cannot be told", identity.pid)));
            }
        }
        self.enter(side, holder).map_err(|_| refused("somebody else has just taken it over".into()))?;
        let broken = |error: RingError| refused(error.to_string());
        // Its holder may have died before it had both ends, or either.
        let (down, up) = (self.ring(side), self.ring(side.other()));
        let producer = down.producer().map_or_else(|| down.take_over_producer().map_err(broken), Ok)?;
        let consumer = up.consumer().map_or_else(|| up.take_over_consumer().map_err(broken), Ok)?;
        // The dead one may not have come to ring for what it had published, or had made room for.
        let peer = &self.header().sides[side.other() as usize];
        peer.bell.wake();
        peer.room.wake();
        Ok(self.hold(side, producer, consumer))
    }

    /// Writes this process down as the holder of `side` after `before`.
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

/// Beside `path`, of this call alone. One that was left by a process killed in between is debris, and
/// in nobody's way.
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
    let too_large =
        || BusError::refused(path, format!("{records} records of {payload_max} bytes are too many"));
    if records == 0 || payload_max as usize > super::ring::LEN_MAX {
        return Err(too_large());
    }
    let geometry = Geometry::new(records.into(), payload_max as usize);
    if geometry.bytes() > BYTES_MAX {
        return Err(too_large());
    }
    Ok(geometry)
}

/// The sending end of one side.
#[derive(Debug)]
pub struct Sender {
    producer: Producer,
    payload_max: usize,
    /// While the ring is full.
    spin: Spin,
    peer: &'static Doorbell,
    room: &'static Doorbell,
}

impl Sender {
    /// Sends now or not at all. When this returns `Ok` the receiver has it, or will find it.
    #[inline]
    pub fn try_send(&mut self, kind: u32, payload: &[u8]) -> Result<(), SendError> {
        self.check(payload.len())?;
        self.producer.put(kind, payload).map_err(|Full| SendError::Full)?;
        self.show()
    }

    /// As [`Sender::try_send`], also into the room that data may not use.
    pub fn try_send_control(&mut self, kind: u32, payload: &[u8]) -> Result<(), SendError> {
        self.check(payload.len())?;
        self.producer.control(kind, payload).map_err(|Full| SendError::Full)?;
        self.show()
    }

    /// Waits for room, at most `timeout`. What was staged before is shown meanwhile: its receiver makes
    /// the room.
    #[inline]
    pub fn send(&mut self, kind: u32, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        match self.try_send(kind, payload) {
            Err(SendError::Full) => self.send_patiently(kind, payload, timeout),
            done => done,
        }
    }

    fn send_patiently(&mut self, kind: u32, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        let began = Instant::now();
        loop {
            // What was staged before is shown: its receiver makes the room.
            self.show()?;
            let producer = &mut self.producer;
            if !self.spin.until(|| !producer.is_full() || producer.is_fenced()) {
                let left = timeout.saturating_sub(began.elapsed());
                if left.is_zero() {
                    return Err(SendError::TimedOut(timeout));
                }
                self.room.wait(left.min(LOOK), || !producer.is_full() || producer.is_fenced());
            }
            match self.try_send(kind, payload) {
                Err(SendError::Full) => {}
                done => return done,
            }
        }
    }

    /// Puts a record into the ring without showing it: [`Sender::flush`] shows all that were.
    #[inline]
    pub fn stage(&mut self, kind: u32, payload: &[u8]) -> Result<(), SendError> {
        self.check(payload.len())?;
        self.producer.put(kind, payload).map_err(|Full| SendError::Full)
    }

    #[inline]
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.show()
    }

    /// Lends the next slot: write it in place, [`Claim::commit`] it, then [`Sender::flush`].
    #[inline]
    pub fn claim(&mut self) -> Result<Claim<'_>, SendError> {
        if self.producer.is_fenced() {
            return Err(SendError::Fenced);
        }
        self.producer.claim().map_err(|Full| SendError::Full)
    }

    fn check(&self, len: usize) -> Result<(), SendError> {
        if len > self.payload_max {
            return Err(SendError::TooLarge { len, max: self.payload_max });
        }
        if self.producer.is_fenced() {
            return Err(SendError::Fenced);
        }
        Ok(())
    }

    #[inline]
    fn show(&mut self) -> Result<(), SendError> {
        self.producer.publish();
        self.peer.ring();
        // Behind the bell's fence: whoever sealed us off has seen the record, or we see the seal.
        if self.producer.is_fenced() { Err(SendError::Fenced) } else { Ok(()) }
    }
}

/// The receiving end of one side.
#[derive(Debug)]
pub struct Receiver {
    consumer: Consumer,
    spin: Spin,
    bell: &'static Doorbell,
    peer_room: &'static Doorbell,
}

impl Receiver {
    /// Hands what there is, at most `limit` records, to `each`; what `each` has returned from will not
    /// come again to this receiver. It is acknowledged now and then, and when a look finds nothing: a
    /// successor of this receiver begins with what was not. Never sleeps.
    #[inline]
    pub fn poll(&mut self, limit: usize, each: impl FnMut(Message<'_>)) -> Result<usize, RingError> {
        let taken = self.consumer.poll(limit, each);
        // Whoever polls comes by again, and whoever sleeps rings with a fence before.
        self.peer_room.ring_relaxed();
        taken
    }

    /// Waits until there is something, at most `timeout`; true if there is.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let consumer = &mut self.consumer;
        if self.spin.until(|| consumer.is_ready()) {
            return true;
        }
        // The sender may wait for the room of what we have taken.
        consumer.acknowledge();
        self.peer_room.ring();
        self.bell.wait(timeout, || consumer.is_ready());
        consumer.is_ready()
    }

    /// Hears no more of the sender after what it was told is sent: see [`Consumer::seal`].
    pub fn seal(&mut self) {
        self.consumer.seal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(records: u32, payload_max: u32) -> (tempfile::TempDir, Channel) {
        let dir = tempfile::tempdir().unwrap();
        let channel = Channel::create(&dir.path().join("channel"), records, payload_max).unwrap();
        (dir, channel)
    }

    fn all(receiver: &mut Receiver) -> Vec<Vec<u8>> {
        let mut got = Vec::new();
        loop {
            let each = |message: Message<'_>| {
                let mut bytes = vec![0; message.len()];
                message.copy_to(&mut bytes);
                got.push(bytes);
            };
            if receiver.poll(256, each).unwrap() == 0 {
                return got;
            }
        }
    }

    #[test]
    fn a_ring_has_a_size_by_default() {
        assert_eq!(default_records(64), 4096);
        assert_eq!(default_records(1024), 512);
        assert_eq!(default_records(1 << 20), 64);
        assert_eq!(default_records(u32::MAX), 64);
    }

    #[test]
    fn both_sides_hear_each_other() {
        let (dir, channel) = channel(4, 100);
        let other = Channel::attach(&dir.path().join("channel")).unwrap();
        let (mut ask, mut hear) = channel.ends(Side::First).unwrap();
        let (mut reply, mut listen) = other.ends(Side::Second).unwrap();
        ask.try_send(1, b"question").unwrap();
        assert!(listen.wait(Duration::ZERO));
        assert_eq!(all(&mut listen), [b"question".to_vec()]);
        reply.try_send(1, b"answer").unwrap();
        assert_eq!(all(&mut hear), [b"answer".to_vec()]);
        assert!(matches!(channel.ends(Side::First), Err(BusError::EndTaken { .. })));
    }

    #[test]
    fn a_flood_of_data_leaves_room_for_control() {
        let (_dir, channel) = channel(32, 8);
        let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
        let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
        let mut sent = 0;
        while sender.try_send(1, b"data").is_ok() {
            sent += 1;
        }
        assert_eq!(sent, 30);
        sender.try_send_control(2, b"stop").unwrap();
        sender.try_send_control(2, b"stop").unwrap();
        assert_eq!(sender.try_send_control(2, b"stop"), Err(SendError::Full));
        assert_eq!(all(&mut receiver).len(), 32);
    }

    /// Two are in a ring for two.
    fn sends_the_third_as_soon_as_there_is_room(mut sender: Sender, receiver: &mut Receiver) {
        let sleeper = std::thread::spawn(move || sender.send(1, b"3", Duration::from_secs(3600)));
        let mut got = Vec::new();
        while got.len() < 3 {
            got.append(&mut all(receiver));
            receiver.wait(Duration::from_millis(1));
        }
        assert_eq!(sleeper.join().unwrap(), Ok(()));
        assert_eq!(got, [b"1", b"2", b"3"]);
    }

    #[test]
    fn a_sender_waits_for_room_until_its_deadline() {
        let (_dir, channel) = channel(2, 8);
        let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
        let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
        sender.try_send(1, b"1").unwrap();
        sender.try_send(1, b"2").unwrap();
        let timeout = Duration::from_millis(20);
        assert_eq!(sender.send(1, b"3", timeout), Err(SendError::TimedOut(timeout)));
        sends_the_third_as_soon_as_there_is_room(sender, &mut receiver);
    }

    #[test]
    fn who_waits_for_room_has_shown_what_it_staged() {
        let (_dir, channel) = channel(2, 8);
        let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
        let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
        sender.stage(1, b"1").unwrap();
        sender.stage(1, b"2").unwrap();
        sends_the_third_as_soon_as_there_is_room(sender, &mut receiver);
    }

    #[test]
    fn a_name_that_is_taken_is_not_replaced() {
        let (dir, _channel) = channel(2, 8);
        let path = dir.path().join("channel");
        assert!(Channel::create(&path, 2, 8).is_err());
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 1, "what was unfinished is gone");
    }

    #[test]
    fn too_much_for_a_slot_is_refused() {
        let (_dir, channel) = channel(2, 8);
        let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
        assert_eq!(sender.try_send(1, &[0; 9]), Err(SendError::TooLarge { len: 9, max: 8 }));
    }

    #[test]
    fn a_sealed_sender_is_told_and_what_it_was_told_is_sent_is_found() {
        let (_dir, channel) = channel(8, 8);
        let (mut sender, _receiver) = channel.ends(Side::First).unwrap();
        let (_sender, mut receiver) = channel.ends(Side::Second).unwrap();
        sender.try_send(1, b"heard").unwrap();
        receiver.seal();
        assert_eq!(sender.try_send(1, b"unheard"), Err(SendError::Fenced));
        assert_eq!(all(&mut receiver), [b"heard".to_vec()]);
    }

    #[test]
    fn nobody_takes_over_from_the_living() {
        let (_dir, channel) = channel(8, 8);
        let (_sender, _receiver) = channel.ends(Side::First).unwrap();
        let refused = channel.take_over(Side::First).unwrap_err().to_string();
        assert!(refused.contains("lives"), "{refused}");
    }
}
