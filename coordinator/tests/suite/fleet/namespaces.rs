//! Fleets of other namespaces, and hosts without `/proc`.

use super::{PROGRAM, Up, shm};
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
