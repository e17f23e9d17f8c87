//! Our own bus: a channel as any program gets it from `coordinator::bus::channel`, in one configuration for every row.
//!
//! Two ways of using it, as with Aeron: by copy (`try_send`, and the receiver copies out), and lent (`claim`,
//! `commit`, and the receiver reads in place). The only other difference between rows is whether the receiver, finding
//! nothing, asks again or waits.

use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See, Stamped};
use anyhow::{Context, Result, bail};
use coordinator::bus::channel::{self, Channel, Receiver, SendError, Sender};
use std::time::Duration;

/// The library's default.
pub fn records(size: usize) -> u32 {
    channel::default_records(size as u32)
}

const KIND: u32 = 1;
const WAIT: Duration = Duration::from_secs(1);

/// `SLEEPING`: waits instead of asking again. `LENT`: in place instead of by copy.
pub struct Bus<const SLEEPING: bool, const LENT: bool> {
    path: std::path::PathBuf,
    size: usize,
}

pub struct End<const SLEEPING: bool, const LENT: bool> {
    sender: Sender,
    receiver: Receiver,
    out: Vec<u8>,
    copy: Vec<u8>,
}

pub fn side_of(side: Side) -> channel::Side {
    match side {
        Side::Near => channel::Side::First,
        Side::Far => channel::Side::Second,
    }
}

impl<const SLEEPING: bool, const LENT: bool> Peer for Bus<SLEEPING, LENT> {
    type Link = End<SLEEPING, LENT>;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        let path = terms.room.join("channel");
        Channel::create(&path, records(terms.size), terms.size as u32)?;
        Ok(Self { path, size: terms.size })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        let (sender, receiver) = Channel::attach(&self.path)?.ends(side_of(side))?;
        Ok(End { sender, receiver, out: vec![0; self.size], copy: vec![0; self.size] })
    }
}

impl<const SLEEPING: bool, const LENT: bool> End<SLEEPING, LENT> {
    /// Shows what was staged. (`Link::flush` has nothing to do: `Link::send` keeps nothing back.)
    pub fn show(&mut self) -> Result<()> {
        self.sender.flush().context("flush")
    }

    /// Writes a message without showing it.
    pub fn stage<const SIZE: usize>(&mut self, message: Stamped<SIZE>) -> Result<()> {
        message.bytes(&mut self.out[..SIZE]);
        loop {
            match self.sender.stage(KIND, &self.out[..SIZE]) {
                Ok(()) => return Ok(()),
                // what is staged must be seen before there can be room
                Err(SendError::Full) => self.sender.flush().context("flush")?,
                Err(error) => bail!("stage: {error}"),
            }
        }
    }
}

impl<const SLEEPING: bool, const LENT: bool> Link for End<SLEEPING, LENT> {
    #[inline(always)]
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        if LENT {
            loop {
                match self.sender.claim() {
                    Ok(claim) => {
                        fill.words(claim.words());
                        claim.commit(KIND, len);
                        break;
                    }
                    Err(SendError::Full) => {}
                    Err(error) => bail!("claim: {error}"),
                }
            }
            return self.sender.flush().context("flush");
        }
        let message = &mut self.out[..len];
        fill.bytes(message);
        if SLEEPING {
            return self.sender.send(KIND, message, WAIT).context("send");
        }
        loop {
            match self.sender.try_send(KIND, message) {
                Ok(()) => return Ok(()),
                Err(SendError::Full) => {}
                Err(error) => bail!("send: {error}"),
            }
        }
    }

    #[inline(always)]
    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        loop {
            let copy = &mut self.copy;
            let taken = self.receiver.poll(limit, |message| {
                if LENT {
                    see.words(message.words(), message.len());
                } else {
                    see.bytes(message.copy_to(copy));
                }
            })?;
            if taken > 0 || !SLEEPING {
                return Ok(taken);
            }
            self.receiver.wait(WAIT);
        }
    }
}
