//! Fleets that were started within another fleet, and whose processes were ended with its tasks: their files are removed.
//!
//! A task that is a client of a fleet of its own is ended with all its descendants, and the supervisor that would have
//! removed the files is one of them. The stamp of such a fleet names the outer ones. What is removed is proven to be of
//! the outer fleet, and its supervisor and coordinators are proven to be dead.

use super::descent::Marker;
use super::reset::temporary;
use crate::bus::directory::{Held, Owner, SHM, control_path, find};
use crate::bus::view::Control;
use std::io;
use std::path::{Path, PathBuf};

/// Where users say that fleets are to lie.
pub const VARIABLE: &str = "COORDINATOR_SHM_DIR";

/// Removes the files of dead fleets that were started within the fleet with this marker, in `root` and where fleets lie by
/// default. What cannot be looked at or removed is left to `clean`.
pub fn remove_all(root: &Path, marker: &Marker) {
    let usual = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(SHM), PathBuf::from);
    remove_in(root, marker);
    if usual != root {
        remove_in(&usual, marker);
    }
}

fn remove_in(root: &Path, marker: &Marker) {
    for found in find(root).unwrap_or_default() {
        let Owner::Dead(owner) = found.owner else { continue };
        let Ok(held) = Held::open(&found.path) else { continue };
        let is_within =
            held.head().is_ok_and(|head| head.owner == owner && head.within.contains(&marker.hash()));
        let has_living =
            || Control::attach(&control_path(&found.path)).is_ok_and(|it| it.has_living_coordinator());
        if is_within && !has_living() {
            let _ = remove_with_temporary(&held, |_, _| ());
        }
    }
}

/// Removes a dead fleet's directory, and the temporary files of its workers: where it has noted that they are, and where they
/// would be if this process had started it. `left` is told in which directory some cannot be removed, and why.
pub(crate) fn remove_with_temporary(held: &Held, mut left: impl FnMut(&Path, io::Error)) -> io::Result<()> {
    if let Ok(head) = held.head() {
        let control = Control::attach(&control_path(held.path())).ok();
        let noted = control.filter(|control| held.is_of(control.stamped())).and_then(|it| it.temporary());
        let own = std::env::temp_dir();
        let others = noted.filter(|noted| *noted != own);
        for dir in others.iter().chain([&own]) {
            if let Err(error) = temporary::remove_of_fleet(dir, head.created_unix_ns) {
                left(dir, error);
            }
        }
    }
    held.remove()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::directory::create;
    use crate::bus::shape::FleetShape;
    use crate::bus::view::Stamped;
    use crate::os::identity::Identity;

    #[test]
    fn only_dead_fleets_that_were_started_within_this_one_are_removed() {
        let root = tempfile::tempdir_in("/dev/shm").unwrap();
        let (own, other) = (Marker::new("own"), Marker::new("other"));
        let shape = FleetShape::new(1, 1, 64, 1).unwrap();
        let living = Identity::own();
        let dead = Identity { start_ticks: living.start_ticks + 1, ..living };
        let cases = [
            ("inner", dead, [other.hash(), own.hash(), 0, 0, 0]),
            ("alive", living, [own.hash(), 0, 0, 0, 0]),
            ("foreign", dead, [other.hash(), 0, 0, 0, 0]),
            ("plain", dead, [0; 5]),
        ];
        for (id, owner, within) in cases {
            let mut stamped = Stamped::new(owner, 7, shape);
            stamped.within = within;
            create(root.path(), id, &stamped, 1).unwrap();
        }
        remove_in(root.path(), &own);
        let left: Vec<String> = find(root.path()).unwrap().into_iter().map(|found| found.id).collect();
        assert_eq!(left, ["alive", "foreign", "plain"]);
    }
}
