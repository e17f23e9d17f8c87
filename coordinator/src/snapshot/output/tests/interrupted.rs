//! Backups that are killed while they copy, and what the next one makes of it.

use super::*;
use std::collections::BTreeSet;
use std::process::{Child, Command};

/// Where the child of a test has its desk.
const DIR: &str = "OUTPUT_TEST_DIR";
/// What a user put into the directory: its names are those of copies, and of temporary files.
const MINE: [&str; 4] = ["1.2.1-ff.stdout", "1.2.9-0.stderr", "notes", "unfinished"];
/// The output of a task, in bytes, so that copying it takes a while.
const LARGE: usize = 1 << 20;
const FILES: [&str; 4] = ["a", "b", "c", "d"];

fn large(desk: &Path, sequence: u64, file: &str) -> Untold {
    let mut one = sample().untold.remove(0);
    let part = |len| Part { path: desk.join(file), len, stays: true };
    let body = Spooled { stdout: Some(part(LARGE as u64)), stderr: Some(part(5)) }.to_body().unwrap();
    (one.id, one.answer.spooled) = (id(sequence), true);
    replace(&mut one.answer, &body);
    one
}

fn save(desk: &Path, taken: u64, files: &[&str]) {
    let mut snapshot = sample();
    snapshot.header.taken_unix_ns = taken;
    snapshot.untold = (1..).zip(files).map(|(sequence, file)| large(desk, sequence, file)).collect();
    let copied = copy(&desk.join("saved"), &mut snapshot, &mut || None).unwrap();
    assert_eq!(copied.lost, []);
    write_snapshot(&desk.join("saved"), &snapshot).unwrap();
    copied.keep(&snapshot);
}

/// Makes backups until it is killed; without a desk it has nothing to do.
#[test]
fn a_child_makes_backups() {
    let Some(desk) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).unwrap();
    for taken in 0x1000.. {
        // Every third has less to copy than the one before.
        save(&desk, taken, if taken % 3 == 0 { &FILES[..1] } else { &FILES });
    }
}

fn child(desk: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "snapshot::output::tests::interrupted::a_child_makes_backups";
    command.args(["--exact", name, "--test-threads", "1", "--nocapture"]).env(DIR, desk);
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    for file in FILES {
        fs::write(desk.path().join(file), vec![b'x'; LARGE]).unwrap();
    }
    desk
}

/// Waits until `is_so` of what is in the directory, and kills the child at once.
fn kill_when(child: &mut Child, dir: &Path, is_so: impl Fn(&[String]) -> bool) {
    for _ in 0..100_000_000_u64 {
        if is_so(&names(dir)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it did not come to that: {:?}", names(dir));
}

fn copies(taken: u64, files: usize) -> impl Iterator<Item = String> {
    let both = move |sequence| STREAMS.map(|stream| copy_name(id(sequence), taken, stream));
    (1..=files as u64).flat_map(both)
}

/// What is there besides the backup's own and the user's.
fn stray(desk: &Path, taken: u64, files: usize, mine: &[&str]) -> Vec<String> {
    let wanted: BTreeSet<String> =
        copies(taken, files).chain(mine.iter().map(|name| (*name).to_owned())).collect();
    let found: BTreeSet<String> = names(&desk.join("saved.output")).into_iter().collect();
    let beside: BTreeSet<String> = names(desk).into_iter().collect();
    let mut wanted_beside: BTreeSet<String> = FILES.into_iter().chain(["saved"]).map(str::to_owned).collect();
    if !wanted.is_empty() {
        wanted_beside.insert("saved.output".to_owned());
    }
    let differ = found.symmetric_difference(&wanted).chain(beside.symmetric_difference(&wanted_beside));
    differ.cloned().collect()
}

#[test]
fn a_backup_removes_what_one_left_that_was_killed_at_any_moment() {
    let desk = desk();
    let (path, dir) = (desk.path(), desk.path().join("saved.output"));
    fs::create_dir(&dir).unwrap();
    for name in MINE {
        fs::write(dir.join(name), "mine").unwrap();
    }
    let mut left_something = 0;
    for round in 0..24 {
        let mut child = child(path);
        // It has made that many files that were not there before it began, of some backup or other.
        let before: BTreeSet<String> = names(&dir).into_iter().collect();
        let wanted = 1 + round % 10;
        kill_when(&mut child, &dir, |names| {
            names.iter().filter(|name| !before.contains(*name)).count() >= wanted
        });
        let there =
            read_snapshot(&path.join("saved")).map_or_else(|_| HashSet::new(), |there| names_in(&there));
        let is_left = |name: &String| !there.contains(name) && !MINE.contains(&name.as_str());
        left_something += u32::from(names(&dir).iter().any(is_left));
        // What it has left unfinished, a backup removes whatever it has to copy itself.
        let files = round % 3;
        save(path, round as u64, &FILES[..files]);
        assert_eq!(stray(path, round as u64, files, &MINE), [] as [&str; 0], "round {round}");
    }
    assert!(left_something > 0, "it was never killed between two backups");
    for name in MINE {
        assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), "mine");
    }
}

#[test]
fn a_directory_that_an_interrupted_backup_made_goes_with_what_it_left() {
    let desk = desk();
    let (path, dir) = (desk.path(), desk.path().join("saved.output"));
    let mut child = child(path);
    kill_when(&mut child, &dir, |names| names.len() >= 3);
    save(path, 1, &[]);
    assert_eq!(stray(path, 1, 0, &[]), [] as [&str; 0]);
}

/// As a kill leaves it: nothing is removed.
fn abandon(mut copied: Copied) {
    copied.keeps_note = true;
    copied.names.clear();
}

fn begin(desk: &Desk, taken: u64, files: &[&str]) -> (Snapshot, Copied) {
    let mut snapshot = desk.snapshot(taken, files);
    let copied = desk.copy(&mut snapshot).unwrap();
    (snapshot, copied)
}

#[test]
fn copies_of_the_backup_that_is_there_stay_whatever_a_note_says() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    desk.save(desk.snapshot(16, &["a"]));
    // Killed before it was written: the one before is still there.
    abandon(begin(&desk, 17, &["a", "a"]).1);
    assert_eq!(desk.names().len(), 4);
    drop(desk.copy(&mut desk.snapshot(18, &[])).unwrap());
    assert_eq!(desk.names(), ["1.2.1-10.stdout"]);
    // Killed as soon as it was written: the one before is not needed any more.
    let (snapshot, copied) = begin(&desk, 19, &["a", "a"]);
    write_snapshot(&desk.path("saved"), &snapshot).unwrap();
    abandon(copied);
    assert_eq!(desk.names().len(), 4);
    drop(desk.copy(&mut desk.snapshot(20, &[])).unwrap());
    assert_eq!(desk.names(), ["1.2.1-13.stdout", "1.2.2-13.stdout"]);
}

#[test]
fn where_the_backup_cannot_be_read_nothing_goes_until_another_is_in_its_place() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    desk.save(desk.snapshot(16, &["a"]));
    abandon(begin(&desk, 17, &["a"]).1);
    fs::write(desk.path("saved"), "damaged").unwrap();
    drop(desk.copy(&mut desk.snapshot(18, &["a"])).unwrap());
    assert_eq!(desk.names(), [".unfinished", "1.2.1-10.stdout", "1.2.1-11.stdout"]);
    desk.save(desk.snapshot(19, &["a"]));
    assert_eq!(desk.names(), ["1.2.1-13.stdout"]);
}

#[test]
fn a_file_of_the_users_is_neither_taken_for_a_note_nor_overwritten_by_one() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    fs::create_dir(desk.path("saved.output")).unwrap();
    for (name, taken) in [(".unfinished", 16), ("1.2.1-11.stdout", 17)] {
        let mine = desk.path("saved.output").join(name);
        fs::write(&mine, "mine").unwrap();
        let error = desk.copy(&mut desk.snapshot(taken, &["a"])).unwrap_err();
        assert!(error.to_string().contains(&format!("{name}: cannot copy output into it")), "{error}");
        assert!(error.to_string().contains("the name is already taken"), "{error}");
        assert_eq!(desk.names(), [name]);
        // Where nothing is to be copied, it does not matter.
        desk.save(desk.snapshot(taken, &[]));
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
        fs::remove_file(&mine).unwrap();
    }
    // The beginning of a note is none of the user's, and in no way.
    fs::write(desk.path("saved.output/.unfinished"), "{\"file\":\"coor").unwrap();
    desk.save(desk.snapshot(18, &["a"]));
    assert_eq!(desk.names(), ["1.2.1-12.stdout"]);
}
