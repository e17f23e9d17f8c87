//! How values and records are written as text, the same for users and files of every program here.
//!
//! The ground floor of the workspace: `coordinator`, `harness` and `reports` use it, and it knows none of
//! them. A module comes in when two crates would otherwise each have a grammar of their own for the
//! same text. Deliberately absent: files, clocks, processes, and anything a single crate alone needs.
#![forbid(unsafe_code)]

pub mod count;
pub mod duration;
pub mod framed;
pub mod shell;
pub mod size;
pub mod suggest;
pub mod visible;
