//! Which fleet is meant.

use super::{FAILED, Place, complain};
use crate::bus::directory::{Found, Owner, PREFIX};

/// The fleet of this name; without one, the only one that lives, or the only one that there is. What is wrong has
/// been said.
pub(super) fn fleet(place: &Place, name: Option<&str>) -> Result<Found, u8> {
    let list = "`coordinator status` lists those that are there";
    // Not those that are in the making.
    let is_whole =
        |found: &Found| found.path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(PREFIX));
    let found: Vec<Found> = place.fleets()?.into_iter().filter(is_whole).collect();
    if let Some(name) = name {
        return found.into_iter().find(|fleet| fleet.id == name).ok_or_else(|| {
            complain(format!("there is no fleet `{name}`"), list);
            FAILED
        });
    }
    let dead = |fleet: &Found| matches!(fleet.owner, Owner::Dead(_));
    let (mut dead, mut alive): (Vec<_>, Vec<_>) = found.into_iter().partition(dead);
    let candidates = if alive.is_empty() { &mut dead } else { &mut alive };
    match candidates.len() {
        0 => {
            complain(
                format!("there is no fleet under {}", place.shm_dir.display()),
                "`coordinator up` starts one; `--shm-dir` looks elsewhere",
            );
            Err(FAILED)
        }
        1 => Ok(candidates.remove(0)),
        count => {
            let names: Vec<_> = candidates.iter().map(|fleet| format!("`{}`", fleet.id)).collect();
            complain(format!("there are {count} fleets: {}", names.join(", ")), "say which one is meant");
            Err(FAILED)
        }
    }
}

/// What cannot be read, and what may help.
pub(super) fn unreadable(error: impl std::fmt::Display) -> u8 {
    complain(
        error,
        "a fleet is read by the user who started it, and by the build that made it; `coordinator status` lists those \
         that are there",
    );
    FAILED
}
