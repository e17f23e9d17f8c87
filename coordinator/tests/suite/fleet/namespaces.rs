//! Fleets of other namespaces, and hosts without `/proc`.

use super::{PROGRAM, Up, shm};
use crate::support::skips::has_or_skips;
use crate::support::up::wait_until;
use crate::support::wants::{NAMESPACE, OTHER_TIME, has_namespaces, has_time_namespaces};
use std::path::Path;
use std::process::{Command, Output};

fn within(wrapper: &[&str], shm: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(PROGRAM).args(arguments).env("COORDINATOR_SHM_DIR", shm);
    command.output().unwrap()
}

#[test]
fn a_fleet_of_another_time_namespace_is_named_and_left_alone() {
    if !has_time_namespaces() {
        return;
    }
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let there = up.identities();
    for (arguments, code) in [
        (&["clean"][..], 0),
        (&["status"], 0),
        (&["stop", "test"], 10),
        (&["top", "test", "--once"], 10),
        (&["scale", "test", "--workers", "1"], 20),
    ] {
        let output = within(&OTHER_TIME, shm.path(), arguments);
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains("another pid or time namespace"), "{arguments:?}: {said}");
    }
    assert_eq!(up.identities(), there);
    assert!(there.iter().all(coordinator::client::Identity::is_alive));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn without_proc_a_run_is_refused_with_a_reason() {
    if !has_namespaces() {
        return;
    }
    let shm = shm();
    let without = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let wrapper = [&NAMESPACE[..], &["sh", "-c", without]].concat();
    let output = within(&wrapper, shm.path(), &["run", "--agents", "1", "--", "echo"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(20), "{said}");
    assert!(said.contains("this program needs /proc"), "{said}");
}

/// A command that goes before another: with a boot id of its own, as a container may have it, in these namespaces.
fn other_boot(dir: &Path, namespaces: &[&'static str]) -> Vec<String> {
    let file = dir.join("boot_id");
    std::fs::write(&file, "00000000-0000-4000-8000-000000000000\n").unwrap();
    let script =
        format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$0\" \"$@\"", file.display());
    let all = NAMESPACE.iter().chain(namespaces).chain(&["sh", "-c"]).map(|word| (*word).to_owned());
    all.chain([script]).collect()
}

#[test]
fn a_living_fleet_is_left_alone_where_the_boot_id_is_another() {
    if !has_namespaces() {
        return;
    }
    let (shm, dir) = (shm(), tempfile::tempdir().unwrap());
    let up = Up::start(shm.path(), 1, 1, &[]);
    let there = up.identities();
    for (namespaces, words) in
        [(&[][..], "nothing to remove"), (&["--pid", "--fork", "--mount-proc"], "or on another host")]
    {
        let wrapper = other_boot(dir.path(), namespaces);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let works = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status();
        if !has_or_skips("a boot id of its own", works.is_ok_and(|status| status.success())) {
            continue;
        }
        let output = within(&wrapper, shm.path(), &["clean"]);
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.contains(words), "{namespaces:?}: {said}");
        assert!(up.dir.exists(), "{namespaces:?}: {said}");
    }
    assert!(there.iter().all(coordinator::client::Identity::is_alive));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn what_a_fleet_has_left_is_removed_after_a_boot() {
    if !has_namespaces() {
        return;
    }
    // In memory, and on a disk.
    for root in [shm(), tempfile::tempdir().unwrap()] {
        let mut up = Up::start(root.path(), 1, 1, &[]);
        let there = up.identities();
        up.child.kill().unwrap();
        up.child.wait().unwrap();
        wait_until("all are gone", || there.iter().all(|process| !process.is_alive()));
        let dir = tempfile::tempdir().unwrap();
        let wrapper = other_boot(dir.path(), &[]);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let works = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status();
        if !has_or_skips("a boot id of its own", works.is_ok_and(|status| status.success())) {
            return;
        }
        let output = within(&wrapper, root.path(), &["clean"]);
        assert!(output.status.success() && !up.dir.exists(), "{output:?}");
    }
}
