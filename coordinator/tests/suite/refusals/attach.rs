//! Files that are not what their maker left, met before they are mapped.

use crate::support::up::shm;
use coordinator::bus::directory::{self, control_path, region_path};
use coordinator::bus::view::{Control, Region, Stamped, peek_owner};
use coordinator::client::{Client, Identity, status};
use coordinator::config::FleetShape;
use nix::sys::stat::Mode;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A fleet without processes.
fn files(shm: &Path) -> PathBuf {
    let shape = FleetShape::new(1, 2, 64, 2).unwrap();
    let own = Identity::own();
    let (dir, control) = directory::create(shm, "test", &Stamped::new(own, 0, shape), 1).unwrap();
    // A coordinator serves there, so that its region is asked for.
    let process = &control.coordinator(0).process;
    process.record_fork(own.pid, own.start_ticks);
    process.mark_live(own.pid, own.start_ticks);
    dir
}

fn open(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

/// All programs that would map the region of `dir`, with their output.
fn region_refused(dir: &Path) -> Vec<String> {
    let control = Control::attach(&control_path(dir)).unwrap();
    vec![
        Region::attach(&region_path(dir, 0), control.stamped(), 0).unwrap_err().to_string(),
        Client::attach(dir).unwrap_err().to_string(),
        status::of(dir).unwrap_err().to_string(),
    ]
}

#[test]
fn a_changed_region_is_refused_by_name_and_cause() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 11] = [
        ("it is empty", |path| open(path).set_len(0).unwrap()),
        ("bytes instead of", |path| open(path).set_len(4096).unwrap()),
        ("it has holes: only", |path| {
            let len = fs::metadata(path).unwrap().len();
            open(path).set_len(4096).unwrap();
            open(path).set_len(len).unwrap();
        }),
        ("it has holes: only", |path| open(path).set_len(1 << 40).unwrap()),
        ("other users may access it (mode 644)", |path| {
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }),
        ("it does not exist", |path| fs::remove_file(path).unwrap()),
        ("symbolic link", |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            symlink(path.with_extension("moved"), path).unwrap();
        }),
        ("not a regular file", |path| {
            fs::remove_file(path).unwrap();
            nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap();
        }),
        ("cannot open it", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("it is not a file of a fleet", |path| open(path).write_all_at(b"!", 0).unwrap()),
        ("another fleet or coordinator", |path| open(path).write_all_at(&[9], 84).unwrap()),
    ];
    for (words, change) in changes {
        let shm = shm();
        let dir = files(shm.path());
        change(&region_path(&dir, 0));
        for said in region_refused(&dir) {
            assert!(said.contains("/c0: ") && said.contains(words), "{said}");
        }
    }
}

#[test]
fn every_word_of_a_stamp_is_looked_at() {
    for at in (0..128).step_by(4) {
        let shm = shm();
        let dir = files(shm.path());
        open(&region_path(&dir, 0)).write_all_at(&[0xaa; 4], at).unwrap();
        let control = Control::attach(&control_path(&dir)).unwrap();
        let attached = Region::attach(&region_path(&dir, 0), control.stamped(), 0);
        // The owner may be one who has adopted the fleet; the stamp's own padding says nothing.
        let is_owner = (40..48).contains(&at) || (56..60).contains(&at);
        assert!(attached.is_err() || is_owner || at >= 88, "byte {at} may be anything");
    }
}

#[test]
fn a_changed_control_file_is_refused_by_all_who_read_it() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("it is empty", |path| open(path).set_len(0).unwrap()),
        ("", |path| open(path).set_len(100).unwrap()),
        ("not a regular file", |path| {
            fs::remove_file(path).unwrap();
            nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap();
        }),
        ("it is not a file of a fleet", |path| open(path).write_all_at(b"!", 0).unwrap()),
        ("it does not exist", |path| fs::remove_file(path).unwrap()),
    ];
    for (words, change) in changes {
        let shm = shm();
        let dir = files(shm.path());
        let control = control_path(&dir);
        change(&control);
        for said in [
            Control::attach(&control).unwrap_err().to_string(),
            peek_owner(&control).unwrap_err().to_string(),
            Client::attach(&dir).unwrap_err().to_string(),
        ] {
            assert!(said.contains("/control: ") && said.contains(words), "{said}");
        }
        // Its owner is unknown, so it does not count as dead.
        let found = directory::find(shm.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].owner, directory::Owner::Unknown);
    }
}

#[test]
fn a_directory_that_others_may_reach_is_no_fleets() {
    let shm = shm();
    let dir = files(shm.path());
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    let said = Client::attach(&dir).unwrap_err().to_string();
    assert!(said.contains("coord-test: refused, other users may access it (mode 755)"), "{said}");
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    let link = shm.path().join("coord-link");
    symlink(&dir, &link).unwrap();
    let said = Client::attach(&link).unwrap_err().to_string();
    assert!(said.contains("coord-link: cannot open it: it is a symbolic link"), "{said}");
    Client::attach(&dir).unwrap();
}

#[test]
fn a_fleet_that_is_gone_is_told_as_such() {
    let shm = shm();
    let said = Client::attach(&shm.path().join("coord-none")).unwrap_err().to_string();
    assert!(
        said.contains("it does not exist (check the path; the files of a fleet are removed when it ends)"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_removed_is_told() {
    let shm = shm();
    let dir = files(shm.path());
    fs::create_dir(dir.join("below")).unwrap();
    let said = directory::remove(&dir).unwrap_err().to_string();
    assert!(!said.is_empty() && dir.exists(), "{said}");
    fs::remove_dir(dir.join("below")).unwrap();
    directory::remove(&dir).unwrap();
    assert!(crate::support::up::is_empty(shm.path()));
    // Removed already is removed.
    directory::remove(&dir).unwrap();
}
