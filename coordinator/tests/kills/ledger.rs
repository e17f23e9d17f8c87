//! What was sent, told, recorded and heard: kept where a kill does not reach it.

use coordinator::bus::channel::Receiver;
use coordinator::bus::ring::Message;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Who wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Victim = 1,
    Peer = 2,
    Heir = 3,
}

/// Records have at most so many bytes, and at least sixteen: between them they end in every word of a
/// slot, and in the middle of one.
pub const PAYLOAD_MAX: u32 = 200;

/// The bytes of record `number`: any other record's bytes are told apart, and so is half a record.
pub fn payload(who: Who, number: u64) -> Vec<u8> {
    let len = 16 + (number * 53 % (u64::from(PAYLOAD_MAX) - 15)) as usize;
    let mut bytes = vec![0; len];
    bytes[..8].copy_from_slice(&number.to_ne_bytes());
    bytes[8] = who as u8;
    for (at, byte) in bytes.iter_mut().enumerate().skip(9) {
        *byte = (number as u8).wrapping_mul(31).wrapping_add(at as u8 ^ who as u8) | 1;
    }
    bytes
}

/// The number of a record of `who`, if it is whole.
pub fn number(message: &Message<'_>, who: Who) -> Result<u64, String> {
    let mut bytes = [0; PAYLOAD_MAX as usize];
    let bytes = message.copy_to(&mut bytes);
    let number = bytes.first_chunk().map_or(0, |number| u64::from_ne_bytes(*number));
    if bytes == payload(who, number) { Ok(number) } else { Err(format!("no record of {who:?}'s: {bytes:?}")) }
}

/// Everything that there is to hear of `who`.
pub fn drain(receiver: &mut Receiver, who: Who) -> Result<Vec<u64>, String> {
    let mut heard = Vec::new();
    let mut torn = None;
    loop {
        let each = |message: Message<'_>| match number(&message, who) {
            Ok(number) => heard.push(number),
            Err(why) => torn = Some(why),
        };
        let taken = receiver.poll(256, each).map_err(|error| error.to_string())?;
        if let Some(why) = torn {
            return Err(why);
        }
        if taken == 0 {
            return Ok(heard);
        }
    }
}

/// Numbers that were written down before their writer died.
#[derive(Debug)]
pub struct Journal(PathBuf);

impl Journal {
    /// What the victim was told is sent.
    pub fn told(dir: &Path) -> Self {
        Self(dir.join("told"))
    }

    /// What the victim has heard, and made to last.
    pub fn recorded(dir: &Path) -> Self {
        Self(dir.join("recorded"))
    }

    pub fn open(&self) -> File {
        OpenOptions::new().create(true).append(true).open(&self.0).unwrap()
    }

    pub fn read(&self) -> Vec<u64> {
        let bytes = std::fs::read(&self.0).unwrap_or_default();
        bytes.as_chunks().0.iter().map(|number| u64::from_ne_bytes(*number)).collect()
    }
}

pub fn note(journal: &mut File, number: u64) {
    journal.write_all(&number.to_ne_bytes()).unwrap();
}

/// `numbers` are 1, 2, 3 and so on.
pub fn counts_from_one(what: &str, numbers: &[u64]) -> Result<u64, String> {
    let count = numbers.len() as u64;
    if numbers.iter().copied().eq(1..=count) { Ok(count) } else { Err(format!("{what}: {numbers:?}")) }
}

pub fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
