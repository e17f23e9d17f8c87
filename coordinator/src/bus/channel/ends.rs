//! The two ends of one side of a channel: what it sends with, and what it receives with.

use super::super::doorbell::Doorbell;
use super::super::ring::{Claim, Consumer, Full, Message, Producer, RingError};
use super::super::spin::Spin;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A sleeping sender looks this often, in case its receiver died between acknowledgement and bell.
const LOOK: Duration = Duration::from_millis(10);

/// Why nothing was sent, or why nothing can be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    #[error("the ring is full: the receiver is behind")]
    Full,
    #[error("the receiver made no room within {0:?}")]
    TimedOut(Duration),
    #[error("the payload has {len} bytes, but this channel takes at most {max}")]
    TooLarge { len: usize, max: usize },
    /// The receiver may have taken the record of this call, as the last one of this sender; it takes no later
    /// one.
    #[error("this sender has been replaced, or sealed off by its receiver: what it sends is ignored")]
    Fenced,
}

/// The sending end of one side.
#[derive(Debug)]
pub struct Sender {
    pub(super) producer: Producer,
    pub(super) payload_max: usize,
    /// While the ring is full.
    pub(super) spin: Spin,
    pub(super) peer: &'static Doorbell,
    pub(super) room: &'static Doorbell,
}

impl Sender {
    /// Sends now or not at all. When this returns `Ok` the receiver has the record, or will find it.
    #[inline]
    pub fn try_send(&mut self, kind: u32, payload: &[u8]) -> Result<(), SendError> {
        self.check(payload.len())?;
        self.producer.put(kind, payload).map_err(|Full| SendError::Full)?;
        self.publish()
    }

    /// As [`Sender::try_send`], but may also use the slots that are reserved for control records.
    pub fn try_send_control(&mut self, kind: u32, payload: &[u8]) -> Result<(), SendError> {
        self.check(payload.len())?;
        self.producer.control(kind, payload).map_err(|Full| SendError::Full)?;
        self.publish()
    }

    /// Waits for a free slot, at most `timeout`. What was staged before is published first, because the
    /// receiver must take it to free a slot.
    #[inline]
    pub fn send(&mut self, kind: u32, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        match self.try_send(kind, payload) {
            Err(SendError::Full) => self.send_blocking(kind, payload, timeout),
            done => done,
        }
    }

    fn send_blocking(&mut self, kind: u32, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        let began = Instant::now();
        loop {
            // What was staged is published first: the receiver must take it to free a slot.
            self.publish()?;
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

    /// Puts a record into the ring without publishing it: [`Sender::flush`] publishes all that were staged.
    #[inline]
    pub fn stage(&mut self, kind: u32, payload: &[u8]) -> Result<(), SendError> {
        self.check(payload.len())?;
        self.producer.put(kind, payload).map_err(|Full| SendError::Full)
    }

    #[inline]
    pub fn flush(&mut self) -> Result<(), SendError> {
        self.publish()
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
    fn publish(&mut self) -> Result<(), SendError> {
        self.producer.publish();
        self.peer.ring();
        // Behind the bell's fence: a receiver that sealed us off has seen the record, or we see the seal.
        if self.producer.is_fenced() { Err(SendError::Fenced) } else { Ok(()) }
    }
}

/// The receiving end of one side.
#[derive(Debug)]
pub struct Receiver {
    pub(super) consumer: Consumer,
    pub(super) spin: Spin,
    pub(super) bell: &'static Doorbell,
    pub(super) peer_room: &'static Doorbell,
}

impl Receiver {
    /// Hands what there is, at most `limit` records, to `each`; what `each` has returned from does not
    /// come again to this receiver. Records are acknowledged in batches, and when a look finds nothing: a
    /// successor of this receiver begins with the first that was not acknowledged. Never sleeps.
    #[inline]
    pub fn poll(&mut self, limit: usize, each: impl FnMut(Message<'_>)) -> Result<usize, RingError> {
        let taken = self.consumer.poll(limit, each);
        // A receiver that polls comes back soon, and one that sleeps rings with a fence first.
        self.peer_room.ring_relaxed();
        taken
    }

    /// Waits until there is something, at most `timeout`; true if there is.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let consumer = &mut self.consumer;
        if self.spin.until(|| consumer.is_ready()) {
            return true;
        }
        // The sender may wait for the slots of what we have taken.
        consumer.acknowledge();
        self.peer_room.ring();
        self.bell.wait(timeout, || consumer.is_ready());
        consumer.is_ready()
    }

    /// Takes nothing more from the sender than what it was told has been sent: see [`Consumer::seal`].
    pub fn seal(&mut self) {
        self.consumer.seal();
    }
}
