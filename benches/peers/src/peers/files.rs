//! The origin's pattern: one file a message in /dev/shm, written beside and renamed, an inbox listed under a lock.
//!
//! Kinder than the origin, which is shell: no process a message, no four `sync`s, no pause between two looks (its
//! reader would sleep), ids that do not collide. What its ids lose is measured apart, in [`lost_share`].

use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

pub struct Inboxes {
    room: PathBuf,
}

pub struct End {
    out: PathBuf,
    inbox: PathBuf,
    sent: u64,
    buffer: Vec<u8>,
}

const SIDES: [&str; 2] = ["to-far", "to-near"];

impl Peer for Inboxes {
    type Link = End;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        for inbox in SIDES {
            fs::create_dir(terms.room.join(inbox))?;
            File::create(terms.room.join(inbox).join("lock"))?;
        }
        Ok(Self { room: terms.room.to_owned() })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        Ok(End {
            out: self.room.join(SIDES[side.index()]),
            inbox: self.room.join(SIDES[1 - side.index()]),
            sent: 0,
            buffer: vec![0; 64 << 10],
        })
    }
}

fn locked(inbox: &Path) -> Result<Flock<File>> {
    let file = File::open(inbox.join("lock"))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).context("flock")
}

impl Link for End {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        fill.bytes(&mut self.buffer[..len]);
        let _lock = locked(&self.out)?;
        let beside = self.out.join("new");
        File::create(&beside)?.write_all(&self.buffer[..len])?;
        fs::rename(&beside, self.out.join(format!("msg-{:012}", self.sent)))?;
        self.sent += 1;
        Ok(())
    }

    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        loop {
            let lock = locked(&self.inbox)?;
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.inbox)? {
                let name = entry?.file_name();
                if name.as_encoded_bytes().starts_with(b"msg-") {
                    names.push(name);
                }
            }
            names.sort_unstable();
            names.truncate(limit);
            for name in &names {
                let path = self.inbox.join(name);
                let message = fs::read(&path)?;
                see.bytes(&message);
                fs::remove_file(&path)?;
            }
            drop(lock);
            if !names.is_empty() {
                return Ok(names.len());
            }
            // the origin has nothing to wait on
            std::thread::yield_now();
        }
    }
}

/// What share of `replies`, sent by as many senders within one second, the origin's ids lose.
///
/// Its id, and the file's name, is the second and a draw out of a thousand; a second file of a name replaces the
/// first, and both senders are told that it went well. Every file is really written, renamed and counted.
pub fn lost_share(room: &Path, replies: usize, seed: u64) -> Result<f64> {
    let inbox = tempfile::Builder::new().prefix("ids-").tempdir_in(room)?;
    let mut draw = Draw(seed);
    for reply in 0..replies {
        let beside = inbox.path().join(format!("new-{reply}"));
        File::create(&beside)?.write_all(&reply.to_le_bytes())?;
        fs::rename(&beside, inbox.path().join(format!("msg-1759700000-{:03}", draw.next() % 1000)))?;
    }
    let mut left = HashSet::new();
    for entry in fs::read_dir(inbox.path())? {
        left.insert(fs::read(entry?.path())?);
    }
    Ok(1.0 - left.len() as f64 / replies as f64)
}

/// Steele, Lea and Flood's `SplitMix64`: draws that can be repeated.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
