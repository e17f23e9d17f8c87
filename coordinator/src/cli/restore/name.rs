//! The name of the new fleet, which the one that a killed restore has started may still have: that one ends by itself.

use super::super::{INTERRUPTED, USAGE, print};
use super::stops;
use crate::bus::directory::{Owner, control_path, find, fleet_dir};
use crate::bus::slot::Stage;
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::client::Identity;
use std::path::Path;
use std::time::{Duration, Instant};

/// A fleet whose owner was killed ends its workers, with the default grace for their commands, and removes its files in far less.
const ENDED_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

pub(super) const HINT: &str = "`--name` gives the new fleet another name, or end that one first: `coordinator stop`, or `coordinator clean` if it is \
                               dead; the file was not changed";

/// Waits until no fleet in `root` has the name `id`, as long as the one that has it may be ending. Errors are already printed.
pub(super) fn wait_until_free(root: &Path, id: &str) -> Result<(), u8> {
    let (dir, begun) = (fleet_dir(root, id), Instant::now());
    while dir.symlink_metadata().is_ok() {
        if stops() > 0 {
            print::error("interrupted while waiting for the name", "the file was not changed");
            return Err(INTERRUPTED);
        }
        if !may_be_ending(root, &dir) || begun.elapsed() >= ENDED_WITHIN {
            print::error(format_args!("{}: a fleet with that name already exists", dir.display()), HINT);
            return Err(USAGE);
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// It has a supervisor, and is not served, or its client was killed.
fn may_be_ending(root: &Path, dir: &Path) -> bool {
    // Not one that was being made under the same name.
    let found = find(root).unwrap_or_default().into_iter().find(|found| found.path == dir);
    // One that is not listed is another user's, or has just gone.
    let Some(found) = found else { return dir.symlink_metadata().is_err() };
    // Its supervisor removes the files as its last act.
    let is_gone = || found.path.symlink_metadata().is_err();
    let Ok(control) = Control::attach(&control_path(&found.path)) else {
        return !matches!(found.owner, Owner::Dead(_)) || is_gone();
    };
    if matches!(found.owner, Owner::Dead(_)) {
        return is_gone();
    }
    let state = control.state();
    let client = Identity {
        pid: state.client_pid.load(Ordering::Acquire),
        start_ticks: state.client_start.load(Ordering::Acquire),
    };
    control.stage() != Stage::Ready || client.pid != 0 && client.is_gone()
}
