use super::super::record::tests::sample;
use super::super::write_snapshot;
use super::*;
use crate::process::skips::has_or_skips;
use crate::wire::AnswerStatus;
use std::fs;

/// A place for a backup, and for files that answers name.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        names(&self.path("saved.output"))
    }

    /// A backup of tasks whose output is in files of these names.
    fn snapshot(&self, taken: u64, files: &[&str]) -> Snapshot {
        let mut snapshot = sample();
        snapshot.header.taken_unix_ns = taken;
        snapshot.untold = (1..).zip(files).map(|(sequence, file)| self.untold(sequence, file)).collect();
        snapshot
    }

    fn untold(&self, sequence: u64, file: &str) -> Untold {
        let one = sample().untold.remove(0);
        let part = Part { path: self.path(file), len: 5, stays: true };
        let body = Spooled { stdout: Some(part), stderr: None }.to_body().unwrap();
        let mut answer = AnswerRecord { status: AnswerStatus::Ok, spooled: true, ..one.answer.clone() };
        replace(&mut answer, &body);
        Untold { id: id(sequence), answer, ..one }
    }

    fn copy(&self, snapshot: &mut Snapshot) -> Result<Copied, SnapshotError> {
        copy(&self.path("saved"), snapshot, &mut || panic!("nothing is missing"))
    }

    fn save(&self, mut snapshot: Snapshot) {
        let copied = self.copy(&mut snapshot).unwrap();
        write_snapshot(&self.path("saved"), &snapshot).unwrap();
        copied.keep(&snapshot);
    }
}

/// Of what is in a directory.
fn names(dir: &Path) -> Vec<String> {
    let found = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<_> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn id(sequence: u64) -> TaskId {
    TaskId { epoch: 1, sender: 2, sequence }
}

#[test]
fn a_backup_removes_the_copies_of_the_one_before_and_nothing_else() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    let mine = ["1.2.1-ff.stdout", "1.2.9-0.stderr", "notes"];
    fs::create_dir(desk.path("saved.output")).unwrap();
    for name in mine {
        fs::write(desk.path("saved.output").join(name), "mine").unwrap();
    }
    desk.save(desk.snapshot(16, &["a", "a"]));
    let copies = |taken: &str| {
        let mut all: Vec<String> = mine.map(str::to_owned).into();
        all.extend((1..=2).map(|sequence| format!("1.2.{sequence}-{taken}.stdout")));
        all.sort();
        all
    };
    assert_eq!(desk.names(), copies("10"));
    desk.save(desk.snapshot(17, &["a", "a"]));
    assert_eq!(desk.names(), copies("11"));
    desk.save(desk.snapshot(18, &[]));
    assert_eq!(desk.names(), mine);
    for name in mine {
        assert_eq!(fs::read_to_string(desk.path("saved.output").join(name)).unwrap(), "mine");
    }
}

#[test]
fn a_directory_goes_with_the_last_copy_and_an_empty_one_of_the_users_stays() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    desk.save(desk.snapshot(1, &["a"]));
    assert_eq!(desk.names().len(), 1);
    desk.save(desk.snapshot(2, &[]));
    assert!(!desk.path("saved.output").exists());
    fs::create_dir(desk.path("saved.output")).unwrap();
    desk.save(desk.snapshot(3, &[]));
    assert!(desk.path("saved.output").exists());
}

#[test]
fn a_link_is_not_followed_to_a_directory_or_a_file() {
    let desk = Desk::new();
    for name in ["a", "precious"] {
        fs::write(desk.path(name), "12345").unwrap();
    }
    fs::create_dir(desk.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", desk.path("saved.output")).unwrap();
    let error = desk.copy(&mut desk.snapshot(1, &["a"])).unwrap_err();
    assert!(error.to_string().contains("it is a link"), "{error}");
    // Nothing is to be copied: it is not touched.
    desk.save(desk.snapshot(2, &[]));
    assert!(desk.path("elsewhere").exists() && desk.path("saved.output").exists());
    fs::remove_file(desk.path("saved.output")).unwrap();
    fs::create_dir(desk.path("saved.output")).unwrap();
    std::os::unix::fs::symlink("../precious", desk.path("saved.output/1.2.1-3.stdout")).unwrap();
    let error = desk.copy(&mut desk.snapshot(3, &["a"])).unwrap_err();
    assert!(error.to_string().contains("the name is already taken"), "{error}");
    assert_eq!(fs::read_to_string(desk.path("precious")).unwrap(), "12345");
}

#[test]
fn a_directory_of_another_user_gets_no_output() {
    let root = rustix::process::geteuid().is_root();
    if !has_or_skips("root, to make a directory of another user", root) {
        return;
    }
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    fs::create_dir(desk.path("saved.output")).unwrap();
    std::os::unix::fs::chown(desk.path("saved.output"), Some(12345), None).unwrap();
    let error = desk.copy(&mut desk.snapshot(1, &["a"])).unwrap_err();
    assert!(error.to_string().contains("belongs to user 12345"), "{error}");
    assert_eq!(desk.names(), [] as [&str; 0]);
}

#[test]
fn an_answer_without_its_output_is_left_out_only_if_its_result_is_written() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    fs::write(desk.path("short"), "1234").unwrap();
    let mut snapshot = desk.snapshot(1, &["a", "none", "short", "none"]);
    let mut looks = 0;
    let copied = copy(&desk.path("saved"), &mut snapshot, &mut || {
        looks += 1;
        // The end of one is noted after its output was removed.
        let written = if looks == 1 { 2 } else { 4 };
        Some((1..=4).filter(|sequence| *sequence != written && *sequence != 2).map(id).collect())
    });
    let copied = copied.unwrap();
    let left: Vec<_> = snapshot.untold.iter().map(|one| one.id).collect();
    assert_eq!(left, [id(1), id(3)]);
    let [(lost, why)] = &copied.lost[..] else { panic!("{:?}", copied.lost) };
    assert!(*lost == id(3) && why.contains("short: it had 5 bytes"), "{why}");
    write_snapshot(&desk.path("saved"), &snapshot).unwrap();
    copied.keep(&snapshot);
    assert_eq!(desk.names(), ["1.2.1-1.stdout"]);
    // A restore looks for it beside the backup.
    let mut read = read_snapshot(&desk.path("saved")).unwrap().untold;
    find(&desk.path("saved"), &mut read);
    let found = parsed(id(3), &read[1].answer).unwrap().stdout.unwrap();
    assert_eq!(found.path, desk.path("saved.output/1.2.3-1.stdout"));
}

#[test]
fn output_that_cannot_be_read_is_lost_and_the_rest_is_kept() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    fs::create_dir(desk.path("directory")).unwrap();
    std::os::unix::fs::symlink("loop", desk.path("loop")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(desk.path("socket")).unwrap();
    let long = "n".repeat(300);
    let mut wrong = vec!["directory", "loop", "socket", &long, "a/below"];
    // A file of 4096 bytes, and none can be read, not even by root.
    let unreadable = "/sys/class/net/lo/speed";
    let fails = fs::metadata(unreadable).is_ok_and(|found| found.len() >= 5) && fs::read(unreadable).is_err();
    if has_or_skips("a file in /sys that cannot be read", fails) {
        wrong.push(unreadable);
    }
    let files: Vec<&str> = wrong.iter().copied().chain(["a"]).collect();
    let mut snapshot = desk.snapshot(1, &files);
    let copied = copy(&desk.path("saved"), &mut snapshot, &mut || None).unwrap();
    let lost: Vec<_> = copied.lost.iter().map(|(id, _)| *id).collect();
    assert_eq!(lost, (1..=wrong.len() as u64).map(id).collect::<Vec<_>>(), "{:?}", copied.lost);
    for ((_, why), file) in copied.lost.iter().zip(&wrong) {
        assert!(why.contains(file), "{why}");
    }
    write_snapshot(&desk.path("saved"), &snapshot).unwrap();
    copied.keep(&snapshot);
    assert_eq!(snapshot.untold.len(), files.len());
    assert_eq!(desk.names(), [format!("1.2.{}-1.stdout", files.len())]);
}

#[test]
fn where_it_cannot_be_found_out_no_answer_is_left_out() {
    let desk = Desk::new();
    let mut snapshot = desk.snapshot(1, &["none"]);
    let copied = copy(&desk.path("saved"), &mut snapshot, &mut || None).unwrap();
    assert_eq!((snapshot.untold.len(), copied.lost.len()), (1, 1));
    assert!(copied.lost[0].1.contains("none: No such file"), "{:?}", copied.lost);
}

#[test]
fn a_backup_that_fails_leaves_no_copies() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    let copied = desk.copy(&mut desk.snapshot(1, &["a"])).unwrap();
    assert_eq!(desk.names(), [".unfinished", "1.2.1-1.stdout"]);
    drop(copied);
    assert!(!desk.path("saved.output").exists());
}

#[test]
fn one_backup_at_a_time_copies_into_a_directory() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "12345").unwrap();
    let first = desk.copy(&mut desk.snapshot(1, &["a"])).unwrap();
    let error = desk.copy(&mut desk.snapshot(2, &["a"])).unwrap_err();
    assert!(matches!(error, SnapshotError::Locked { .. }), "{error}");
    drop(first);
    desk.copy(&mut desk.snapshot(2, &["a"])).unwrap();
}

mod interrupted;
