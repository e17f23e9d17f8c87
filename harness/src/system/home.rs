//! What a system is started from.

use super::Program;
use std::path::PathBuf;

/// What a system is given to start from: its program, and where it keeps what belongs to one run.
#[derive(Debug, Clone)]
pub struct Home {
    /// How to start a fleet's supervisor, which is the harness itself: [`own_program`], except in tests.
    pub program: Program,
    /// Where fleets keep their shared memory.
    pub shm_dir: PathBuf,
    pub run_id: String,
    /// Whether calls of the system on shared memory are to fail: it is started below a filter then.
    pub traps_calls: bool,
    /// Gets the stderr of the system's processes.
    pub stderr: PathBuf,
}

/// This very program, as the supervisor of a fleet.
pub fn own_program() -> Program {
    Program::own(&["coordinator"])
}
