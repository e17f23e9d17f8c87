//! The two ends of one side of a channel: what it sends with, and what it receives with.

use super::super::doorbell::Doorbell;
use super::super::ring::{Claim, Consumer, Full, Message, Producer, RingError};
use super::super::spin::Spin;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A sleeping sender looks this often, in case its receiver died between acknowledgement and bell.
const LOOK: Duration = Duration::from_millis(10);

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
    pub(super) consumer: Consumer,
    pub(super) spin: Spin,
    pub(super) bell: &'static Doorbell,
    pub(super) peer_room: &'static Doorbell,
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
