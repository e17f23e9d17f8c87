//! What a peer is to the bench: something that two processes share, and the end that each of them holds.
//!
//! A peer is prepared before the processes are forked (files, sockets, servers) and connected in each of them.
//! How long a message waits in a peer is the peer's business; that it arrives, whole and in order, is checked by
//! the caller.

use crate::payload::{Fill, See};
use anyhow::Result;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Which of the two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Sends first (one way: sends only).
    Near,
    /// Answers (one way: receives only).
    Far,
}

impl Side {
    pub fn index(self) -> usize {
        match self {
            Side::Near => 0,
            Side::Far => 1,
        }
    }
}

/// One end of a two-way link.
///
/// Polled links never sleep: `send` spins until there is room, `take` may return 0. Sleeping links sleep in both.
pub trait Link {
    /// Hands over a message of `len` bytes that `fill` writes: into the peer's own memory where it lends some.
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()>;

    /// Takes up to `limit` messages and shows each to `see`, where it lies if the peer allows that; how many.
    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize>;

    /// Gets out what `send` may have kept back. Links that keep nothing back do nothing.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What the two ends have in common.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// A directory in /dev/shm, empty, this sample's own.
    pub room: &'a Path,
    /// Bytes a message.
    pub size: usize,
}

pub trait Peer: Sized {
    type Link: Link;

    /// In the process that forks the two; it must not start threads.
    fn prepare(terms: Terms<'_>) -> Result<Self>;

    /// In each of the two.
    fn connect(&self, side: Side) -> Result<Self::Link>;

    /// Processes besides the two whose CPU seconds are the peer's too.
    fn servers(&self) -> Vec<Pid> {
        Vec::new()
    }
}
