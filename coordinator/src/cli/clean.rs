//! `coordinator clean`: removes leftovers of owners that are proven dead, and of nobody else.

use super::{FAILED, OK, Place, complain, hand_out, warn};
use crate::bus::directory::{Owner, control_path};
use crate::bus::view::Control;
use crate::client::launch::remove_with_temporary;
use std::fmt::Write as _;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator clean --dry-run")]
pub(super) struct Args {
    /// Only list what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

/// A coordinator of the fleet in `dir` is there. One whose words this build cannot read has its supervisor's death
/// alone to go by.
fn has_living(dir: &std::path::Path) -> bool {
    Control::attach(&control_path(dir)).is_ok_and(|control| control.has_living_coordinator())
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match args.place.fleets() {
        Ok(found) => found,
        Err(status) => return status,
    };
    let mut status = OK;
    let (mut dead, mut said) = (0, String::new());
    for fleet in &found {
        let path = fleet.path.display();
        match fleet.owner {
            Owner::Alive(_) => {}
            Owner::Unknown => {
                warn(format!("{path} does not say whose it is; left alone"));
            }
            // It may be adopted.
            Owner::Dead(owner) if has_living(&fleet.path) => {
                warn(format!(
                    "{path}: its supervisor, process {}, is dead, and a coordinator lives; left alone",
                    owner.pid
                ));
            }
            Owner::Dead(owner) => {
                dead += 1;
                if args.dry_run {
                    let _ = writeln!(
                        said,
                        "would remove {path} (its supervisor, process {}, is dead)",
                        owner.pid
                    );
                } else if let Err(error) = remove_with_temporary(&fleet.path) {
                    complain(format!("{path}: {error}"), "");
                    status = FAILED;
                } else {
                    let _ = writeln!(said, "removed {path} (its supervisor, process {}, is dead)", owner.pid);
                }
            }
        }
    }
    if dead == 0 {
        said = format!("nothing to remove under {}\n", args.place.shm_dir.display());
    }
    hand_out(said.as_bytes()).err().unwrap_or(status)
}
