//! What a process may not have: descriptors, address space, large files, maps.

use super::{is_refused, text, wrapped};
use crate::support::up::{PROGRAM, is_empty, shm};
use crate::support::wants::Group;
use coordinator::bus::mapping::Mapping;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn whichever_descriptor_is_one_too_many_it_is_told_and_nothing_stays() {
    // What the loader needs; somewhere above a fleet comes up.
    const FEWEST: u32 = 4;
    let shm = shm();
    for descriptors in FEWEST..40 {
        let mut child = Command::new("prlimit")
            .args([&format!("--nofile={descriptors}"), PROGRAM])
            .args(["up", "--coordinators", "2", "--workers", "2", "--shm-dir"])
            .arg(shm.path())
            .args(["--owner", &own()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.starts_with("ready ") {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(child.id() as i32),
                nix::sys::signal::Signal::SIGTERM,
            )
            .unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert!(is_empty(shm.path()), "with {descriptors}: {:?}", super::names(shm.path()));
        if line.starts_with("ready ") {
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            assert!(descriptors > FEWEST, "nothing was refused");
            return;
        }
        is_refused(&output, &["open files", "ulimit -n"]);
    }
    panic!("no fleet came up with 40 descriptors");
}

fn own() -> String {
    let own = coordinator::client::Identity::own();
    format!("{}:{}", own.pid, own.start_ticks)
}

#[test]
fn address_space_that_a_fleet_does_not_fit_is_told_with_its_limit() {
    let shm = shm();
    let limit = ["prlimit", "--as=100000000"];
    let up = ["up", "--workers", "64", "--payload-max", "1048576", "--depth", "1"];
    let output = wrapped(&limit, Path::new(PROGRAM), shm.path(), &up);
    is_refused(&output, &["cannot map it", "100000000 bytes of address space", "ulimit -v"]);
    assert!(is_empty(shm.path()));
}

#[test]
fn a_limit_on_files_is_told_and_is_no_signal() {
    let shm = shm();
    let up = ["up", "--workers", "64"];
    let output = wrapped(&["prlimit", "--fsize=65536"], Path::new(PROGRAM), shm.path(), &up);
    is_refused(&output, &["reserve its pages", "limit of 65536 bytes per file", "ulimit -f"]);
    assert!(is_empty(shm.path()));
}

/// Not a claim of its own: what [`maps_that_are_too_many_are_told`] runs in a process of its own.
#[test]
fn child_that_maps_too_much() {
    let Some(path) = std::env::var_os("MAP_THIS") else { return };
    let mut all = Vec::new();
    let refused = loop {
        match Mapping::attach(Path::new(&path)) {
            Ok(map) => all.push(map),
            Err(error) => break error,
        }
    };
    // With a map less there is room for the words.
    all.truncate(all.len() / 2);
    assert!(all.len() > 1000);
    let words = refused.to_string();
    assert!(words.contains("cannot map it") && words.contains("vm.max_map_count"), "{words}");
}

#[test]
fn maps_that_are_too_many_are_told() {
    let shm = shm();
    let path = shm.path().join("region");
    drop(Mapping::create(&path, 4096).unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "refusals::limits::child_that_maps_too_much", "--nocapture"])
        .env("MAP_THIS", &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"));
}

#[test]
fn memory_that_a_container_does_not_have_is_reported_and_no_process_is_killed_for_it() {
    let Some(group) = Group::of_memory("refusals", 16 << 20) else {
        return;
    };
    let shm = shm();
    let script =
        r#"echo $$ > "$1/cgroup.procs" && exec "$0" up --workers 64 --payload-max 200000 --shm-dir "$2""#;
    let output = Command::new("sh")
        .args(["-c", script, PROGRAM])
        .args([group.path.as_path(), shm.path()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    is_refused(&output, &["this container or cgroup has", "bytes of memory left", "the fleet smaller"]);
    assert!(is_empty(shm.path()));
}
