//! Which fleet a command is about.

use super::{FAILED, Place, print};
use crate::bus::directory::{Found, Owner, PREFIX};

/// The fleet of this name; without a name, the only one that is running, or the only one at all. Errors are already
/// printed.
pub(super) fn fleet(place: &Place, name: Option<&str>) -> Result<Found, u8> {
    let found = any(place, name)?;
    if found.owner == Owner::Elsewhere {
        // What its processes are, and when something happens, cannot be read here.
        print::error(
            format!("`{}` is owned in another pid or time namespace", found.id),
            "run this command there, such as in the container of the fleet",
        );
        return Err(FAILED);
    }
    Ok(found)
}

fn any(place: &Place, name: Option<&str>) -> Result<Found, u8> {
    let list = "`coordinator status` lists the fleets";
    // Not those that are still being created.
    let is_whole =
        |found: &Found| found.path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(PREFIX));
    let found: Vec<Found> = place.fleets()?.into_iter().filter(is_whole).collect();
    if let Some(name) = name {
        return found.into_iter().find(|fleet| fleet.id == name).ok_or_else(|| {
            print::error(format!("there is no fleet `{name}`"), list);
            FAILED
        });
    }
    let dead = |fleet: &Found| matches!(fleet.owner, Owner::Dead(_));
    let (mut dead, mut alive): (Vec<_>, Vec<_>) = found.into_iter().partition(dead);
    let candidates = if alive.is_empty() { &mut dead } else { &mut alive };
    match candidates.len() {
        0 => {
            print::error(
                format!("there is no fleet under {}", place.shm_dir.display()),
                "`coordinator up` starts one; `--shm-dir` looks in another directory",
            );
            Err(FAILED)
        }
        1 => Ok(candidates.remove(0)),
        count => {
            let names: Vec<_> = candidates.iter().map(|fleet| format!("`{}`", fleet.id)).collect();
            print::error(
                format!("there are {count} fleets: {}", names.join(", ")),
                "give the name of one of them",
            );
            Err(FAILED)
        }
    }
}

/// Prints why a fleet cannot be read; the exit status for it.
pub(super) fn unreadable(error: impl std::fmt::Display) -> u8 {
    print::error(
        error,
        "a fleet can be read by the user who started it, with the build that started it; `coordinator status` lists the \
         fleets",
    );
    FAILED
}
