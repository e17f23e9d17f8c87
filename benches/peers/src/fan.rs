//! Fan-out and gather: one process asks many, each answers, and is asked again while there is something to ask.
//!
//! `window` is how many questions a worker may have at a time. No process is pinned here: which of the two processors
//! a worker gets is the kernel's decision, as it is in a fleet. Every question and every answer is checked.

use crate::catalogue::Who;
use crate::fleet::Herd;
use crate::link::Side;
use crate::machine::unpin;
use crate::pair::{Child, Clock, Figures, Measured, Plan, bounced, cpu_seconds, usage};
use crate::payload::{Checker, Fill, Stamped};
use crate::shared::{Line, Shared};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;

mod futexes;
mod ours;

pub const SIZE: usize = 64;
type Check = Checker<SIZE, fn(u64, u64)>;

fn check() -> Check {
    Checker::new(|_, _| ())
}

/// A star: who is in the middle, and who is at the ends.
trait Star: Sized {
    fn prepare(workers: usize, window: usize, room: &Path) -> Result<Self>;

    /// Worker `worker`'s life: it answers until it is killed.
    fn answer(&self, worker: usize) -> Result<()>;

    /// The middle's: asks until the book says that it has enough answers.
    fn ask(&self, book: &mut Book) -> Result<()>;
}

/// What was asked and answered.
struct Book<'a> {
    workers: usize,
    window: usize,
    clock: &'a Clock,
    /// Still to be asked, of all.
    left: u64,
    goal: u64,
    answered: u64,
    /// By worker.
    asked: Vec<u64>,
    checks: Vec<Check>,
    /// When a fifth was answered, and how many that were.
    warm: Option<(u64, u64)>,
    end: u64,
}

impl<'a> Book<'a> {
    fn new(workers: usize, window: usize, goal: u64, clock: &'a Clock) -> Self {
        Self {
            workers,
            window,
            clock,
            left: goal,
            goal,
            answered: 0,
            asked: vec![0; workers],
            checks: (0..workers).map(|_| check()).collect(),
            warm: None,
            end: 0,
        }
    }

    /// The next question for `worker`, unless all have been asked.
    #[inline]
    fn next(&mut self, worker: usize) -> Option<Stamped<SIZE>> {
        self.left = self.left.checked_sub(1)?;
        let number = self.asked[worker];
        self.asked[worker] += 1;
        Some(Stamped { number, stamp: 0 })
    }

    /// After answers of `worker` went through its check.
    #[inline]
    fn answers(&mut self, worker: usize, count: usize) -> Result<()> {
        self.checks[worker].verdict()?;
        self.answered += count as u64;
        if self.warm.is_none() && self.answered >= self.goal / 5 {
            self.warm = Some((self.clock.now(), self.answered));
        }
        if self.is_done() {
            self.end = self.clock.now();
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.answered >= self.goal
    }

    fn figures(&self) -> Result<Figures> {
        let (start, before) = self.warm.context("nothing was answered")?;
        let seconds = self.clock.ns(start, self.end) as f64 / 1e9;
        Ok(Figures {
            messages: 2 * self.goal,
            rate_per_s: Some((self.answered - before) as f64 / seconds),
            ..Figures::default()
        })
    }
}

pub fn run(who: Who, plan: &Plan<'_>, workers: usize, window: usize, messages: u64) -> Result<Measured> {
    let messages = messages.max((workers * window * 10) as u64);
    bounced(plan, || match who {
        Who::Ours => star::<ours::Region>(plan, workers, window, messages),
        Who::Seqpacket => star::<Sockets>(plan, workers, window, messages),
        Who::FutexFloor => star::<futexes::Futexes>(plan, workers, window, messages),
        who => bail!("{} has no fan-out here", who.name()),
    })
}

fn star<S: Star>(plan: &Plan<'_>, workers: usize, window: usize, messages: u64) -> Result<Measured> {
    let room = tempfile::Builder::new().prefix("fan-").tempdir_in(plan.rooms)?;
    let star = S::prepare(workers, window, room.path())?;
    let ready = Shared::<Line>::new(1)?;
    let herd = Herd::fork(workers, |worker| {
        ready[0].0.fetch_add(1, Ordering::Release);
        if let Err(error) = star.answer(worker) {
            // the one in the middle waits in vain then, and the run says that it hangs: this says why
            eprintln!("worker {worker}: {error:#}");
        }
    })?;
    let middle = Child::fork(|| {
        unpin(std::thread::available_parallelism()?.get())?;
        while ready[0].0.load(Ordering::Acquire) < workers as u64 {
            std::thread::yield_now();
        }
        let of_workers = || herd.pids().iter().map(|pid| cpu_seconds(*pid)).sum::<f64>();
        let mut book = Book::new(workers, window, messages, plan.clock);
        let (workers_before, (cpu_before, sleeps_before)) = (of_workers(), usage()?);
        star.ask(&mut book)?;
        let (cpu_after, sleeps_after) = usage()?;
        Ok(Measured {
            bounce_before_ns: 0.0,
            bounce_after_ns: 0.0,
            cpu_s: cpu_after - cpu_before + of_workers() - workers_before,
            server_cpu_s: 0.0,
            sleeps: sleeps_after - sleeps_before,
            disturbed: 0.0,
            figures: book.figures()?,
        })
    })?;
    middle.join(plan.limit)
}

/// A SEQPACKET pair a worker; the middle waits with epoll, a worker in `recv`.
struct Sockets {
    pairs: Vec<[OwnedFd; 2]>,
}

const READY_MAX: usize = 64;

impl Star for Sockets {
    fn prepare(workers: usize, _window: usize, _room: &Path) -> Result<Self> {
        let pair = || {
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map(|(near, far)| [near, far])
                .context("socketpair")
        };
        Ok(Self { pairs: (0..workers).map(|_| pair()).collect::<Result<_>>()? })
    }

    fn answer(&self, worker: usize) -> Result<()> {
        let socket = self.pairs[worker][Side::Far.index()].as_raw_fd();
        let mut buffer = [0; SIZE];
        let mut check = check();
        loop {
            let len = recv(socket, &mut buffer, MsgFlags::empty()).context("recv")?;
            see(&mut check, &buffer[..len])?;
            Stamped::<SIZE> { number: check.seen() - 1, stamp: 0 }.bytes(&mut buffer);
            send(socket, &buffer, MsgFlags::empty()).context("send")?;
        }
    }

    fn ask(&self, book: &mut Book) -> Result<()> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (worker, pair) in self.pairs.iter().enumerate() {
            epoll.add(&pair[0], EpollEvent::new(EpollFlags::EPOLLIN, worker as u64))?;
        }
        let mut buffer = [0; SIZE];
        for _ in 0..book.window {
            for worker in 0..book.workers {
                self.send_to(worker, book, &mut buffer)?;
            }
        }
        let mut events = [EpollEvent::empty(); READY_MAX];
        while !book.is_done() {
            let ready = epoll.wait(&mut events, EpollTimeout::NONE).context("epoll_wait")?;
            for event in &events[..ready] {
                let worker = event.data() as usize;
                let socket = self.pairs[worker][0].as_raw_fd();
                let mut came = 0;
                // no more can be there: a look in vain would be a system call for nothing
                while came < book.window {
                    match recv(socket, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                        Ok(len) => see(&mut book.checks[worker], &buffer[..len])?,
                        Err(Errno::EAGAIN) => break,
                        Err(error) => bail!("recv: {error}"),
                    }
                    came += 1;
                }
                book.answers(worker, came)?;
                for _ in 0..came {
                    self.send_to(worker, book, &mut buffer)?;
                }
            }
        }
        Ok(())
    }
}

impl Sockets {
    fn send_to(&self, worker: usize, book: &mut Book, buffer: &mut [u8; SIZE]) -> Result<()> {
        if let Some(question) = book.next(worker) {
            question.bytes(buffer);
            send(self.pairs[worker][0].as_raw_fd(), buffer, MsgFlags::empty()).context("send")?;
        }
        Ok(())
    }
}

fn see(check: &mut Check, message: &[u8]) -> Result<()> {
    use crate::payload::See;
    check.bytes(message);
    check.verdict()
}
