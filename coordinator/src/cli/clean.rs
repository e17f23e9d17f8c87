//! `coordinator clean`: removes what fleets left behind whose supervisors are proven dead, and nothing else.

use super::{FAILED, OK, Place, print};
use crate::bus::directory::{Held, Owner, control_path};
use crate::bus::sync::Ordering;
use crate::bus::view::Control;
use crate::os::identity::Identity;
use crate::process::descent::{self, Stranger};
use crate::process::nested::remove_with_temporary;
use notation::visible;
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

/// What the fleet in `dir` had started and what outlived all its processes, the guard too; killed unless this is a rehearsal.
/// Only of a fleet that this build can read, and whose supervisor was `owner`.
fn processes(dir: &Path, owner: Identity, end: bool) -> Vec<Stranger> {
    let Ok(control) = Control::attach(&control_path(dir)) else { return Vec::new() };
    let marker = control.state().marker.load(Ordering::Acquire);
    if control.stamped().owner != owner || marker == 0 {
        return Vec::new();
    }
    let mut found: Vec<Stranger> = Vec::new();
    loop {
        let now = descent::left_of(marker, end);
        let new: Vec<_> = now.into_iter().filter(|one| !found.contains(one)).collect();
        // One that forks and is killed during a search shows its child in the next.
        if new.is_empty() {
            return found;
        }
        found.extend(new);
    }
}

/// Removes what is at `dir`, if that is still the fleet whose supervisor was `owner`.
fn remove(dir: &Path, owner: Identity) -> io::Result<()> {
    let held = Held::open(dir)?;
    if held.head().is_ok_and(|head| head.owner != owner) {
        return Err(io::Error::other("another fleet has this name now"));
    }
    remove_with_temporary(&held, |temporary, error| {
        print::warn(format_args!(
            "{}: temporary files of its workers stay in {}: {error}",
            dir.display(),
            temporary.display()
        ));
    })
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
                "{path} is owned in another pid or time namespace, or on another host, and whether its supervisor is alive \
                 cannot be checked here; left alone: run `clean` there"
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
                let verb = if args.dry_run { "would end" } else { "ended" };
                for Stranger { pid, name } in processes(&fleet.path, owner, !args.dry_run) {
                    let name = visible::line(&name);
                    let _ =
                        writeln!(text, "{verb} process {pid} ({name}), which that fleet had started: {path}");
                }
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
    print::text(text).err().unwrap_or(status)
}
