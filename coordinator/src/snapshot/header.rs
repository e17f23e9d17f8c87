//! The first line of a file about a fleet.

use super::record::{Header, Kind};
use crate::bus::directory::control_path;
use crate::bus::error::BusError;
use crate::bus::view::Control;
use crate::os::clock::unix_ns;
use std::path::Path;

/// The header of a file about the fleet in `dir`. The numbers of processes in it are 0: unknown.
///
/// # Errors
/// The fleet's control file cannot be read.
pub fn header_of(dir: &Path, name: &str, file: Kind) -> Result<Header, BusError> {
    let control = Control::attach(&control_path(dir))?;
    let stamped = control.stamped();
    let options = control.options();
    let header = Header::new(file, name, &stamped.shape, &options, stamped.epoch, unix_ns());
    Ok(Header { coordinators: 0, workers: 0, ..header })
}
