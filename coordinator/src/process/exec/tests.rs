//! Real commands.

use super::*;
use crate::wire::command::Command;
use std::cell::Cell;
use std::collections::BTreeMap;

const FAR: u64 = u64::MAX;

/// Hears what a command does, and says what the test says.
#[derive(Default)]
struct Ear<F> {
    leader: Option<Identity>,
    heard: Vec<u8>,
    stop: F,
}

impl<F: FnMut(&[u8]) -> Option<StopReason>> Watcher for Ear<F> {
    fn started(&mut self, identity: Identity) {
        self.leader = Some(identity);
    }

    fn output(&mut self, _: Stream, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    fn stop(&mut self) -> Option<StopReason> {
        (self.stop)(&self.heard)
    }
}

fn ear<F: FnMut(&[u8]) -> Option<StopReason>>(stop: F) -> Ear<F> {
    Ear { leader: None, heard: Vec::new(), stop }
}

fn sh(script: &str, deadline_ns: u64, output_max: usize) -> Ended {
    let job = Job::plain(&[b"sh", b"-c", script.as_bytes()], Stop::default());
    run(&job, deadline_ns, output_max, &mut ear(|_| None)).unwrap()
}

fn refusal(command: &Command) -> String {
    run(&Job::of(command, Stop::default()), FAR, 100, &mut ear(|_| None)).unwrap_err().to_string()
}

/// Nobody of that group is there any more, dead or alive.
fn is_empty(group: u32) -> bool {
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group as i32), None) == Err(nix::Error::ESRCH)
}

#[test]
fn exit_status_and_both_outputs_come_back() {
    let ended = sh("echo out; echo err >&2; exit 3", FAR, 100);
    assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!((ended.how, ended.truncated, ended.cut), (HowEnded::Exited(3), false, None));
}

#[test]
fn a_signal_is_told_from_a_status() {
    assert_eq!(sh("kill -9 $$", FAR, 100).how, HowEnded::Signaled(9));
}

#[test]
fn output_is_bounded_and_says_so() {
    let ended = sh("yes | head -c 3000000; echo err >&2", FAR, 1000);
    assert_eq!((ended.stdout.len(), ended.stderr.len(), ended.truncated), (1000, 0, true));
    assert_eq!(ended.how, HowEnded::Exited(0));
}

/// Looks when the command has ended, and not before.
struct Late(Option<Identity>);

impl Watcher for Late {
    fn started(&mut self, identity: Identity) {
        self.0 = Some(identity);
    }

    fn stop(&mut self) -> Option<StopReason> {
        while self.0.is_some_and(|command| command.is_alive()) {
            std::thread::yield_now();
        }
        None
    }
}

#[test]
fn output_is_whole_from_the_largest_pipe_that_a_command_can_have() {
    let python = std::process::Command::new("python3").arg("--version").output();
    let has_python = python.is_ok_and(|output| output.status.success());
    if !crate::process::skips::has_or_skips("python3, to make a pipe larger", has_python) {
        return;
    }
    // 1031 is F_SETPIPE_SZ, and 1032 F_GETPIPE_SZ. With CAP_SYS_RESOURCE, it ends with far more in its pipe than is read in
    // one turn.
    let script = "import fcntl, os
for size in 8 << 20, 1 << 20:
    try:
        fcntl.fcntl(1, 1031, size)
        break
    except OSError:
        pass
size = fcntl.fcntl(1, 1032)
os.write(2, b'%d' % size)
os.write(1, b'x' * size)";
    let job = Job::plain(&[b"python3", b"-c", script.as_bytes()], Stop::default());
    let ended = run(&job, FAR, 16 << 20, &mut Late(None)).unwrap();
    let size: usize = String::from_utf8(ended.stderr).unwrap().parse().unwrap();
    assert_eq!((ended.stdout.len(), ended.truncated, ended.how), (size, false, HowEnded::Exited(0)));
}

#[test]
fn output_is_heard_before_the_command_ends() {
    // It ends only because somebody has heard it.
    let job = Job::plain(&[b"sh", b"-c", b"echo first; exec sleep 1000"], Stop::default());
    let mut watcher = ear(|heard| (heard == b"first\n").then_some(StopReason::Cancelled));
    let ended = run(&job, FAR, 100, &mut watcher).unwrap();
    assert_eq!(
        (ended.cut, ended.how),
        (Some(CutShort::Asked(StopReason::Cancelled)), HowEnded::Signaled(15))
    );
}

#[test]
fn a_time_out_ends_the_whole_group() {
    let job = Job::plain(
        &[b"sh", b"-c", b"sleep 1000 & (sleep 1000 & sleep 1000) & sleep 1000; wait"],
        Stop::default(),
    );
    let mut watcher = ear(|_| None);
    let ended = run(&job, now_ns(), 100, &mut watcher).unwrap();
    assert_eq!((ended.cut, ended.how), (Some(CutShort::TimedOut), HowEnded::Signaled(15)));
    assert!(is_empty(watcher.leader.unwrap().pid));
}

#[test]
fn whoever_has_forked_twice_inside_the_group_dies_with_it() {
    let job = Job::plain(&[b"sh", b"-c", b"(sleep 1000 & sleep 1000 &) & wait; echo done"], Stop::default());
    let mut watcher = ear(|_| None);
    let ended = run(&job, FAR, 100, &mut watcher).unwrap();
    assert_eq!((ended.how, ended.cut, &ended.stdout[..]), (HowEnded::Exited(0), None, &b"done\n"[..]));
    assert!(is_empty(watcher.leader.unwrap().pid));
}

#[test]
fn a_command_that_ignores_sigterm_is_killed() {
    let command = Command {
        grace_ms: Some(50),
        ..Command::new(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"])
    };
    let mut watcher = ear(|heard| (!heard.is_empty()).then_some(StopReason::Cancelled));
    let ended = run(&Job::of(&command, Stop::default()), FAR, 100, &mut watcher).unwrap();
    assert_eq!((ended.how, ended.cut), (HowEnded::Signaled(9), Some(CutShort::Asked(StopReason::Cancelled))));
}

/// A script whose background child takes a while to end when it is told to, and says so at its end.
const SLOW_CHILD: &str =
    "(trap 'sleep 0.2; echo saved; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait";

#[test]
fn a_child_has_the_grace_too_when_its_leader_ends_at_once() {
    let command = Command { grace_ms: Some(30_000), ..Command::new(["sh", "-c", SLOW_CHILD]) };
    let mut watcher = ear(|heard| (!heard.is_empty()).then_some(StopReason::Cancelled));
    let ended = run(&Job::of(&command, Stop::default()), FAR, 100, &mut watcher).unwrap();
    assert_eq!((&ended.stdout[..], ended.how), (&b"ready\nsaved\n"[..], HowEnded::Signaled(15)));
    assert!(is_empty(watcher.leader.unwrap().pid));
}

#[test]
fn what_has_left_the_group_is_asked_to_end_too() {
    for script in [
        // In a session of its own, and below a process that is.
        "trap : TERM; setsid sh -c 'trap \"echo saved; exit\" TERM; echo ready; while :; do sleep 0.01; done' & wait; wait",
        "trap : TERM; setsid sh -c 'trap : TERM; (trap \"echo saved; exit\" TERM; echo ready; while :; do sleep 0.01; done) & wait; wait' & wait; wait",
    ] {
        let command = Command { grace_ms: Some(30_000), ..Command::new(["sh", "-c", script]) };
        let mut watcher = ear(|heard| (!heard.is_empty()).then_some(StopReason::Cancelled));
        let ended = run(&Job::of(&command, Stop::default()), FAR, 100, &mut watcher).unwrap();
        assert_eq!(&ended.stdout[..], b"ready\nsaved\n", "{script}");
        assert!(matches!(ended.how, HowEnded::Exited(_)), "{:?}", ended.how);
    }
}

#[test]
fn the_end_of_the_fleet_shortens_the_grace() {
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let command = Command { grace_ms: Some(60_000), ..Command::new(["sh", "-c", deaf]) };
    // The watchdog is the test's own end: a whole minute would be far above what is waited for.
    let begun = now_ns();
    let mut watcher = ear(|heard| (!heard.is_empty()).then_some(StopReason::Stopping));
    let ended = run(&Job::of(&command, Stop::default()), FAR, 100, &mut watcher).unwrap();
    assert_eq!((ended.how, ended.cut), (HowEnded::Signaled(9), Some(CutShort::Asked(StopReason::Stopping))));
    assert!(now_ns() - begun < 30_000_000_000);
}

#[test]
fn a_stopped_command_hears_that_it_is_to_end() {
    let job = Job::plain(
        &[b"sh", b"-c", b"trap 'echo bye; exit 7' TERM; echo ready; kill -STOP $$; sleep 1000"],
        Stop::default(),
    );
    let mut watcher = ear(|heard| (!heard.is_empty()).then_some(StopReason::Cancelled));
    let ended = run(&job, FAR, 100, &mut watcher).unwrap();
    assert_eq!((&ended.stdout[..], ended.how), (&b"ready\nbye\n"[..], HowEnded::Exited(7)));
}

#[test]
fn who_holds_the_pipes_in_the_background_holds_up_nobody() {
    // In a session of its own it is not in the group; it writes on as long as somebody could read.
    let ended = sh("setsid sh -c 'while echo noise; do :; done' & echo $!; exit 0", FAR, 1 << 20);
    assert_eq!((ended.how, ended.cut), (HowEnded::Exited(0), None));
}

#[test]
fn what_it_is_to_read_and_what_it_writes_may_be_larger_than_any_pipe() {
    let text = "0123456789abcdef".repeat(40_000);
    let command = Command { stdin: Some(text.clone()), ..Command::new(["cat"]) };
    let ended = run(&Job::of(&command, Stop::default()), FAR, 1 << 20, &mut ear(|_| None)).unwrap();
    assert!(ended.stdout == text.as_bytes() && !ended.truncated);
    // Nor need it be read.
    let command = Command { stdin: Some(text), ..Command::new(["true"]) };
    assert_eq!(
        run(&Job::of(&command, Stop::default()), FAR, 100, &mut ear(|_| None)).unwrap().how,
        HowEnded::Exited(0)
    );
}

#[test]
fn nothing_to_read_is_the_end_of_the_input() {
    assert_eq!(sh("cat; echo end", FAR, 100).stdout, b"end\n");
}

#[test]
fn surroundings_are_the_commands_own() {
    let dir = tempfile::tempdir().unwrap();
    let command = Command {
        env: BTreeMap::from([("MARK".to_owned(), "a b".to_owned())]),
        cwd: Some(dir.path().to_str().unwrap().to_owned()),
        ..Command::new(["sh", "-c", "pwd -P; echo \"$MARK$TMPDIR\"; test -n \"$HOME$PATH\""])
    };
    let temporary = Path::new("/its/own");
    let job = Job { temporary: Some(temporary), ..Job::of(&command, Stop::default()) };
    let ended = run(&job, FAR, 1000, &mut ear(|_| None)).unwrap();
    let at = dir.path().canonicalize().unwrap();
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), format!("{}\na b/its/own\n", at.display()));
    assert_eq!(ended.how, HowEnded::Exited(0));
    let bare = Command { clear_env: true, argv: vec!["/usr/bin/env".to_owned()], cwd: None, ..command };
    let ended = run(&Job::of(&bare, Stop::default()), FAR, 1000, &mut ear(|_| None)).unwrap();
    assert_eq!(ended.stdout, b"MARK=a b\n");
}

#[test]
fn all_of_the_output_goes_into_a_file_and_its_beginning_into_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| Some(dir.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(dir.path().join("out"), "of an earlier attempt").unwrap();
    let command = Command {
        stdout_file: Some("out".to_owned()),
        stderr_file: path("err"),
        cwd: path(""),
        ..Command::new(["sh", "-c", "yes | head -c 100000; echo bad >&2"])
    };
    let ended = run(&Job::of(&command, Stop::default()), FAR, 500, &mut ear(|_| None)).unwrap();
    assert_eq!((ended.stdout.len(), ended.truncated), (500, true));
    assert_eq!(std::fs::read(dir.path().join("out")).unwrap(), "y\n".repeat(50_000).as_bytes());
    assert_eq!(std::fs::read(dir.path().join("err")).unwrap(), b"bad\n");
    // Room for both: both come.
    let ended = run(&Job::of(&command, Stop::default()), FAR, 1 << 20, &mut ear(|_| None)).unwrap();
    assert_eq!((ended.stdout.len(), &ended.stderr[..], ended.truncated), (100_000, &b"bad\n"[..], false));
}

fn whole(command: &Command, spool: &Spool, max: usize) -> Result<Ended, ExecError> {
    run(&Job::of(command, Stop::default()), FAR, Room { max, spool: Some(spool) }, &mut ear(|_| None))
}

fn files_in(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

#[test]
fn output_without_room_is_spooled_whole_and_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().join("fleet/spool"), "1.2.3-1-a.".to_owned());
    // Bytes that are no text, in an order that would show a hole.
    let script = "seq 200000; printf '\\377\\000'; echo 'bad' >&2";
    let command = Command::new(["sh", "-c", script]);
    let ended = whole(&command, &spool, 1000).unwrap();
    let wanted =
        [(1..=200_000).map(|n| n.to_string() + "\n").collect::<String>().as_bytes(), b"\xff\0"].concat();
    let spooled = ended.spooled.unwrap();
    let out = spooled.stdout.clone().unwrap();
    assert!(std::fs::read(&out.path).unwrap() == wanted && out.len == wanted.len() as u64);
    assert_eq!(std::fs::read(&spooled.stderr.as_ref().unwrap().path).unwrap(), b"bad\n");
    // The beginning of stderr is there besides, for a reason.
    assert_eq!((&ended.stdout[..], &ended.stderr[..], ended.truncated), (&b""[..], &b"bad\n"[..], false));
    assert_eq!(files_in(spool.dir()), 2);
    spooled.remove();
    assert_eq!(files_in(spool.dir()), 0);
    // With room, there is no file.
    let ended = whole(&command, &spool, 1 << 21).unwrap();
    assert!(ended.stdout == wanted && ended.spooled.is_none() && files_in(spool.dir()) == 0);
    // Nor for one whose output no client waits for.
    let job = Job::plain(&[b"sh", b"-c", b"seq 1000; exec sleep 1000"], Stop::default());
    let mut watcher = ear(|heard| heard.ends_with(b"1000\n").then_some(StopReason::Cancelled));
    let ended = run(&job, FAR, Room { max: 10, spool: Some(&spool) }, &mut watcher).unwrap();
    assert_eq!((ended.spooled, files_in(spool.dir())), (Some(Spooled::default()), 0));
}

#[test]
fn a_little_of_both_that_has_no_room_together_is_spooled_too() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().join("fleet/spool"), "1.2.3-1-a.".to_owned());
    let ended = whole(&Command::new(["sh", "-c", "echo out; echo err >&2"]), &spool, 6).unwrap();
    let read = |part: Option<Part>| std::fs::read(part.unwrap().path).unwrap();
    let spooled = ended.spooled.unwrap();
    assert_eq!((read(spooled.stdout), read(spooled.stderr)), (b"out\n".to_vec(), b"err\n".to_vec()));
}

#[test]
fn a_file_of_the_users_is_the_spooled_output_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().join("fleet/spool"), "1.2.3-1-a.".to_owned());
    for shared in [false, true] {
        let out = dir.path().join("out").to_str().unwrap().to_owned();
        let err = if shared { out.clone() } else { dir.path().join("err").to_str().unwrap().to_owned() };
        let command = Command {
            stdout_file: Some(out.clone()),
            stderr_file: Some(err),
            ..Command::new(["sh", "-c", "seq 10000"])
        };
        let spooled = whole(&command, &spool, 100).unwrap().spooled.unwrap();
        let wanted: String = (1..=10_000).map(|n| n.to_string() + "\n").collect();
        let part = Part { path: out.clone().into(), len: wanted.len() as u64, stays: true };
        assert_eq!(spooled, Spooled { stdout: Some(part), stderr: None });
        spooled.remove();
        assert!(std::fs::read_to_string(&out).unwrap() == wanted);
    }
}

#[test]
fn a_command_whose_output_cannot_be_spooled_is_ended_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let spool = Spool::new(dir.path().join("file/spool"), "1.2.3-1-a.".to_owned());
    let said = whole(&Command::new(["yes"]), &spool, 1000).unwrap_err().to_string();
    assert!(said.contains("more output than can be kept") && said.contains("file/spool: "), "{said}");
    // And so is one that ends by itself, whose output is only found to have no room afterwards.
    let said = whole(&Command::new(["sh", "-c", "echo out; echo err >&2"]), &spool, 6).unwrap_err();
    assert!(matches!(said, ExecError::Spool { .. }), "{said}");
}

#[test]
fn one_file_may_have_both_outputs_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let both = dir.path().join("both").to_str().unwrap().to_owned();
    let command = Command {
        stdout_file: Some(both.clone()),
        stderr_file: Some(both.clone()),
        ..Command::new(["sh", "-c", "echo 1; echo 2 >&2; echo 3"])
    };
    let ended = run(&Job::of(&command, Stop::default()), FAR, 100, &mut ear(|_| None)).unwrap();
    assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"1\n2\n3\n"[..], &b""[..]));
    assert_eq!(std::fs::read(both).unwrap(), b"1\n2\n3\n");
}

#[test]
fn what_cannot_be_run_is_told_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text").to_str().unwrap().to_owned();
    std::fs::write(&text, "no program").unwrap();
    let at = |cwd: &str| Command { cwd: Some(cwd.to_owned()), ..Command::new(["true"]) };
    let into = |file: &str| Command { stderr_file: Some(file.to_owned()), ..Command::new(["true"]) };
    for (command, words) in [
        (Command::new(["/no/such/program"]), "there is no such program"),
        (Command::new([text.as_str()]), "it may not be executed"),
        (at("/no/such/place"), "cannot enter /no/such/place"),
        (at(&text), "where the command must run: Not a directory"),
        (into("/no/such/place/file"), "cannot write the command's stderr to /no/such/place/file"),
        (
            Command::new(["true".to_owned(), "x".repeat(3 << 20)]),
            "its arguments and environment are too long",
        ),
    ] {
        let said = refusal(&command);
        assert!(said.contains(words), "{command:?}: {said}");
    }
    assert!(matches!(run(&Job::default(), FAR, 0, &mut ear(|_| None)), Err(ExecError::Empty)));
}

#[test]
fn a_program_that_is_still_written_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    std::fs::copy("/bin/true", &path).unwrap();
    let program = path.to_str().unwrap().as_bytes();
    let writer = Cell::new(Some(std::fs::OpenOptions::new().append(true).open(&path).unwrap()));
    // Asked between two tries: the writer has finished by then.
    let mut watcher = ear(|_| {
        drop(writer.take());
        None
    });
    assert_eq!(
        run(&Job::plain(&[program], Stop::default()), FAR, 0, &mut watcher).unwrap().how,
        HowEnded::Exited(0)
    );
    // And if it never is, that is told.
    let _writer = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let said =
        run(&Job::plain(&[program], Stop::default()), FAR, 0, &mut ear(|_| None)).unwrap_err().to_string();
    assert!(said.contains("tried 6 times") && said.contains("still writes into"), "{said}");
}

#[test]
fn what_it_took_is_told() {
    let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    let ended = sh(&format!("{burn}; sh -c '{burn}' & wait"), FAR, 100);
    let idle = sh("sleep 0.05", FAR, 100);
    assert!(ended.usage.user_us > idle.usage.user_us, "{ended:?} {idle:?}");
    assert!(ended.usage.max_rss > 100_000, "{ended:?}");
    // Of this one, and not the largest so far.
    let large = run(
        &Job::plain(&[b"dd", b"if=/dev/zero", b"of=/dev/null", b"bs=80M", b"count=1"], Stop::default()),
        FAR,
        1000,
        &mut ear(|_| None),
    );
    let large = large.unwrap().usage.max_rss;
    assert!(large > 80 << 20, "{large}");
    assert!(sh("true", FAR, 100).usage.max_rss < large);
}

#[test]
fn without_a_descriptor_for_its_end_it_is_seen_to_end_all_the_same() {
    let job = Job::plain(&[b"sh", b"-c", b"echo out; exit 5"], Stop::default());
    let mut watcher = ear(|_| None);
    let start::Started { mut child, .. } = start::start(&job, false, &mut watcher).unwrap();
    let group = Group::led_by(&child);
    let mut running = Running::new(&mut child, group, &job, [None, None]).unwrap();
    running.exit = None;
    running.watch(FAR, 100.into(), &mut watcher);
    let ended = running.finish(100.into(), &mut watcher, &[None, None]).unwrap();
    assert_eq!((ended.how, &ended.stdout[..], ended.cut), (HowEnded::Exited(5), &b"out\n"[..], None));
}
