//! A backup of answers whose output has no room in a message.

use super::left::kill_client_of_two;
use super::{Desk, Ended};
use crate::support::up::{PROGRAM, Up};
use std::path::PathBuf;
use std::process::Command;

/// A fleet with two answers that their client has not taken, each with a file of output.
fn with_two_answers(desk: &Desk) -> Up {
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    desk.write("inputs", "1\n2\n");
    let script = "echo >> begun; until test -e go; do sleep 0.01; done; seq 300000";
    kill_client_of_two(desk, &up, script);
    up
}

fn program(desk: &Desk, arguments: &[&str]) -> Ended {
    let mut command = Command::new(PROGRAM);
    let command = command.args(arguments).current_dir(desk.dir.path());
    Ended::of(&command.env("COORDINATOR_SHM_DIR", desk.shm.path()).output().unwrap())
}

fn spooled(desk: &Desk) -> Vec<PathBuf> {
    let dirs = std::fs::read_dir(desk.shm.path()).unwrap().map(|entry| entry.unwrap().path().join("spool"));
    dirs.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_answer_whose_output_is_gone_is_in_the_backup_and_its_restore_says_what_is_lost() {
    let desk = Desk::new();
    let up = with_two_answers(&desk);
    let files = spooled(&desk);
    assert_eq!(files.len(), 2);
    std::fs::remove_file(&files[0]).unwrap();
    let saved = program(&desk, &["backup", "saved", "--name", "test"]).with(0);
    let saved = saved.says(&["the output of 1 unreported answer is not in the backup", "No such file"]);
    assert!(saved.stdout.contains("2 unreported answers"), "{saved:?}");
    assert_eq!(up.stop(), Some(0));
    program(&desk, &["restore", "saved", "--results", "restored"]).with(10);
    let rows = desk.rows("restored");
    let whole: Vec<_> = rows.iter().filter(|row| row["status"] == "ok").collect();
    let lost: Vec<_> = rows.iter().filter(|row| row["status"] == "failed").collect();
    assert_eq!((whole.len(), lost.len()), (1, 1), "{rows:?}");
    assert!(whole[0]["stdout"].as_str().unwrap().ends_with("\n300000\n"));
    assert!(lost[0]["error"].as_str().unwrap().contains("its output is lost"), "{}", lost[0]);
    // Neither was done again.
    assert_eq!(desk.lines("begun").len(), 2);
}

#[test]
fn a_backup_leaves_files_of_the_users_beside_it_alone() {
    let desk = Desk::new();
    let up = with_two_answers(&desk);
    std::fs::create_dir(desk.path("saved.output")).unwrap();
    desk.write("saved.output/notes", "mine");
    for _ in 0..2 {
        program(&desk, &["backup", "saved", "--name", "test"]).with(0);
        assert_eq!(std::fs::read_dir(desk.path("saved.output")).unwrap().count(), 3);
    }
    assert_eq!(desk.read("saved.output/notes"), "mine");
    assert_eq!(up.stop(), Some(0));
}
