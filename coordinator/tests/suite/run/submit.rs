//! Tasks for a fleet that stays.

use super::{Desk, Ended, is_empty, signal, wait_until, waits};
use crate::support::up::{PROGRAM, Up};
use coordinator::client::status;
use nix::sys::signal::Signal;
use std::process::{Child, Command, Stdio};

pub(super) fn start(desk: &Desk, arguments: &[&str]) -> Child {
    Command::new(PROGRAM)
        .args(["submit", "test"])
        .args(arguments)
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(super) fn submit(desk: &Desk, arguments: &[&str]) -> Ended {
    Ended::of(&start(desk, arguments).wait_with_output().unwrap())
}

#[test]
fn one_after_another_gives_tasks_to_a_fleet_and_each_hears_of_its_own() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 2, 3, &["--payload-max", "8000"]);
    let inputs: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    desk.write("inputs", inputs.join("\n"));
    for round in 0..3 {
        let results = format!("out{round}");
        let arguments = ["--inputs", "inputs", "-k", "--results", &results, "--print", "--", "echo", "{}"];
        let ended = submit(&desk, &arguments).with(0);
        assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), inputs);
        assert_eq!(desk.last(&results).len(), 100);
    }
    // Where it was said, not where the fleet is at home.
    let ended = submit(&desk, &["--inputs", "inputs", "--", "sh", "-c", "echo $0 >> $(basename $PWD).here"]);
    ended.with(0);
    let here = desk.dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(desk.lines(&format!("{here}.here")).len(), 100);
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(desk.shm.path()));
}

#[test]
fn a_task_that_cannot_be_noted_is_not_seen_by_the_fleet() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &["--payload-max", "65536"]);
    desk.write("inputs", format!("1\n2\n{}\n", "x".repeat(30_000)));
    let script = "echo $0 >> begun; [ $0 != 2 ] || sleep 1000";
    // In blocks of 512 or 1024 bytes: no room for the third task in the journal of the fleet's clients.
    let limited = "ulimit -f 16; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args([
            "-c",
            limited,
            PROGRAM,
            "submit",
            "test",
            "--inputs",
            "inputs",
            "--results",
            "out",
            "--grace",
            "1ms",
        ])
        .args(["--", "sh", "-c", script])
        .current_dir(desk.dir.path())
        .env("COORDINATOR_SHM_DIR", desk.shm.path())
        .output()
        .unwrap();
    Ended::of(&output).with(20).says(&["clients: cannot append to it"]);
    assert_eq!(desk.last("out")["1"]["status"], "ok");
    wait_until("the second is cancelled", || {
        status::of(&up.dir).is_ok_and(|status| status.ledger().in_flight == 0)
    });
    assert_eq!((status::of(&up.dir).unwrap().ledger().accepted, desk.lines("begun").len()), (2, 2));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn what_cannot_be_submitted_is_refused() {
    let desk = Desk::new();
    desk.write("inputs", "1\n");
    submit(&desk, &["--inputs", "inputs", "--", "true"]).with(10).says(&["there is no fleet `test`"]);
    submit(&desk, &["--", "true"]).with(64).says(&["there is nothing to submit"]);
    let up = Up::start(desk.shm.path(), 1, 1, &["--payload-max", "1000"]);
    let long = "x".repeat(2000);
    submit(&desk, &["--inputs", "inputs", "--", "echo", &long])
        .with(64)
        .says(&["and the fleet takes at most 1000", "--payload-max"]);
    submit(&desk, &["--protocol", "jsonl", "--inputs", "inputs", "--", "x"])
        .with(64)
        .says(&["a command cannot be given with --protocol jsonl"]);
    submit(&desk, &["--protocol", "jsonl", "--inputs", "inputs", "--grace", "1s"])
        .with(64)
        .says(&["--grace cannot be used with --protocol jsonl", "`coordinator up` has the same options"]);
    submit(&desk, &["--protocol", "jsonl", "--inputs", "inputs"])
        .with(10)
        .says(&["this fleet has no agent program"]);
    let script = waits("go");
    let first = start(&desk, &["--inputs", "inputs", "--", "sh", "-c", &script]);
    wait_until("it runs", || desk.lines("begun").len() == 1);
    submit(&desk, &["--inputs", "inputs", "--", "true"]).with(10).says(&["one client at a time"]);
    desk.touch("go");
    Ended::of(&first.wait_with_output().unwrap()).with(0);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_second_signal_ends_the_tasks_and_leaves_the_fleet() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    desk.write("inputs", "1\n2\n3\n");
    let script = "echo $$ >> begun; exec sleep 1000";
    let mut child = start(&desk, &["--inputs", "inputs", "--results", "out", "--", "sh", "-c", script]);
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    signal(&child, Signal::SIGINT);
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut String::new()).unwrap();
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(21));
    for pid in desk.lines("begun") {
        let gone = || coordinator::client::Identity::of(pid.parse().unwrap()).is_none_or(|it| !it.is_alive());
        wait_until("the commands are gone", gone);
    }
    wait_until("nothing is in flight", || {
        status::of(&up.dir).is_ok_and(|status| status.ledger().in_flight == 0)
    });
    assert!(desk.rows("out").iter().all(|row| row["status"] == "cancelled"));
    // It goes on with others.
    submit(&desk, &["--inputs", "inputs", "--", "true"]).with(0);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_cancelled_task_gets_the_signal_and_the_grace_of_its_client_or_of_its_fleet() {
    for (fleet, client) in [
        (&["--stop-signal", "INT", "--grace", "30s"][..], &[][..]),
        (&[], &["--stop-signal", "INT", "--grace", "30s"]),
    ] {
        let desk = Desk::new();
        let up = Up::start(desk.shm.path(), 1, 1, fleet);
        desk.write("inputs", "one\n");
        let script = super::ends::saves_at("INT").replace("exit 5", "echo cleaned; exit 5");
        let script = format!("echo begun; {script}");
        let rest = ["--inputs", "inputs", "--results", "out", "--", "sh", "-c", &script];
        let child = start(&desk, &[client, &rest].concat());
        wait_until("it has begun", || desk.lines("begun").len() == 1);
        let cancel = Command::new(PROGRAM)
            .args(["cancel", "test", "all"])
            .env("COORDINATOR_SHM_DIR", desk.shm.path())
            .output()
            .unwrap();
        assert!(cancel.status.success(), "{cancel:?}");
        Ended::of(&child.wait_with_output().unwrap()).with(10);
        // Its result comes when it has ended, and with what it has output.
        assert_eq!(desk.lines("saved"), ["one"]);
        let row = &desk.rows("out")[0];
        assert_eq!(
            (&row["status"], &row["stdout"]),
            (&"cancelled".into(), &"begun\ncleaned\n".into()),
            "{row}"
        );
        assert!(row["exit"] == 5 && row["run_ms"].is_f64() && row["max_rss_bytes"].is_u64(), "{row}");
        assert_eq!(up.stop(), Some(0));
    }
}

#[test]
fn a_fleet_that_stops_waits_for_the_grace_of_its_commands() {
    let desk = Desk::new();
    // Longer than a fleet with the default grace may take to stop.
    let up = Up::start(desk.shm.path(), 1, 1, &["--stop-signal", "HUP", "--grace", "30s"]);
    desk.write("inputs", "one\n");
    let script = super::ends::saves_at("HUP").replace("sleep 0.8", "sleep 4");
    let child = start(&desk, &["--inputs", "inputs", "--", "sh", "-c", &script]);
    wait_until("it has begun", || desk.lines("begun").len() == 1);
    assert_eq!(up.stop(), Some(0));
    assert_eq!(desk.lines("saved"), ["one"]);
    Ended::of(&child.wait_with_output().unwrap()).with(10);
}

#[test]
fn a_list_goes_on_after_its_client_was_killed() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    let inputs: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    desk.write("inputs", inputs.join("\n"));
    let script = "echo $0 >> begun; sleep 0.02";
    let arguments = ["--inputs", "inputs", "--results", "out", "--resume", "--", "sh", "-c", script];
    let mut child = start(&desk, &arguments);
    wait_until("some have ended", || desk.lines("out").len() >= 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let kept: Vec<String> = desk.last("out").into_keys().collect();
    submit(&desk, &arguments).with(0);
    assert_eq!(desk.last("out").len(), 60);
    assert!(kept.len() < 60);
    let begun = desk.lines("begun");
    for id in kept {
        assert_eq!(begun.iter().filter(|line| **line == id).count(), 1, "task {id}");
    }
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_fleet_that_ends_under_its_client_is_told() {
    let desk = Desk::new();
    let mut up = Up::start(desk.shm.path(), 1, 2, &[]);
    desk.write("inputs", "1\n2\n3\n");
    let child = start(
        &desk,
        &["--inputs", "inputs", "--results", "out", "--", "sh", "-c", "echo x >> begun; sleep 1000"],
    );
    wait_until("two have begun", || desk.lines("begun").len() == 2);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let ended = Ended::of(&child.wait_with_output().unwrap()).with(10);
    ended.says(&["the fleet is lost", "continue with: "]);
}

/// The fleet itself begins it again: its book and its dead letters say what the results say.
#[test]
fn a_task_that_a_worker_died_of_and_another_did_is_no_failure_of_the_fleet() {
    let desk = Desk::new();
    let up = Up::start(desk.shm.path(), 1, 2, &[]);
    let once = "echo x >> begun; [ $(wc -l < begun) -gt 1 ] || kill -9 $PPID; echo done";
    let arguments = ["--inputs", "inputs", "--results", "out", "--", "sh", "-c", once];
    desk.write("inputs", "1\n");
    submit(&desk, &arguments).with(0);
    assert_eq!(desk.rows("out")[0]["attempt"], 2);
    let status = status::of(&up.dir).unwrap();
    let ledger = status.ledger();
    assert_eq!((ledger.accepted, ledger.answered, ledger.failed), (1, 1, 0));
    assert_eq!(coordinator::client::dead_letters::of(&up.dir).unwrap().len(), 0);
    // And one that always kills its worker has one dead letter, with all its attempts; a time-out is no death.
    submit(&desk, &["--inputs", "inputs", "--", "sh", "-c", "kill -9 $PPID; sleep 100"]).with(10);
    submit(
        &desk,
        &["--inputs", "inputs", "--timeout", "100ms", "--", "sh", "-c", "echo x >> slow; sleep 100"],
    )
    .with(10);
    let letters = coordinator::client::dead_letters::of(&up.dir).unwrap();
    let attempts: Vec<_> = letters.iter().map(|letter| letter.attempts).collect();
    assert_eq!(attempts, [3, 1], "{letters:?}");
    assert_eq!(desk.lines("slow").len(), 1);
    assert_eq!(up.stop(), Some(0));
}
