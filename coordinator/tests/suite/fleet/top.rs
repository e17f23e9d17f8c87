//! `coordinator top` on a terminal of the test's own, and without one.

use super::{PROGRAM, Up, shm, wait_until};
use nix::sys::signal::Signal;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, Termios, Winsize, tcflow, tcgetattr, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const LEAVES_THE_SCREEN: &str = "\x1b[?1049l";
const SHOWS_THE_CURSOR: &str = "\x1b[?25h";

struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
    before: Termios,
    child: Child,
    shown: String,
    more: Receiver<Vec<u8>>,
}

impl Terminal {
    fn top(shm: &Path, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        tcsetwinsize(&master, size(columns, rows)).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let child = Command::new(PROGRAM)
            .args(["top", "test", "--interval", "20ms", "--shm-dir"])
            .arg(shm)
            // Whatever terminal the tests run on, if any.
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let (send, more) = channel();
        let reader = master.try_clone().unwrap();
        // Ends with the last of the terminal's other ends.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = rustix::io::read(&reader, &mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { master, slave, before, child, shown: String::new(), more }
    }

    fn shows(&mut self, what: &str) {
        wait_until(what, || {
            for bytes in self.more.try_iter() {
                self.shown.push_str(&String::from_utf8_lossy(&bytes));
            }
            self.shown.contains(what)
        });
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Its exit status, once the terminal is as it was before.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.shows(LEAVES_THE_SCREEN);
        assert!(self.shown.contains(SHOWS_THE_CURSOR));
        let after = tcgetattr(&self.slave).unwrap();
        let modes = |of: &Termios| (of.input_modes, of.output_modes, of.control_modes, of.local_modes);
        assert_eq!(modes(&after), modes(&self.before));
        // What it said last may still be on its way.
        drop(self.slave);
        while let Ok(bytes) = self.more.recv_timeout(Duration::from_secs(60)) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        let last = self.shown.rfind(LEAVES_THE_SCREEN).unwrap();
        let said = self.shown.split_off(last);
        (status.code(), said)
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

#[test]
fn top_lives_on_a_terminal_and_leaves_it_as_it_was() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    for key in [b"q", b"\x03"] {
        let mut terminal = Terminal::top(shm.path(), 120, 30);
        terminal.shows("worker/0.1");
        // Raw: no echo, no signals of keys.
        assert_ne!(tcgetattr(&terminal.slave).unwrap().local_modes, terminal.before.local_modes);
        rustix::io::write(&terminal.master, key).unwrap();
        assert_eq!(terminal.end().0, Some(0));
    }
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut terminal = Terminal::top(shm.path(), 120, 30);
        terminal.shows("worker/0.1");
        terminal.signal(signal);
        assert_eq!(terminal.end().0, Some(21));
    }
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn top_takes_the_room_that_there_is() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 8, &[]);
    let mut terminal = Terminal::top(shm.path(), 70, 12);
    terminal.shows("and 6 more");
    assert!(!terminal.shown.contains("worker/0.7"));
    tcsetwinsize(&terminal.master, size(120, 40)).unwrap();
    // The terminal tells those whom it controls; this one controls no process.
    terminal.signal(Signal::SIGWINCH);
    terminal.shows("worker/0.7");
    assert_eq!(up.stop(), Some(0));
    // It ends with its fleet, and says so where it can be read.
    let (status, said) = terminal.end();
    assert_eq!(status, Some(0));
    assert!(said.contains("`test` has ended"), "{said}");
}

/// Cutting a file short ends every process that has it mapped, and spoils no terminal.
#[test]
fn top_leaves_the_terminal_when_its_memory_is_taken_away() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 1, &[]);
    let mut terminal = Terminal::top(shm.path(), 100, 30);
    terminal.shows("worker/0.0");
    std::fs::File::options().write(true).open(up.dir.join("control")).unwrap().set_len(0).unwrap();
    let (status, said) = terminal.end();
    assert_eq!(status, Some(coordinator::bus::fault::STATUS));
    assert!(said.contains("was truncated to 0"), "{said}");
}

#[test]
fn a_signal_ends_top_on_a_terminal_that_takes_nothing() {
    let shm = shm();
    let up = Up::start(shm.path(), 1, 2, &[]);
    let mut terminal = Terminal::top(shm.path(), 120, 30);
    terminal.shows("worker/0.1");
    tcflow(&terminal.slave, Action::OOff).unwrap();
    terminal.signal(Signal::SIGTERM);
    let status = terminal.child.wait().unwrap();
    assert_eq!(status.code(), Some(21));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn without_a_terminal_top_prints_frames() {
    let shm = shm();
    let up = Up::start(shm.path(), 2, 2, &[]);
    let top = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.arg("top").args(arguments).arg("--shm-dir").arg(shm.path());
        command.stdout(Stdio::piped());
        command
    };
    let once = top(&["--once", "--interval", "10ms"]).output().unwrap();
    let text = String::from_utf8(once.stdout).unwrap();
    assert_eq!(once.status.code(), Some(0));
    for wanted in ["test  ready", "accepted/s", "coord/1", "worker/1.1"] {
        assert!(text.contains(wanted), "{text}");
    }
    assert!(!text.contains('\x1b') && text.matches("test  ready").count() == 1, "{text}");

    let mut following = top(&["--interval", "10ms"]).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(following.stdout.take().unwrap()));
    for _ in 0..3 {
        assert!(lines.by_ref().any(|line| line.unwrap().starts_with("test  ready")));
    }
    // A reader that has gone away is no error.
    drop(lines);
    assert_eq!(following.wait().unwrap().code(), Some(0));
    let until_the_end = top(&["--interval", "10ms"]).spawn().unwrap();
    assert_eq!(up.stop(), Some(0));
    let status = until_the_end.wait_with_output().unwrap().status;
    assert!(matches!(status.code(), Some(0 | 10)), "{status}");
}
