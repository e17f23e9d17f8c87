//! The edge that obeys the plans: supervisor, coordinators, workers, as real processes.
//!
//! supervisor --forks--> coordinators --fork--> workers. Each is single-threaded and small when it
//! forks, so it is its own zygote: a child is loaded already, has a real parent that reaps it, and
//! dies with it. The guard alone outlives its parent, to end what others can no longer end.

pub mod agent;
pub mod coordinator;
pub mod damage;
pub mod descent;
pub mod exec;
pub mod floor;
pub mod fork;
pub mod guard;
pub mod host;
pub mod inherited;
pub mod nested;
mod offspring;
mod pidfd;
pub mod reap;
pub mod reset;
pub mod supervisor;
pub mod worker;

#[cfg(test)]
#[path = "../tests/suite/support/skips.rs"]
pub(crate) mod skips;
