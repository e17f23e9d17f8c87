//! What a client leaves in a fleet when it is killed, or when its results cannot be written: the next client has it.

use super::submit::{start, submit};
use super::{Desk, Ended, wait_until, waits};
use crate::support::up::{PROGRAM, Up};
use coordinator::client::status;
use std::process::Command;

/// A client with two tasks in the fleet is killed, and they end without it.
fn leave_two_answers(desk: &Desk, up: &Up) {
    desk.write("inputs", "1\n2\n3\n4\n");
    kill_client_of_two(desk, up, &waits("go"));
    assert_eq!((desk.read("out").as_str(), untold(up)), ("", 2));
}

/// The script runs for each of the inputs, says in `begun` that it does, and ends when there is a `go`.
pub(super) fn kill_client_of_two(desk: &Desk, up: &Up, script: &str) {
    let mut client = start(desk, &["--inputs", "inputs", "--results", "out", "--", "sh", "-c", script]);
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    client.kill().unwrap();
    client.wait().unwrap();
    desk.touch("go");
    wait_until("both are answered", || {
        status::of(&up.dir).is_ok_and(|status| status.ledger().in_flight == 0)
    });
}

fn untold(up: &Up) -> u64 {
    status::of(&up.dir).unwrap().coordinators.iter().map(|one| one.untold).sum()
}

fn resume(desk: &Desk, results: &str) -> Ended {
    let script = waits("go");
    submit(desk, &["--inputs", "inputs", "--resume", "--results", results, "--", "sh", "-c", &script])
}

fn is_complete(desk: &Desk, results: &str) {
    let rows = desk.rows(results);
    assert_eq!((rows.len(), desk.last(results).len()), (4, 4), "{rows:?}");
    for row in &rows {
        let id = row["id"].as_str().unwrap();
        assert_eq!((&row["status"], &row["stdout"]), (&"ok".into(), &format!("said {id}\n").into()));
        assert_eq!(row["input"], id);
    }
    assert_eq!(desk.lines("begun").len(), 4, "a task was done again");
}

#[test]
fn answers_to_a_killed_client_are_written_by_the_one_that_resumes_its_list() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    leave_two_answers(&desk, &up);
    resume(&desk, "out").with(0);
    is_complete(&desk, "out");
    assert_eq!(untold(&up), 0);
    // They are not written once more.
    resume(&desk, "out").with(0);
    is_complete(&desk, "out");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn output_that_waited_for_its_turn_when_its_client_was_killed_is_kept_for_the_next_one() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 3, &[]);
    desk.write("inputs", "1\n2\n3\n");
    // The last one has no room in a message.
    let script = "echo >> begun; [ $0 != 1 ] || until [ -e go ]; do sleep 0.01; done; [ $0 != 3 ] || seq 100000; echo said $0";
    let rest = ["--", "sh", "-c", script];
    let mut client = start(&desk, &[&["--inputs", "inputs", "-k"][..], &rest].concat());
    wait_until("two have ended, and their answers are taken", || {
        status::of(&up.dir).is_ok_and(|status| status.ledger().answered == 2 && untold(&up) == 0)
    });
    client.kill().unwrap();
    client.wait().unwrap();
    desk.touch("go");
    submit(&desk, &[&["--inputs", "inputs", "--resume", "--results", "out"][..], &rest].concat()).with(0);
    let rows = desk.last("out");
    assert_eq!((rows.len(), desk.lines("begun").len()), (3, 3), "a task was done again");
    assert_eq!(rows["2"]["stdout"], "said 2\n");
    assert!(rows["3"]["stdout"].as_str().unwrap().ends_with("\n100000\nsaid 3\n"));
    // What is printed in its turn is not kept.
    let ended = submit(&desk, &[&["--inputs", "inputs", "-k"][..], &rest].concat()).with(0);
    assert!(ended.stdout.starts_with("said 1\nsaid 2\n1\n2\n"), "{ended:?}");
    assert!(!ended.stderr.contains("the fleet keeps"), "{ended:?}");
    submit(&desk, &[&["--inputs", "inputs", "--resume", "--results", "anew"][..], &rest].concat()).with(0);
    assert_eq!(desk.lines("begun").len(), 9);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_client_with_another_list_keeps_the_answers_to_the_earlier_one() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    leave_two_answers(&desk, &up);
    let other = ["--inputs", "inputs", "--results", "other", "--", "echo", "other"];
    submit(&desk, &other).with(0).says(&["the fleet keeps 2 answers to earlier clients", "--resume"]);
    assert!(desk.rows("other").iter().all(|row| row["stdout"].as_str().unwrap().starts_with("other")));
    resume(&desk, "out").with(0);
    is_complete(&desk, "out");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_task_that_still_runs_is_waited_for_and_not_done_again() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    desk.write("inputs", "1\n2\n3\n4\n");
    let script = waits("go");
    let mut client = start(&desk, &["--inputs", "inputs", "--results", "out", "--", "sh", "-c", &script]);
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    client.kill().unwrap();
    client.wait().unwrap();
    let second =
        start(&desk, &["--inputs", "inputs", "--resume", "--results", "out", "--", "sh", "-c", &script]);
    wait_until("it is the client", || {
        status::of(&up.dir).is_ok_and(|status| status.client.is_some_and(|client| client.pid == second.id()))
    });
    desk.touch("go");
    Ended::of(&second.wait_with_output().unwrap()).with(0);
    is_complete(&desk, "out");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn an_answer_whose_result_cannot_be_written_is_kept_for_the_next_client() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 1, &[]);
    desk.write("inputs", "1\n");
    let rest = ["--", "sh", "-c", "echo begun >> begun; echo said $0"];
    submit(&desk, &[&["--inputs", "inputs", "--results", "/dev/full"][..], &rest].concat())
        .with(20)
        .says(&["cannot write to /dev/full"]);
    submit(&desk, &[&["--inputs", "inputs", "--resume", "--results", "out"][..], &rest].concat()).with(0);
    assert_eq!((desk.rows("out").len(), &desk.rows("out")[0]["stdout"]), (1, &"said 1\n".into()));
    assert_eq!(desk.lines("begun").len(), 1);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_backup_has_the_answers_to_a_killed_client_under_their_names() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    leave_two_answers(&desk, &up);
    // From the ring of answers into the journal of the clients.
    submit(&desk, &["--inputs", "inputs", "--", "true"]).with(0);
    let program = |arguments: &[&str]| {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(desk.dir.path())
            .env("COORDINATOR_SHM_DIR", desk.shm.path())
            .output()
            .unwrap();
        Ended::of(&output).with(0)
    };
    program(&["backup", "backup", "--name", "test"]);
    assert_eq!(up.stop(), Some(0));
    for _ in 0..2 {
        // The second time there is nothing to add.
        program(&["restore", "backup", "--resume", "--results", "out"]);
        assert_eq!(desk.rows("out").len(), 2);
    }
    let script = waits("go");
    desk.run(&[
        "--agents",
        "1",
        "--inputs",
        "inputs",
        "--resume",
        "--results",
        "out",
        "--",
        "sh",
        "-c",
        &script,
    ])
    .with(0)
    .says(&["2 of 4 tasks are done; 2 to do"]);
    is_complete(&desk, "out");
}

#[test]
fn long_output_of_a_killed_clients_tasks_is_whole_for_the_next_client_and_in_a_backup() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    desk.write("inputs", "1\n2\n");
    let script = "echo >> begun; until test -e go; do sleep 0.01; done; seq 300000; seq 9000 >&2";
    let rest = ["--", "sh", "-c", script];
    let mut client = start(&desk, &[&["--inputs", "inputs", "--results", "out"][..], &rest].concat());
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    client.kill().unwrap();
    client.wait().unwrap();
    desk.touch("go");
    wait_until("both are answered", || {
        status::of(&up.dir).is_ok_and(|status| status.ledger().in_flight == 0)
    });
    let coordinator = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let ended = command
            .args(arguments)
            .current_dir(desk.dir.path())
            .env("COORDINATOR_SHM_DIR", desk.shm.path())
            .env("TMPDIR", desk.shm.path())
            .output()
            .unwrap();
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    };
    // The second one replaces the first, whose files go.
    for _ in 0..2 {
        coordinator(&["backup", "saved", "--name", "test"]);
        assert_eq!(std::fs::read_dir(desk.path("saved.output")).unwrap().count(), 4);
    }
    submit(&desk, &[&["--inputs", "inputs", "--resume", "--results", "out"][..], &rest].concat()).with(0);
    let spooled =
        std::fs::read_dir(desk.shm.path()).unwrap().flatten().map(|entry| entry.path().join("spool"));
    let files = spooled.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().count();
    assert_eq!((desk.lines("begun").len(), files), (2, 0));
    assert_eq!(up.stop(), Some(0));
    // Neither the fleet nor the place where it was is needed.
    std::fs::create_dir(desk.path("moved")).unwrap();
    for name in ["saved", "saved.output"] {
        std::fs::rename(desk.path(name), desk.path(&format!("moved/{name}"))).unwrap();
    }
    for results in ["restored", "again"] {
        coordinator(&["restore", "moved/saved", "--results", results]);
    }
    let lines = |last: u32| (1..=last).map(|number| number.to_string() + "\n").collect::<String>();
    for results in ["out", "restored", "again"] {
        assert_eq!(desk.last(results).len(), 2);
        for row in desk.rows(results) {
            assert_eq!((&row["status"], row["truncated"].as_bool()), (&"ok".into(), Some(false)));
            assert!(row["stdout"] == *lines(300_000) && row["stderr"] == *lines(9000), "{results}");
        }
    }
}

#[test]
fn a_message_that_is_too_small_to_name_a_file_fails_the_task_with_a_reason() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 1, &["--payload-max", "130"]);
    desk.write("inputs", "100\n100000\n");
    submit(&desk, &["--inputs", "inputs", "--results", "out", "--", "head", "-c", "{}", "/dev/zero"])
        .with(10)
        .says(&["the fleet's messages cannot hold where the output is", "--payload-max"]);
    let rows = desk.last("out");
    assert_eq!((&rows["1"]["status"], &rows["2"]["status"]), (&"ok".into(), &"refused".into()));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn files_with_output_that_no_answer_names_go_when_the_next_client_comes_and_no_others() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    desk.write("inputs", "1\n2\n");
    let script = "echo >> begun; until test -e go; do sleep 0.01; done; seq 30000";
    let rest = ["--", "sh", "-c", script];
    let mut client = start(&desk, &[&["--inputs", "inputs", "--results", "out"][..], &rest].concat());
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    client.kill().unwrap();
    client.wait().unwrap();
    desk.touch("go");
    wait_until("both are answered", || {
        status::of(&up.dir).is_ok_and(|status| status.ledger().in_flight == 0)
    });
    let files = || {
        let dirs =
            std::fs::read_dir(desk.shm.path()).unwrap().flatten().map(|entry| entry.path().join("spool"));
        let files = dirs.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten();
        files.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let kept = files();
    assert_eq!(kept.len(), 2);
    // Of a task of the same client that has no answer any more.
    let (of_client, _) = kept[0].to_str().unwrap().rsplit_once('-').unwrap().0.rsplit_once('.').unwrap();
    let orphan = std::path::PathBuf::from(format!("{of_client}.999999-1-0.stdout"));
    std::fs::write(&orphan, "left").unwrap();
    submit(&desk, &["--inputs", "inputs", "--results", "other", "--", "echo", "other"]).with(0);
    assert!(!orphan.exists() && kept.iter().all(|file| file.exists()), "{:?}", files());
    submit(&desk, &[&["--inputs", "inputs", "--resume", "--results", "out"][..], &rest].concat()).with(0);
    assert_eq!((desk.lines("begun").len(), files().len()), (2, 0));
    assert_eq!(up.stop(), Some(0));
}
