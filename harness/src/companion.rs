//! Processes of the harness's own beside its fleet: they end with it, however it ends.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::io;

/// Makes this process die with its parent, by the kernel's doing; false if that has died already.
///
/// # Errors
/// The kernel does not let it.
pub(crate) fn dies_with(parent: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent))
}
