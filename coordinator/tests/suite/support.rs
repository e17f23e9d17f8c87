//! What several parts share: a fleet of the test's own, what came of its tasks, and what not every desk gives.

pub mod outcomes;
pub mod random;
pub mod skips;
pub mod stalled;
pub mod up;
pub mod wants;
