//! `coordinator clean`: removes what fleets left behind whose supervisors are proven dead, and nothing else.

use super::{FAILED, OK, Place, print};
use crate::bus::directory::{Held, Owner, control_path};
use crate::bus::view::Control;
use crate::os::identity::Identity;
use crate::process::nested::remove_with_temporary;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: coordinator clean --dry-run")]
pub(super) struct Args {
    /// Only list what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

/// Whether a coordinator of the fleet in `dir` is alive. Of a fleet that this build cannot read, only the death of its
/// supervisor is known.
fn has_living(dir: &Path) -> bool {
    Control::attach(&control_path(dir)).is_ok_and(|control| control.has_living_coordinator())
}

/// Removes what is at `dir`, if that is still the fleet whose supervisor was `owner`.
fn remove(dir: &Path, owner: Identity) -> io::Result<()> {
    let held = Held::open(dir)?;
    if held.head().is_ok_and(|head| head.owner != owner) {
        return Err(io::Error::other("another fleet has this name now"));
    }
    remove_with_temporary(&held)
}

pub(super) fn main(args: &Args) -> u8 {
    let found = match args.place.fleets() {
        Ok(found) => found,
        Err(status) => return status,
    };
    let mut status = OK;
    let (mut dead, mut text) = (0, String::new());
    for fleet in &found {
        let path = fleet.path.display();
        match fleet.owner {
            Owner::Alive(_) => {}
            Owner::Elsewhere => print::warn(format!(
                "{path} is owned in another pid or time namespace, and whether its supervisor is alive cannot be checked \
                 here; left alone: run `clean` there"
            )),
            Owner::Unknown => {
                print::warn(format!("{path} does not name its supervisor; left alone"));
            }
            // Another supervisor may adopt it.
            Owner::Dead(owner) if has_living(&fleet.path) => {
                print::warn(format!(
                    "{path}: its supervisor, process {}, is dead, but a coordinator is alive; left alone",
                    owner.pid
                ));
            }
            Owner::Dead(owner) => {
                dead += 1;
                if args.dry_run {
                    let _ = writeln!(
                        text,
                        "would remove {path} (its supervisor, process {}, is dead)",
                        owner.pid
                    );
                } else if let Err(error) = remove(&fleet.path, owner) {
                    print::error(format!("{path}: {error}"), "");
                    status = FAILED;
                } else {
                    let _ = writeln!(text, "removed {path} (its supervisor, process {}, is dead)", owner.pid);
                }
            }
        }
    }
    if dead == 0 {
        text = format!("nothing to remove under {}\n", args.place.shm_dir.display());
    }
    print::output(text.as_bytes()).err().unwrap_or(status)
}
