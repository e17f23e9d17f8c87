//! File systems that have no room, take no more files, take nothing, or are none for shared memory.

use super::{has_namespaces, in_namespace, is_refused, text};

#[test]
fn a_file_system_too_small_says_which_size_would_do_and_that_does() {
    if !has_namespaces() {
        return;
    }
    let output = in_namespace(
        r#"mount -t tmpfs -o size=64k tmpfs "$1" || exit 99
        "$0" run --agents 50 --shm-dir "$1" -- true; s=$?
        ls -A "$1"
        exit $s"#,
    );
    is_refused(&output, &["cannot reserve", "are free", "remount,size=", "or make the fleet smaller"]);
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    let size = said.split_once("size=").unwrap().1.split_whitespace().next().unwrap();
    // Of the options that are there, an owner (`uid=`) has no name in the namespace: only the one that changes is given.
    let mended = in_namespace(&format!(
        r#"mount -t tmpfs -o size=64k tmpfs "$1" && mount --options-source=disable -o remount,size={size} "$1" || exit 99
        "$0" run --agents 50 --shm-dir "$1" -- true; s=$?
        ls -A "$1"
        exit $s"#
    ));
    assert_eq!(mended.status.code(), Some(0), "{size}: {}", text(&mended.stderr));
    assert_eq!(text(&mended.stdout), "");
}

#[test]
fn regions_that_found_room_are_given_back_when_the_next_finds_none() {
    if !has_namespaces() {
        return;
    }
    // Five of sixteen regions fit.
    let output = in_namespace(
        r#"mount -t tmpfs -o size=1m tmpfs "$1" || exit 99
        "$0" up --coordinators 16 --workers 4 --payload-max 1024 --shm-dir "$1"; s=$?
        ls -A "$1"
        stat -f -c '%f of %b' "$1"
        exit $s"#,
    );
    is_refused(&output, &["cannot reserve", "remount,size="]);
    assert_eq!(text(&output.stdout), "256 of 256\n");
}

#[test]
fn a_fleet_beside_one_that_finds_no_room_goes_on() {
    if !has_namespaces() {
        return;
    }
    let output = in_namespace(
        r#"mount -t tmpfs -o size=2m tmpfs "$1" || exit 99
        mkfifo "$1/ready"
        "$0" up --name first --workers 2 --shm-dir "$1" > "$1/ready" &
        read word dir < "$1/ready"
        "$0" up --name second --workers 500 --shm-dir "$1"; s=$?
        "$0" status first --shm-dir "$1"
        "$0" stop first --shm-dir "$1" || exit 98
        wait
        rm "$1/ready"
        ls -A "$1"
        exit $s"#,
    );
    is_refused(&output, &["cannot reserve"]);
    let said = text(&output.stdout);
    assert!(said.contains("first  ready") && said.contains("2 live of 2"), "{said}");
    assert!(!said.contains("second") && !said.contains("coord-"), "{said}");
}

#[test]
fn each_file_that_is_one_too_many_is_told_as_such() {
    if !has_namespaces() {
        return;
    }
    // One is the root's: then the directory, the region and the control file, one after the other.
    for inodes in 1..=4 {
        let output = in_namespace(&format!(
            r#"mount -t tmpfs -o size=16m,nr_inodes={inodes} tmpfs "$1" || exit 99
            "$0" run --agents 1 --shm-dir "$1" -- true; s=$?
            ls -A "$1"
            exit $s"#
        ));
        assert_eq!(text(&output.stdout), "");
        if inodes < 4 {
            is_refused(&output, &["out of inodes", "nr_inodes=0", "coordinator clean"]);
        } else {
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn a_read_only_file_system_is_told_as_such() {
    if !has_namespaces() {
        return;
    }
    let output = in_namespace(
        r#"mount -t tmpfs -o ro tmpfs "$1" || exit 99
        "$0" up --workers 1 --shm-dir "$1""#,
    );
    is_refused(&output, &["make the directory", "read-only", "remount,rw"]);
}

#[test]
fn a_fleet_that_cannot_be_removed_says_what_keeps_it() {
    if !has_namespaces() {
        return;
    }
    let output = in_namespace(
        r#"mount -t tmpfs tmpfs "$1" || exit 99
        mkfifo "$1/ready"
        "$0" up --name first --workers 1 --shm-dir "$1" > "$1/ready" &
        pid=$!
        read word dir < "$1/ready"
        mount -t tmpfs tmpfs "$dir" || exit 98
        kill -TERM $pid
        wait $pid"#,
    );
    is_refused(
        &output,
        &["cannot remove", "coord-first: it is in use", "a lease or a mount holds it; end that first"],
    );
}

#[test]
fn a_file_system_that_cannot_reserve_is_told_as_such() {
    if !has_namespaces() {
        return;
    }
    let output = in_namespace(
        r#"mount -t ramfs ramfs "$1" || exit 99
        "$0" up --workers 1 --shm-dir "$1"; s=$?
        ls -A "$1"
        exit $s"#,
    );
    is_refused(&output, &["reserve its pages", "cannot hold shared memory", "tmpfs"]);
    assert_eq!(text(&output.stdout), "");
}
