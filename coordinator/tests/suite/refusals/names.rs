//! Names that are taken, and places that belong to others. Another user cannot read, attach, guess or
//! squat a fleet.

use super::{is_refused, may_become_another_user, names, text, wrapped};
use crate::support::up::{PROGRAM, Up, is_empty, shm};
use coordinator::bus::directory::{self, control_path, region_path};
use coordinator::bus::view::{Control, Stamped};
use coordinator::client::{Identity, status};
use coordinator::config::FleetShape;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// `nobody`, as most systems have it.
const OTHER: u32 = 65534;
const AS_OTHER: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Where every user may make files, and remove their own: as /dev/shm is.
fn shared() -> tempfile::TempDir {
    let shm = shm();
    fs::set_permissions(shm.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    shm
}

/// The program where another user reaches it.
fn program(within: &Path) -> std::path::PathBuf {
    let program = within.join("program");
    fs::copy(PROGRAM, &program).unwrap();
    program
}

fn as_other(words: &[&str]) -> Output {
    Command::new(AS_OTHER[0]).args(&AS_OTHER[1..]).args(words).output().unwrap()
}

fn up(shm: &Path) -> Output {
    wrapped(&["env"], Path::new(PROGRAM), shm, &["up", "--name", "test", "--workers", "1"])
}

#[test]
fn a_place_that_is_not_there_or_no_directory_is_told() {
    let shm = shm();
    is_refused(&up(&shm.path().join("absent")), &["absent", "it does not exist"]);
    let file = shm.path().join("file");
    fs::write(&file, "").unwrap();
    is_refused(&up(&file), &["file/.coord-test", "not a directory"]);
    assert_eq!(names(shm.path()), ["file"]);
}

#[test]
fn a_place_of_another_user_is_reported_with_the_user_who_may_not() {
    if !may_become_another_user() {
        return;
    }
    let (room, shm) = (shared(), shm());
    fs::set_permissions(shm.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = program(room.path());
    let output = wrapped(&AS_OTHER, &program, shm.path(), &["up", "--workers", "1"]);
    is_refused(&output, &["make the directory", "user 65534 has no permission", "chmod or chown"]);
    assert!(is_empty(shm.path()));
}

#[test]
fn whatever_has_the_fleets_name_already_stays_as_it_is_and_the_fleet_is_refused() {
    let shm = shm();
    let dir = shm.path().join("coord-test");
    let elsewhere = tempfile::tempdir().unwrap();
    let squats: [fn(&Path, &Path); 4] = [
        |dir, _| fs::create_dir(dir).unwrap(),
        |dir, _| fs::write(dir, "mine").unwrap(),
        |dir, elsewhere| symlink(elsewhere, dir).unwrap(),
        |dir, _| symlink("/nowhere/at/all", dir).unwrap(),
    ];
    for squat in squats {
        squat(&dir, elsewhere.path());
        let before = fs::symlink_metadata(&dir).unwrap();
        let output = up(shm.path());
        let said = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(20 | 64)), "{said}");
        assert!(said.contains("coord-test: refused, a fleet with that name already exists"), "{said}");
        let after = fs::symlink_metadata(&dir).unwrap();
        assert_eq!((before.ino(), before.len(), before.mode()), (after.ino(), after.len(), after.mode()));
        assert_eq!(names(shm.path()), ["coord-test"]);
        assert!(is_empty(elsewhere.path()));
        if after.is_dir() { fs::remove_dir(&dir).unwrap() } else { fs::remove_file(&dir).unwrap() }
    }
}

#[test]
fn another_users_squat_names_that_user() {
    if !may_become_another_user() {
        return;
    }
    let shm = shared();
    let dir = shm.path().join("coord-test");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(OTHER), Some(OTHER)).unwrap();
    let said = text(&up(shm.path()).stderr);
    assert!(said.contains("user 65534 has something with that name there"), "{said}");
    assert_eq!(names(shm.path()), ["coord-test"]);
    // It is not a fleet, and is neither shown nor removed.
    let clean = wrapped(&["env"], Path::new(PROGRAM), shm.path(), &["clean"]);
    assert!(text(&clean.stdout).contains("nothing to remove"), "{}", text(&clean.stdout));
    assert!(dir.exists());
}

#[test]
fn a_guessed_temporary_name_is_not_used_whatever_lies_there() {
    let shm = shm();
    let shape = FleetShape::new(1, 1, 64, 1).unwrap();
    let stamped = Stamped::new(Identity::own(), 0, shape);
    let Identity { pid, start_ticks } = stamped.owner;
    let staged = format!(".coord-test.{pid}-{start_ticks}-{}", stamped.namespace);
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), shm.path().join(&staged)).unwrap();
    let refused = directory::create(shm.path(), "test", &stamped, 1).unwrap_err().to_string();
    assert!(refused.contains(&staged) && refused.contains("the name is already taken"), "{refused}");
    assert_eq!(names(shm.path()), [staged]);
    assert!(is_empty(elsewhere.path()));
}

#[test]
fn another_user_can_neither_see_into_a_fleet_nor_end_it_nor_move_it() {
    if !may_become_another_user() {
        return;
    }
    let (room, shm) = (shared(), shared());
    let program = program(room.path());
    let fleet = Up::start(shm.path(), 1, 1, &[]);
    let (control, region) = (control_path(&fleet.dir), region_path(&fleet.dir, 0));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    for words in [
        vec!["ls", &path(&fleet.dir)],
        vec!["cat", &path(&control)],
        vec!["cp", "/dev/null", &path(&region)],
        vec!["truncate", "--size=0", &path(&region)],
        vec!["ln", &path(&control), &path(&shm.path().join("coord-mine"))],
        vec!["rm", "-r", &path(&fleet.dir)],
        vec!["mv", &path(&fleet.dir), &path(&shm.path().join("coord-mine"))],
    ] {
        let output = as_other(&words);
        assert!(!output.status.success(), "{words:?}: {}", text(&output.stdout));
    }
    for verb in [&["status"][..], &["stop", "test"], &["clean"]] {
        let said = wrapped(&AS_OTHER, &program, shm.path(), verb);
        assert!(!text(&said.stdout).contains("test"), "{verb:?}: {}", text(&said.stdout));
    }
    assert_eq!(status::of(&fleet.dir).unwrap().stage, status::Stage::Ready);
    assert_eq!(fleet.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_fleet_of_another_users_is_not_attached_even_where_it_could_be() {
    if !may_become_another_user() {
        return;
    }
    let shm = shared();
    let shape = FleetShape::new(1, 1, 64, 1).unwrap();
    let stamped = Stamped::new(Identity::own(), 0, shape);
    let (dir, _) = directory::create(shm.path(), "test", &stamped, 1).unwrap();
    let control = control_path(&dir);
    let refused = || Control::attach(&control).unwrap_err().to_string();

    chown(&control, Some(OTHER), Some(OTHER)).unwrap();
    assert!(refused().contains("control: refused, it belongs to user 65534"), "{}", refused());
    chown(&control, Some(0), Some(0)).unwrap();
    chown(&dir, Some(OTHER), Some(OTHER)).unwrap();
    assert!(refused().contains("coord-test: refused, it belongs to user 65534"), "{}", refused());
    chown(&dir, Some(0), Some(0)).unwrap();
    Control::attach(&control).unwrap();
}
