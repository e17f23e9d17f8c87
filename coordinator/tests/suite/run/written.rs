//! What can become of the file of results, before and while it is written.

use super::journal::numbers;
use super::{Desk, wait_until};
use crate::support::wants::{NAMESPACE, has_namespaces};
use std::process::Command;

/// Says that it has begun; all but the first wait for `go`.
const SCRIPT: &str = "echo $0 >> begun; until [ $0 = 1 ] || [ -e go ]; do sleep 0.01; done; echo said $0";

#[test]
fn outputs_that_are_one_file_are_refused_before_anything_starts() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n");
    std::os::unix::fs::symlink("out", desk.path("link")).unwrap();
    for [results, journal] in [["out", "out"], ["out", "./out"], ["out", "link"], ["link", "out"]] {
        let arguments = ["--agents", "1", "--inputs", "inputs", "--results", results, "--journal", journal];
        desk.run(&[&arguments[..], &["--", "touch", "started"]].concat())
            .with(64)
            .says(&["--results and --journal are the same file", "a file of its own"]);
        assert!(!desk.path("out").exists() && !desk.path("started").exists());
    }
    desk.write("out", "");
    std::fs::hard_link(desk.path("out"), desk.path("hard")).unwrap();
    let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out", "--journal", "hard"];
    desk.run(&[&arguments[..], &["--", "touch", "started"]].concat()).with(64).says(&["are the same file"]);
    // By its name in a directory that is there, in one that is not, by a link that is there already, and by one that leads
    // there.
    std::fs::create_dir(desk.path("linked")).unwrap();
    std::os::unix::fs::symlink("../kept", desk.path("linked/1.stdout")).unwrap();
    std::os::unix::fs::symlink("linked/2.stdout", desk.path("leads")).unwrap();
    for [results, dir] in
        [["1.stdout", "."], ["new/1.stderr", "new"], ["kept", "linked"], ["leads", "linked"]]
    {
        let arguments = ["--agents", "1", "--inputs", "inputs", "--results", results, "--output-dir", dir];
        desk.run(&[&arguments[..], &["--", "touch", "started"]].concat())
            .with(64)
            .says(&["--results is where --output-dir puts the output of tasks"]);
    }
    assert!(!desk.path("started").exists());
}

#[test]
fn results_that_are_removed_meanwhile_end_the_run_with_an_error() {
    for removed in ["out", "journal"] {
        let desk = Desk::new();
        desk.write("inputs", "1\n2\n3\n");
        let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out", "--journal", "journal"];
        let child = desk.start(&[&arguments[..], &["--", "sh", "-c", SCRIPT]].concat());
        wait_until("the first has ended", || desk.lines("out").len() == 1 && desk.lines("begun").len() == 2);
        std::fs::remove_file(desk.path(removed)).unwrap();
        desk.touch("go");
        desk.ended(child).with(20).says(&[removed, "was removed"]);
    }
}

#[test]
fn results_on_standard_output_that_are_removed_or_cut_off_meanwhile_end_the_run_with_an_error() {
    let removed: fn(&Desk) = |desk| std::fs::remove_file(desk.path("out")).unwrap();
    let cut: fn(&Desk) = |desk| std::fs::write(desk.path("out"), "").unwrap();
    for (befall, says) in [(removed, "was removed"), (cut, "was cut off")] {
        let desk = Desk::new();
        desk.write("inputs", "1\n2\n");
        let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "-", "--", "sh", "-c", SCRIPT];
        let out = std::fs::File::create(desk.path("out")).unwrap();
        let child = desk.command(&arguments).stdout(out).spawn().unwrap();
        wait_until("the first has ended", || desk.lines("out").len() == 1 && desk.lines("begun").len() == 2);
        befall(&desk);
        desk.touch("go");
        desk.ended(child).with(20).says(&["the file of standard output", says]);
    }
}

#[test]
fn output_that_is_removed_meanwhile_ends_the_run_with_an_error() {
    for removed in ["files/1.stdout", "files/1.stderr", "files/2.stdout"] {
        let desk = Desk::new();
        desk.write("inputs", "1\n2\n");
        let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out", "--output-dir", "files"];
        let child = desk.start(&[&arguments[..], &["--", "sh", "-c", SCRIPT]].concat());
        wait_until("the first has ended", || desk.lines("out").len() == 1 && desk.lines("begun").len() == 2);
        std::fs::remove_file(desk.path(removed)).unwrap();
        desk.touch("go");
        desk.ended(child).with(20).says(&[removed, "was removed, and the output in it is lost"]);
    }
}

#[test]
fn results_and_a_journal_that_are_cut_off_moved_or_replaced_meanwhile_end_the_run_with_an_error() {
    let cut: fn(&Desk, &str) = |desk, name| std::fs::write(desk.path(name), "").unwrap();
    let moved: fn(&Desk, &str) = |desk, name| std::fs::rename(desk.path(name), desk.path("moved")).unwrap();
    let replaced: fn(&Desk, &str) = |desk, name| {
        desk.write("other", "");
        std::fs::hard_link(desk.path(name), desk.path("kept")).unwrap();
        std::fs::rename(desk.path("other"), desk.path(name)).unwrap();
    };
    for (befall, says) in
        [(cut, "was cut off by another"), (moved, "has another name now"), (replaced, "is another file now")]
    {
        // The last result is written before, or after.
        for (inputs, name) in
            [("1\n2\n", "out"), ("1\n2\n3\n", "out"), ("1\n2\n", "journal"), ("1\n2\n3\n", "journal")]
        {
            let desk = Desk::new();
            desk.write("inputs", inputs);
            let journal: &[&str] = if name == "out" { &[] } else { &["--journal", "journal"] };
            let arguments = ["--agents", "1", "--inputs", "inputs", "--results", "out"];
            let arguments = [&arguments[..], journal].concat();
            let child = desk.start(&[&arguments[..], &["--", "sh", "-c", SCRIPT]].concat());
            wait_until("the first has ended", || {
                desk.lines("out").len() == 1 && desk.lines("begun").len() == 2
            });
            befall(&desk, name);
            desk.touch("go");
            desk.ended(child).with(20).says(&[name, says]);
        }
    }
}

#[test]
fn results_and_a_journal_whose_file_system_is_unmounted_meanwhile_are_named_as_such() {
    if !has_namespaces() {
        return;
    }
    for (name, says) in
        [("results", "and the results are on that"), ("journal", "and the journal is on that")]
    {
        let desk = Desk::new();
        desk.write("inputs", "1\n2\n3\n");
        std::fs::create_dir(desk.path("mounted")).unwrap();
        let other = if name == "results" { "journal" } else { "results" };
        let run = format!(
            "mount -t tmpfs none mounted
            \"$0\" run --agents 1 --inputs inputs --{name} mounted/it --{other} other -- sh -c \"$1\" & run=$!
            until [ $(cat begun | wc -l) = 2 ]; do sleep 0.01; done 2>&-
            umount -l mounted; touch go; wait $run"
        );
        let output = Command::new(NAMESPACE[0])
            .args(&NAMESPACE[1..])
            .args(["sh", "-c", &run, crate::support::up::PROGRAM, SCRIPT])
            .current_dir(desk.dir.path())
            .env("COORDINATOR_SHM_DIR", desk.shm.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(20), "{name}: {said}");
        let reason =
            format!("is out of reach, because its file system is not mounted there any more, {says}");
        assert!(said.contains(&reason) && said.contains("mounted/it"), "{name}: {said}");
    }
}

#[test]
fn a_pipe_is_no_journal_and_is_not_waited_for() {
    let desk = Desk::new();
    nix::unistd::mkfifo(&desk.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let journal = ["--agents", "1", "--journal", "fifo", "--", "touch", "started"];
    for resume in [&[][..], &["--resume", "--results", "out"]] {
        desk.run(&[resume, &journal].concat()).with(64).says(&["fifo", "not a regular file"]);
    }
    assert!(!desk.path("started").exists());
    let restore = Command::new(crate::support::up::PROGRAM)
        .args(["restore", "fifo", "--shm-dir", "."])
        .current_dir(desk.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&restore.stderr);
    assert!(!restore.status.success() && said.contains("not a regular file"), "{said}");
}

#[test]
fn a_reader_of_results_that_leaves_ends_the_run_with_an_error() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n3\n");
    nix::unistd::mkfifo(&desk.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut reader = Command::new("sh")
        .args(["-c", "head -n 1 fifo > read"])
        .current_dir(desk.dir.path())
        .spawn()
        .unwrap();
    let child =
        desk.start(&["--agents", "1", "--inputs", "inputs", "--results", "fifo", "--", "sh", "-c", SCRIPT]);
    assert!(reader.wait().unwrap().success());
    assert_eq!(desk.rows("read")[0]["stdout"], "said 1\n");
    desk.touch("go");
    desk.ended(child).with(20).says(&["cannot write to fifo: Broken pipe"]);
}

#[test]
fn a_reader_of_results_gets_all_of_them() {
    let desk = Desk::new();
    desk.write("inputs", numbers(200));
    nix::unistd::mkfifo(&desk.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut reader =
        Command::new("sh").args(["-c", "cat fifo > read"]).current_dir(desk.dir.path()).spawn().unwrap();
    // More than a pipe holds.
    let script = "head -c 4000 /dev/zero | tr '\\0' x";
    desk.run(&["--agents", "2", "--inputs", "inputs", "--results", "fifo", "--", "sh", "-c", script]).with(0);
    assert!(reader.wait().unwrap().success());
    let rows = desk.last("read");
    assert!(rows.len() == 200 && rows.values().all(|row| row["stdout"] == "x".repeat(4000)));
}

#[test]
fn a_hint_names_nothing_that_cannot_help() {
    let desk = Desk::new();
    desk.write("inputs", "1\n2\n");
    let run = |extra: &[&str]| {
        let arguments = ["--agents", "1", "--inputs", "inputs"];
        desk.run(&[&arguments[..], extra, &["--", "echo", "said"]].concat())
    };
    // What is written to a device is not there for a later run.
    for resume in [&[][..], &["--resume"]] {
        let done = run(&[resume, &["--results", "/dev/full"]].concat()).with(20);
        let done = done.says(&["cannot write to /dev/full: No space left", "name a file on a disk"]);
        let errors = &done.stderr;
        assert!(!errors.contains("continue with:") && !errors.contains("continues from there"), "{errors}");
    }
    run(&["--resume", "--results", "/dev/null"]).with(0).says(&["/dev/null cannot be read again"]);
    for journal in ["/dev/full", "/dev/null", "."] {
        run(&["--journal", journal]).with(64).says(&["cannot hold a journal", "name a file on a disk"]);
    }
}

/// Not even root may write to such a file.
#[test]
fn a_file_that_is_marked_immutable_is_named_as_such() {
    let desk = Desk::new();
    desk.write("inputs", "1\n");
    desk.write("marked", "");
    let mark = |how: &str| {
        let done = Command::new("chattr").arg(how).arg(desk.path("marked")).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !mark("+i") {
        // Most file systems know no such mark, and it takes a capability that containers do not have.
        return;
    }
    let arguments = ["--agents", "1", "--inputs", "inputs"];
    let done = desk.run(&[&arguments[..], &["--results", "marked", "--", "true"]].concat());
    assert!(mark("-i"));
    done.with(20).says(&["marked is marked immutable or append-only", "chattr -i"]);
}
