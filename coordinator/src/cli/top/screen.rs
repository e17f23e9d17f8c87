//! The terminal while frames are drawn on it. It is restored however that ends.

use super::frame::Size;
use crate::bus::fault;
use crate::cli::outlet::{self, Outlet, Stream};
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::Once;
use std::time::Duration;

/// The bytes that `q`, Escape, Ctrl-C and Ctrl-D send.
const ENDING: [u8; 5] = [b'q', b'Q', 0x1b, 0x03, 0x04];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Nothing,
    Resized,
    /// A key that ends the display.
    End,
    Signal,
}

pub(super) struct Screen {
    signals: SignalFd,
    /// Standard input is a terminal too, and has not been closed.
    keys: bool,
    out: Outlet,
    /// The end of a frame that the terminal has not taken yet.
    rest: Vec<u8>,
    size: Size,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH] {
            mask.add(signal);
        }
        mask.thread_block()?;
        outlet::hurry();
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        restore_before_a_panic_message();
        let keys = io::stdin().is_terminal();
        // Before anything changes: a fault in shared memory may end the process at any point.
        fault::on_screen(true);
        let mut screen = Self {
            signals,
            keys,
            out: Outlet::open(Stream::Stdout),
            rest: Vec::new(),
            size: Size { columns: 80, rows: 24 },
        };
        screen.measure();
        if keys {
            enable_raw_mode()?;
        }
        queue!(screen.rest, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    fn measure(&mut self) {
        // If the terminal does not tell its size, the last known one is used.
        if let Ok((columns, rows)) = size()
            && columns > 0
            && rows > 0
        {
            self.size = Size { columns: columns.into(), rows: rows.into() };
        }
    }

    /// Draws over the last frame in one write, so that nothing flickers. A terminal that takes nothing misses frames.
    pub(super) fn show(&mut self, lines: &[String]) -> io::Result<()> {
        self.draw()?;
        if !self.rest.is_empty() {
            return Ok(());
        }
        let bytes = &mut self.rest;
        queue!(bytes, BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(lines) {
            queue!(bytes, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        queue!(bytes, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        self.draw()
    }

    /// Writes what the terminal takes now.
    fn draw(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            match self.out.try_write(&self.rest) {
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for a key, a signal, or the end of `time`.
    pub(super) fn wait(&mut self, time: Duration) -> io::Result<Input> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if self.keys {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, timeout(time)) {
            Ok(0) | Err(nix::Error::EINTR) => return Ok(Input::Nothing),
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut resized = false;
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_signo != Signal::SIGWINCH as u32 {
                return Ok(Input::Signal);
            }
            resized = true;
        }
        if fds.get(1).and_then(PollFd::any) == Some(true) {
            let mut bytes = [0; 64];
            match stdin.lock().read(&mut bytes) {
                // The terminal has gone away.
                Ok(0) => return Ok(Input::End),
                Ok(count) if bytes[..count].iter().any(|byte| ENDING.contains(byte)) => {
                    return Ok(Input::End);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.keys = false,
            }
        }
        if resized {
            self.measure();
            return Ok(Input::Resized);
        }
        Ok(Input::Nothing)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    fault::on_screen(false);
    // Nothing can be done for a terminal that accepts no more output.
    let _ = disable_raw_mode();
    let mut bytes = Vec::new();
    let _ = queue!(bytes, EndSynchronizedUpdate, Show, LeaveAlternateScreen);
    let _ = Outlet::open(Stream::Stdout).write_in_time(&bytes);
}

/// The message of a panic would vanish with the alternate screen.
fn restore_before_a_panic_message() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

fn timeout(time: Duration) -> PollTimeout {
    // Rounded up, so that the time is over when this returns.
    let ms = time.as_nanos().div_ceil(1_000_000);
    PollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

/// Waits for `time`; true as soon as the reader of standard output has closed it.
pub(in crate::cli) fn reader_has_gone(time: Duration) -> bool {
    let out = io::stdout();
    let until = std::time::Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return false;
        }
        // Without requested events: errors are reported in any case.
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
        if poll(&mut fds, timeout(left)).is_ok_and(|ready| ready > 0) {
            return true;
        }
    }
}
