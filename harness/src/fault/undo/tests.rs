//! Journals of harnesses that died between any two steps, and journals that no harness wrote.

use super::*;
use crate::fault::Controller;
use crate::fault::skips::has_or_skips;
use std::fs::OpenOptions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};

/// The group of this process where groups can be made; nothing where they cannot.
fn own_group() -> Option<PathBuf> {
    let is_writable = Controller::Memory.is_writable().is_ok();
    let has = has_or_skips("control groups that it can make", is_writable);
    has.then(|| Controller::Memory.own_parent().unwrap())
}

/// One that is not there any more.
fn dead() -> Identity {
    let mut child = Command::new("true").spawn().unwrap();
    let identity = Identity::of(child.id()).unwrap();
    child.wait().unwrap();
    identity
}

fn begun(dir: &Path, harness: Identity, parent: &Path) -> Journal {
    let one = Intended { parent: parent.to_owned(), origin: parent.to_owned() };
    Journal::begin_of(dir, harness, &[one.clone(), one]).unwrap()
}

struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn group(&self) -> PathBuf {
        Controller::Memory.group_of(self.0.id()).unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn private() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn journals(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn whatever_the_last_step_of_a_dead_harness_was_nothing_of_it_stays() {
    let Some(own) = own_group() else { return };
    let dir = private();
    let sleeper = Sleeper::start();
    for step in 0..6 {
        let mut journal = begun(dir.path(), dead(), &own);
        let dirs: Vec<PathBuf> = journal.groups().iter().map(Group::dir).collect();
        match step {
            0 => {}
            // It died between the directory and the line that says which one it is.
            1 => fs::create_dir(&dirs[0]).unwrap(),
            2 => journal.make(0).unwrap(),
            3 => (0..2).for_each(|index| journal.make(index).unwrap()),
            4 | 5 => {
                (0..2).for_each(|index| journal.make(index).unwrap());
                fs::write(dirs[1].join("cgroup.procs"), sleeper.0.id().to_string()).unwrap();
                assert_eq!(sleeper.group(), dirs[1]);
            }
            _ => unreachable!(),
        }
        if step == 5 {
            // Half undone.
            fs::remove_dir(&dirs[0]).unwrap();
        }
        let there: Vec<PathBuf> = dirs.iter().filter(|dir| dir.exists()).cloned().collect();
        assert_eq!(replay(dir.path(), true), Replayed::default(), "{step}: it is held by one that lives");
        drop(journal);
        assert_eq!(replay(dir.path(), false), Replayed { undone: there.clone(), left: Vec::new() }, "{step}");
        assert!(there.iter().all(|dir| dir.exists()), "{step}: only looked at");
        assert_eq!(replay(dir.path(), true), Replayed { undone: there, left: Vec::new() }, "{step}");
        assert!(dirs.iter().all(|dir| !dir.exists()), "{step}");
        assert_eq!((journals(dir.path()), sleeper.group()), (0, own.clone()), "{step}");
        assert_eq!(replay(dir.path(), true), Replayed::default(), "{step}: once more");
    }
}

#[test]
fn a_journal_that_was_cut_off_at_any_byte_does_what_is_whole_in_it_and_nothing_else() {
    let Some(own) = own_group() else { return };
    let dir = private();
    let mut journal = begun(dir.path(), dead(), &own);
    let group = journal.groups()[0].dir();
    journal.make(0).unwrap();
    let path = journal.path.clone();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    let mut removed = 0;
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let replayed = replay(dir.path(), true);
        let is_named = length >= ends[1];
        assert_eq!((replayed.undone.len(), replayed.left.len()), (usize::from(is_named), 0), "{length}");
        assert_eq!(group.exists(), !is_named, "{length}");
        if is_named {
            removed += 1;
            fs::create_dir(&group).unwrap();
        }
        // A group that was named and not made is removed by its name, as long as it is empty.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.unwrap().write_all(&whole).unwrap();
    }
    assert!(removed > 10);
    fs::remove_dir(&group).unwrap();
}

#[test]
fn an_empty_group_is_removed_also_if_the_one_that_its_processes_came_from_is_gone() {
    let Some(own) = own_group() else { return };
    let dir = private();
    let origin = own.join(format!("harness-test-{:x}", rand::random::<u64>()));
    fs::create_dir(&origin).unwrap();
    let intended = [Intended { parent: own.clone(), origin: origin.clone() }];
    let mut journal = Journal::begin_of(dir.path(), dead(), &intended).unwrap();
    let group = journal.groups()[0].dir();
    journal.make(0).unwrap();
    drop(journal);
    fs::remove_dir(&origin).unwrap();
    // What is in it cannot go back, and stays.
    let sleeper = Sleeper::start();
    fs::write(group.join("cgroup.procs"), sleeper.0.id().to_string()).unwrap();
    let replayed = replay(dir.path(), true);
    assert!(replayed.left[0].1.contains("is not a control group beside it"), "{replayed:?}");
    assert_eq!(sleeper.group(), group);
    drop(sleeper);
    assert_eq!(replay(dir.path(), true), Replayed { undone: vec![group.clone()], left: Vec::new() });
    assert!(!group.exists());
    assert_eq!(journals(dir.path()), 0);
}

/// A journal of a dead harness that says so of `parent`, with one group as given.
fn forged(dir: &Path, name: impl Fn(&str) -> String, parent: &Path, made: Option<(u64, u64)>) -> PathBuf {
    let (nonce, dead) = (format!("{:032x}", rand::random::<u128>()), dead());
    let mut lines = vec![
        json!({
            "nonce": nonce, "pid": dead.pid, "start_ticks": dead.start_ticks,
            "boot_id": here().unwrap().0, "namespace": here().unwrap().1,
        }),
        json!({ "parent": parent, "name": name(&nonce), "origin": parent }),
    ];
    if let Some((device, inode)) = made {
        lines.push(json!({ "made": 0, "device": device, "inode": inode }));
    }
    let (mut chain, mut out) = (Chain::START, Vec::new());
    for line in &lines {
        append(&mut chain, &mut out, line, LINE_MAX).unwrap();
    }
    let path = dir.join(format!("{nonce}{SUFFIX}"));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap().write_all(&out).unwrap();
    path
}

/// It says so, and stays; what it names is still there.
fn refuses(dir: &Path, precious: &Path, why: &str) {
    let replayed = replay(dir, true);
    assert_eq!(replayed.undone, Vec::<PathBuf>::new(), "{why}");
    assert!(replayed.left[0].1.contains(why), "{why}: {replayed:?}");
    assert!(precious.is_dir(), "{why}");
    fs::remove_file(&replayed.left[0].0).unwrap();
}

#[test]
fn a_forged_journal_removes_no_other_directory() {
    let dir = private();
    let ours = |nonce: &str| format!("{PREFIX}{nonce}-0");
    // A directory of that very name, with that very inode, which is not a control group.
    let elsewhere = tempfile::tempdir().unwrap();
    let path = forged(dir.path(), ours, elsewhere.path(), None);
    let nonce = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let precious = elsewhere.path().join(ours(&nonce));
    fs::create_dir(&precious).unwrap();
    refuses(dir.path(), &precious, "not a control group");
    for name in ["other", "../other", ""] {
        forged(dir.path(), |_| name.to_owned(), elsewhere.path(), None);
        refuses(dir.path(), &precious, "damaged");
    }
    let Some(own) = own_group() else { return };
    // A group that another one has made under that name: neither it nor what is in it is touched.
    let path = forged(dir.path(), ours, &own, Some((1, 1)));
    let group = own.join(ours(path.file_stem().unwrap().to_str().unwrap()));
    fs::create_dir(&group).unwrap();
    let sleeper = Sleeper::start();
    fs::write(group.join("cgroup.procs"), sleeper.0.id().to_string()).unwrap();
    refuses(dir.path(), &group, "not the control group that was made");
    assert_eq!(sleeper.group(), group);
    drop(sleeper);
    remove(&group).unwrap();
    // One with a process in it that was never written down as made.
    let path = forged(dir.path(), ours, &own, None);
    let group = own.join(ours(path.file_stem().unwrap().to_str().unwrap()));
    fs::create_dir(&group).unwrap();
    let sleeper = Sleeper::start();
    fs::write(group.join("cgroup.procs"), sleeper.0.id().to_string()).unwrap();
    refuses(dir.path(), &group, "busy");
    assert_eq!(sleeper.group(), group);
    drop(sleeper);
    remove(&group).unwrap();
}

#[test]
fn a_journal_whose_lines_were_changed_is_not_followed() {
    let Some(own) = own_group() else { return };
    let dir = private();
    let mut journal = begun(dir.path(), dead(), &own);
    journal.make(0).unwrap();
    let (path, group) = (journal.path.clone(), journal.groups()[0].dir());
    drop(journal);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"pid\":", "\"pid\":1", 1)).unwrap();
    let replayed = replay(dir.path(), true);
    assert!(replayed.undone.is_empty() && replayed.left[0].1.contains("damaged"), "{replayed:?}");
    assert!(group.is_dir());
    fs::write(&path, text).unwrap();
    assert_eq!(replay(dir.path(), true).undone, [group]);
}

#[test]
fn what_is_not_of_a_dead_harness_here_and_now_is_left() {
    let dir = private();
    let parent = Path::new("/nowhere");
    drop(begun(dir.path(), Identity::own(), parent));
    assert_eq!((replay(dir.path(), true), journals(dir.path())), (Replayed::default(), 1), "it lives");
    for path in fs::read_dir(dir.path()).unwrap() {
        fs::remove_file(path.unwrap().path()).unwrap();
    }
    // Of another user, or readable for others, it could be anyone's.
    let journal = begun(dir.path(), dead(), parent);
    fs::set_permissions(&journal.path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(journal);
    assert_eq!(replay(dir.path(), true).left.len(), 1);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(replay(dir.path(), true).left[0].1.contains("mode 0700"));
    assert!(Journal::begin(dir.path(), &[]).is_err());
}
