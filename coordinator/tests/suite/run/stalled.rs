//! Readers that stall: they hold up what they are to read, and no signal.

use super::{Desk, is_empty, signal, wait_until};
use crate::support::stalled::{asking, full_pipe};
use crate::support::up::{Up, kill, shm};
use coordinator::client::Identity;
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

/// Each says something on both streams; the last one waits for ever.
const TASKS: &str = "echo said $0; echo err $0 >&2; echo $0 >> begun; [ $0 != c ] || sleep 1000";

enum Full {
    Stdout,
    Stderr,
}

/// Starts a run one of whose streams is not read; `arguments` come before the command.
fn start(desk: &Desk, full: &Full, arguments: &[&str]) -> (Child, std::io::PipeReader) {
    desk.write("inputs", "a\nb\nc\n");
    let mut command = desk.command(&["--agents", "3", "--inputs", "inputs", "--drain", "100ms"]);
    command.args(arguments).args(["--", "sh", "-c", TASKS]);
    let (reader, writer) = full_pipe();
    match full {
        Full::Stdout => command.stdout(writer),
        Full::Stderr => command.stderr(writer),
    };
    let child = command.spawn().unwrap();
    wait_until("the tasks have begun", || desk.lines("begun").len() == 3);
    (child, reader)
}

#[test]
fn a_signal_ends_a_run_whose_output_is_not_read() {
    for full in [Full::Stdout, Full::Stderr] {
        for number in asking() {
            let desk = Desk::new();
            let (child, _reader) = start(&desk, &full, &["--progress=always"]);
            signal(&child, number);
            desk.ended(child).with(21);
        }
    }
}

#[test]
fn a_run_whose_output_is_lost_after_its_last_task_has_not_succeeded() {
    for full in [Full::Stdout, Full::Stderr] {
        let desk = Desk::new();
        let mut command =
            desk.command(&["--agents", "2", "--", "sh", "-c", "echo said; echo err >&2; echo >> begun"]);
        let (_reader, writer) = full_pipe();
        match full {
            Full::Stdout => command.stdout(writer),
            Full::Stderr => command.stderr(writer),
        };
        let child = command.spawn().unwrap();
        let answered = || {
            let fleet = std::fs::read_dir(desk.shm.path()).unwrap().flatten().next();
            let status = fleet.and_then(|fleet| coordinator::client::status::of(&fleet.path()).ok());
            status.map_or(0, |status| status.ledger().answered)
        };
        wait_until("the tasks have ended", || answered() == 2);
        signal(&child, Signal::SIGINT);
        desk.ended(child).with(21);
    }
}

#[test]
fn a_run_that_warns_before_it_starts_goes_on_if_that_is_not_read() {
    let desk = Desk::new();
    desk.write("inputs", "a\nb\n");
    let arguments = ["--agents", "2", "--inputs", "inputs", "--results", "out"];
    let command = ["--", "sh", "-c", "echo $0 >> begun"];
    desk.start(&[&arguments[..], &command].concat()).wait_with_output().unwrap();
    desk.write("inputs", "a\nb\nc\n");
    let mut resumed = desk.command(&[&arguments[..], &["--resume"], &command].concat());
    let (_reader, writer) = full_pipe();
    // "2 of 3 tasks are done; 1 to do" is not read.
    desk.ended(resumed.stderr(writer).spawn().unwrap()).with(0);
    assert_eq!(desk.lines("begun").len(), 3);
}

#[test]
fn two_signals_end_a_run_whose_output_is_not_read_as_interrupted() {
    for full in [Full::Stdout, Full::Stderr] {
        let desk = Desk::new();
        let (child, _reader) = start(&desk, &full, &[]);
        signal(&child, Signal::SIGINT);
        signal(&child, Signal::SIGTERM);
        desk.ended(child).with(21);
    }
}

#[test]
fn a_signal_ends_a_run_whose_results_are_not_read() {
    let desk = Desk::new();
    let fifo = desk.path("results");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let held = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
    // As small as the kernel makes it, so that few results fill it.
    rustix::pipe::fcntl_setpipe_size(&held, 4096).unwrap();
    let script = "head -c 4000 /dev/zero | tr '\\0' x; echo $0 >> begun";
    let run = desk.start(&["--agents", "9", "--results", "results", "--", "sh", "-c", script, "{}"]);
    wait_until("the tasks have begun", || desk.lines("begun").len() == 9);
    signal(&run, Signal::SIGTERM);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(21), "{output:?}");
    // The fleet ends by itself.
    wait_until("the fleet has ended", || is_empty(desk.shm.path()));
}

#[test]
fn a_signal_ends_a_run_whose_results_on_stdout_are_not_read_as_interrupted() {
    for number in asking() {
        let desk = Desk::new();
        // Each waits, and each result is one that does not fit.
        let script = "echo >> begun; seq 100000";
        let mut command = desk.command(&["--agents", "4", "--results", "-", "--", "sh", "-c", script]);
        let (_reader, writer) = full_pipe();
        let child = command.stdout(writer).spawn().unwrap();
        wait_until("the tasks have begun", || desk.lines("begun").len() == 4);
        signal(&child, number);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(21), "{output:?}");
        wait_until("the fleet has ended", || is_empty(desk.shm.path()));
    }
}

/// Reads what a run says until it has the words.
fn wait_for(stream: impl Read + Send + 'static, words: &str) {
    let mut lines = BufReader::new(stream);
    let mut said = String::new();
    while !said.contains(words) {
        assert!(lines.read_line(&mut said).unwrap() > 0, "{words:?} is missing in:\n{said}");
    }
    // What follows has a reader as well.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
}

/// What is in a pipe now.
fn unread(pipe: &mut (impl Read + AsFd)) -> String {
    let mut bytes = vec![0; rustix::io::ioctl_fionread(&*pipe).unwrap() as usize];
    pipe.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn nothing_is_joined_to_a_part_of_a_line_that_was_not_read() {
    for to_stdout in [true, false] {
        let desk = Desk::new();
        desk.write("inputs", "1\n2\n3\n");
        // Each result is one that does not fit.
        let script = "echo $0 >> begun; until [ $0 = 1 ] || [ -e go ]; do sleep 0.01; done; seq 9000";
        let (mut reader, writer) = if to_stdout {
            let (reader, writer) = std::io::pipe().unwrap();
            (std::fs::File::from(OwnedFd::from(reader)), std::fs::File::from(OwnedFd::from(writer)))
        } else {
            let fifo = desk.path("results");
            nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let held = std::fs::File::options().read(true).write(true).open(&fifo).unwrap();
            (held.try_clone().unwrap(), held)
        };
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
        let results = if to_stdout { "-" } else { "results" };
        let arguments = ["--agents", "3", "--inputs", "inputs", "--drain", "60s", "--results", results];
        let mut command = desk.command(&[&arguments[..], &["--", "sh", "-c", script]].concat());
        if to_stdout {
            command.stdout(writer.try_clone().unwrap());
        }
        let mut run = command.spawn().unwrap();
        drop(command);
        wait_until("all have begun", || desk.lines("begun").len() == 3);
        wait_until("a part of a line is there", || rustix::io::ioctl_fionread(&reader).unwrap() == 4096);
        signal(&run, Signal::SIGTERM);
        wait_for(run.stderr.take().unwrap(), "stopping: waiting up to");
        // Now it is read, and the others end.
        let mut read = unread(&mut reader);
        desk.touch("go");
        desk.ended(run).with(21);
        read += &unread(&mut reader);
        assert_eq!(read.matches("{\"id\":").count(), 1, "{read}");
        assert!(read.starts_with("{\"id\":\"1\"") && !read.contains('\n'), "{read}");
    }
}

#[test]
fn what_a_client_could_not_print_is_kept_for_the_next_one() {
    for full in [Full::Stdout, Full::Stderr] {
        let desk = Desk::new();
        let up = Up::start(desk.shm.path(), 1, 3, &[]);
        desk.write("inputs", "1\n2\n3\n");
        let script =
            "echo $0 >> begun; until [ $0 = 1 ] || [ -e go ]; do sleep 0.01; done; echo said; echo err >&2";
        let mut command = Command::new(super::PROGRAM);
        command
            .args(["submit", "test", "--inputs", "inputs", "--drain", "60s", "--", "sh", "-c", script])
            .current_dir(desk.dir.path())
            .env("COORDINATOR_SHM_DIR", desk.shm.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (_reader, writer) = full_pipe();
        match full {
            Full::Stdout => command.stdout(writer),
            Full::Stderr => command.stderr(writer),
        };
        let mut client = command.spawn().unwrap();
        drop(command);
        wait_until("all have begun", || desk.lines("begun").len() == 3);
        signal(&client, Signal::SIGTERM);
        match full {
            Full::Stdout => wait_for(client.stderr.take().unwrap(), "stopping: waiting up to"),
            // It is printed when the other stream was given up.
            Full::Stderr => wait_for(client.stdout.take().unwrap(), "said"),
        }
        desk.touch("go");
        assert_eq!(client.wait().unwrap().code(), Some(21));
        let rest = ["--inputs", "inputs", "--resume", "--results", "out", "--", "sh", "-c", script];
        super::submit::submit(&desk, &rest).with(0);
        assert_eq!((desk.rows("out").len(), desk.lines("begun").len()), (3, 3));
        assert_eq!(up.stop(), Some(0));
    }
}

#[test]
fn output_that_is_read_late_is_printed_whole() {
    let desk = Desk::new();
    let (mut child, mut reader) = {
        let mut command = desk.command(&["--agents", "1", "--", "echo", "said"]);
        let (reader, writer) = full_pipe();
        let child = command.stdout(writer).spawn().unwrap();
        (child, reader)
    };
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(text.ends_with(b"xsaid\n"), "{}", String::from_utf8_lossy(&text[text.len() - 20..]));
}

#[test]
fn a_supervisor_whose_reports_are_not_read_serves_and_stops() {
    let shm = shm();
    let (_reader, writer) = full_pipe();
    let up = Up::start_with(shm.path(), 2, 1, |command| {
        command.stderr(writer);
    });
    let coordinator = |at: usize| {
        let status = coordinator::client::status::of(&up.dir).unwrap();
        status.coordinators[at].process.identity()
    };
    let before: Identity = coordinator(1);
    // It is reported, and replaced all the same.
    kill(before, Signal::SIGKILL);
    wait_until("the coordinator has a successor", || {
        let now = coordinator(1);
        now != before && now.is_alive()
    });
    assert_eq!(up.stop(), Some(0));
    assert!(is_empty(shm.path()));
}

#[test]
fn a_signal_ends_a_follower_whose_output_is_not_read() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    for arguments in [&["events", "test", "--follow"][..], &["top", "test", "--interval", "10ms"]] {
        let (_reader, writer) = full_pipe();
        let mut child = Command::new(super::PROGRAM)
            .args(arguments)
            .arg("--shm-dir")
            .arg(shm.path())
            .stdin(Stdio::null())
            .stdout(writer)
            .spawn()
            .unwrap();
        signal(&child, asking()[0]);
        child.wait().unwrap();
    }
    assert_eq!(up.stop(), Some(0));
}
