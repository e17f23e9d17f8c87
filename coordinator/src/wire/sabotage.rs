//! A task that makes its worker defective, so that those who judge fleets can prove that they notice.
//!
//! It is a [`Canary`](super::TaskKind::Canary) whose body is a [`Sabotage`] and then the payload, which a worker without the
//! defect sends back unchanged after a while. What the worker does is in `process/worker/saboteur.rs`. Deliberately absent: when and in which fleets, which is for the client.

use crate::raw::raw_enum;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

raw_enum! {
    /// What is wrong with a worker.
    pub enum Defect: u32 {
        /// Nothing: it waits and sends the payload back.
        None = 1,
        /// It keeps `amount` bytes, a task or an hour.
        LeakMemory = 2,
        /// It keeps `amount` descriptors, a task or an hour.
        LeakDescriptors = 3,
        /// A task takes it `amount` thousandths of its time; or grows to that in an hour, and goes on growing.
        Slow = 4,
        /// It shows no progress any more.
        Hang = 5,
        /// It ends neither at SIGTERM nor when its coordinator asks.
        IgnoreStop = 6,
        /// It answers `amount` nanoseconds after the task's deadline.
        AnswerLate = 7,
        /// A byte of the payload is another one.
        AnswerWrong = 8,
        /// It answers again.
        AnswerTwice = 9,
        /// It gives the answer to the next task of the same client.
        AnswerForAnother = 10,
        /// It does the task and gives no answer.
        NoAnswer = 11,
        /// It is killed by SIGKILL with the task in hand.
        Crash = 12,
        /// It starts a process that outlives the task by `amount` seconds.
        LeaveOrphan = 13,
    }
}

raw_enum! {
    /// What an amount is for.
    pub enum Per: u32 {
        Task = 1,
        Hour = 2,
    }
}

/// What a task may leak at most: more would be a mistake in an amount, and end the host's other programs.
pub const LEAK_BYTES_MAX: u32 = 1 << 30;
/// Likewise.
pub const LEAK_DESCRIPTORS_MAX: u32 = 1 << 16;

/// No order to a canary begins like this: those are JSON.
const MAGIC: u32 = u32::from_le_bytes(*b"\0sab");

/// A body's fixed part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Sabotage {
    /// Always the same.
    pub magic: u32,
    /// A [`Defect`].
    pub defect: u32,
    /// A [`Per`].
    pub per: u32,
    /// Only every n-th task that a worker gets with this defect; 1 for each.
    pub every: u32,
    pub amount: u64,
    /// How long a task takes without the defect.
    pub time_ns: u64,
    /// Only in workers whose [`lot`] with this seed is not above `lot_most`.
    pub seed: u64,
    pub lot_most: u64,
}

/// Bytes of a [`Sabotage`].
pub const SABOTAGE_LEN: usize = size_of::<Sabotage>();
const _: () = assert!(SABOTAGE_LEN == 48);

impl Sabotage {
    /// In every worker, with each task.
    pub fn new(defect: Defect, per: Per, amount: u64) -> Self {
        Self {
            magic: MAGIC,
            defect: defect as u32,
            per: per as u32,
            every: 1,
            amount,
            time_ns: 0,
            seed: 0,
            lot_most: u64::MAX,
        }
    }

    /// The body of a task.
    pub fn body(&self, payload: &[u8]) -> Vec<u8> {
        [self.as_bytes(), payload].concat()
    }

    /// The fixed part of a body; `None` if that is of another kind.
    pub fn of_body(body: &[u8]) -> Option<Self> {
        Some(Self::read_from_prefix(body).ok()?.0).filter(|sabotage| sabotage.magic == MAGIC)
    }

    /// Whether a worker is one of those that have the defect.
    pub fn is_for(&self, coordinator: u32, worker: u32) -> bool {
        lot(self.seed, coordinator, worker) <= self.lot_most
    }
}

/// A number that each worker's place draws from a seed. A client that knows the shape of a fleet chooses as many workers as it
/// wants by the greatest lot that counts, whichever of them gets a task. (SplitMix64's finaliser, which maps no two places
/// of a fleet to one number.)
pub fn lot(seed: u64, coordinator: u32, worker: u32) -> u64 {
    let mut lot = seed ^ (u64::from(coordinator) << 32 | u64::from(worker));
    lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    lot ^ (lot >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_of_the_smallest_lots_chooses_exactly_as_many_workers() {
        let places: Vec<(u32, u32)> = (0..7).flat_map(|c| (0..100).map(move |w| (c, w))).collect();
        for seed in 0..20 {
            let mut lots: Vec<u64> = places.iter().map(|&(c, w)| lot(seed, c, w)).collect();
            lots.sort_unstable();
            for count in [1, 3, 350, 700] {
                let sabotage =
                    Sabotage { seed, lot_most: lots[count - 1], ..Sabotage::new(Defect::Hang, Per::Task, 0) };
                let chosen = places.iter().filter(|&&(c, w)| sabotage.is_for(c, w)).count();
                assert_eq!(chosen, count, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_sabotage_survives_its_body() {
        let sabotage = Sabotage { every: 7, ..Sabotage::new(Defect::LeakMemory, Per::Hour, 1 << 40) };
        let body = sabotage.body(b"payload");
        assert_eq!(Sabotage::of_body(&body), Some(sabotage));
        assert_eq!(&body[SABOTAGE_LEN..], b"payload");
        assert_eq!(Sabotage::of_body(&body[..SABOTAGE_LEN - 1]), None);
        assert_eq!(Sabotage::of_body(&[b' '; SABOTAGE_LEN]), None);
    }
}
