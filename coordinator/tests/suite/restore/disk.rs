//! Disks that are full or read-only, limits on a file's size, names that are taken.

use super::{DIR, ROLE, header, task};
use crate::support::wants::has_namespaces;
use coordinator::snapshot::file::Snapshot;
use coordinator::snapshot::journal::{Entry, Journal, replay};
use coordinator::snapshot::record::Kind;
use coordinator::snapshot::{SnapshotError, read_snapshot, write_snapshot};
use nix::sys::resource::{Resource, setrlimit};
use std::path::Path;
use std::process::{Command, Output};

fn snapshot(tasks: u64) -> Snapshot {
    Snapshot {
        header: header(Kind::Backup),
        counters: Vec::new(),
        tasks: (0..tasks).map(|sequence| task(sequence, &[b'x'; 1000])).collect(),
        untold: Vec::new(),
        dead: Vec::new(),
    }
}

/// In a process of its own; what does not hold ends it with a panic.
pub fn obey(role: &str, dir: &Path) {
    match role {
        "journal on a full disk" => journal_on_a_full_disk(dir),
        "backup on a full disk" => backup_on_a_full_disk(dir),
        "read-only disk" => read_only(dir),
        "limited" => limited(dir),
        other => panic!("no role is called {other}"),
    }
}

/// The child at a file system of its own.
fn on_tmpfs(role: &str, options: &str) -> Option<Output> {
    if !has_namespaces() {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let plain = super::child(role, dir.path());
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(format!("mount -t tmpfs -o {options} tmpfs \"${DIR}\" && exec \"$0\" \"$@\""))
        .arg(plain.get_program())
        .args(plain.get_args())
        .env(ROLE, role)
        .env(DIR, dir.path())
        .output()
        .unwrap();
    Some(output)
}

#[track_caller]
fn holds(output: Option<Output>) {
    let Some(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_journal_on_a_full_disk_keeps_what_was_committed_and_goes_on_when_there_is_room() {
    holds(on_tmpfs("journal on a full disk", "size=256k"));
}

#[test]
fn a_backup_that_finds_no_room_leaves_the_one_before_and_no_part_of_itself() {
    holds(on_tmpfs("backup on a full disk", "size=256k"));
}

#[test]
fn a_read_only_disk_is_told_as_such() {
    holds(on_tmpfs("read-only disk", "ro"));
}

#[test]
fn a_limit_on_files_is_an_error_and_no_signal() {
    let dir = tempfile::tempdir().unwrap();
    holds(Some(super::child("limited", dir.path()).output().unwrap()));
}

/// Commits until it is refused; what was committed, and the refusal.
fn fill(journal: &mut Journal) -> (Vec<Entry>, SnapshotError) {
    let mut committed = Vec::new();
    loop {
        let entry = journal.accepted(&task(committed.len() as u64, &[b'x'; 1000])).unwrap();
        match journal.commit() {
            Ok(()) => committed.push(entry),
            Err(error) => return (committed, error),
        }
        assert!(committed.len() < 10_000, "nothing is refused");
    }
}

fn journal_on_a_full_disk(dir: &Path) {
    let (ballast, path) = (dir.join("ballast"), dir.join("journal"));
    std::fs::write(&ballast, vec![0; 100_000]).unwrap();
    let mut journal = Journal::create(&path, &header(Kind::Journal)).unwrap();
    let (mut committed, error) = fill(&mut journal);
    let said = error.to_string();
    assert!(
        said.contains("journal: cannot append to it: not enough space") && said.contains("free some"),
        "{said}"
    );
    assert!(!committed.is_empty());
    let open = |path: &Path| {
        let found = replay(path).unwrap();
        assert_eq!(found.torn, None);
        found.open.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(open(&path), committed);
    std::fs::remove_file(&ballast).unwrap();
    journal.commit().unwrap();
    let (more, _) = fill(&mut journal);
    assert!(more.len() > 10);
    let found = open(&path);
    // The one that was refused came with the next commit.
    assert_eq!(found.len(), committed.len() + 1 + more.len());
    committed.extend(&more);
    assert!(committed.iter().all(|entry| found.contains(entry)));
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().1.open.len(), found.len());
}

fn backup_on_a_full_disk(dir: &Path) {
    let path = dir.join("backup");
    write_snapshot(&path, &snapshot(10)).unwrap();
    let said = write_snapshot(&path, &snapshot(1000)).unwrap_err().to_string();
    assert!(said.contains("backup: cannot write it: not enough space"), "{said}");
    assert_eq!(read_snapshot(&path).unwrap(), snapshot(10));
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
}

fn read_only(dir: &Path) {
    for said in [
        write_snapshot(&dir.join("a"), &snapshot(1)).unwrap_err().to_string(),
        Journal::create(&dir.join("a"), &header(Kind::Journal)).unwrap_err().to_string(),
    ] {
        assert!(said.contains("is read-only") && said.contains("remount,rw"), "{said}");
    }
}

fn limited(dir: &Path) {
    setrlimit(Resource::RLIMIT_FSIZE, 50_000, 50_000).unwrap();
    let path = dir.join("journal");
    let mut journal = Journal::create(&path, &header(Kind::Journal)).unwrap();
    let (committed, error) = fill(&mut journal);
    assert!(error.to_string().contains("ulimit -f"), "{error}");
    assert_eq!(replay(&path).unwrap().open.into_keys().collect::<Vec<_>>(), committed);
    let error = write_snapshot(&dir.join("backup"), &snapshot(100)).unwrap_err();
    assert!(error.to_string().contains("ulimit -f"), "{error}");
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1);
}

#[test]
fn a_backup_is_its_owners_alone_and_replaces_files_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup");
    write_snapshot(&path, &snapshot(1)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    write_snapshot(&path, &snapshot(2)).unwrap();
    assert_eq!(read_snapshot(&path).unwrap(), snapshot(2));
    for (place, words) in [
        (dir.path().to_owned(), "that is not a regular file"),
        ("/dev/full".into(), "that is not a regular file"),
        (dir.path().join("no/such/directory"), "cannot write it"),
    ] {
        let said = write_snapshot(&place, &snapshot(1)).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_backup_is_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (text, words) in [("", "it is empty"), ("[package]\n", "it begins with something else")] {
        std::fs::write(&path, text).unwrap();
        let said = read_snapshot(&path).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        assert!(Journal::open(&path).unwrap_err().to_string().contains(words));
        assert_eq!(std::fs::read(&path).unwrap(), text.as_bytes());
    }
    assert!(read_snapshot(dir.path()).unwrap_err().to_string().contains("it is not a regular file"));
    let said = read_snapshot(&dir.path().join("none")).unwrap_err().to_string();
    assert!(said.contains("cannot read it"), "{said}");
}
