//! One sample: a peer prepared, two processes forked and pinned, the line bounce measured before and after.
//!
//! Both ends of a peer live in processes of their own; the one that forks them stays single-threaded and only
//! collects what they report through a pipe each. A process that fails takes the other along; a pair that does
//! not end is killed, by pid, and reported as hung.

use crate::link::{Peer, Side, Terms};
use crate::machine::pin;
use crate::shared::{Line, Shared};
use anyhow::{Context, Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::sys::wait::waitpid;
use nix::time::ClockId;
use nix::unistd::{ForkResult, Pid, fork, pipe};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Where the two processes run while they work. The line bounce is always measured between two processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placing {
    Apart,
    Together,
}

/// What a work measured, on the side that could.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Messages moved, warm-up included: what CPU seconds are divided by.
    pub messages: u64,
    pub rate_per_s: Option<f64>,
    pub p50_ns: Option<f64>,
    pub p99_ns: Option<f64>,
    pub p999_ns: Option<f64>,
    /// Messages that the receiver found at a time, where that is asked.
    pub batch: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub bounce_before_ns: f64,
    pub bounce_after_ns: f64,
    /// Of both processes, while working.
    pub cpu_s: f64,
    /// Of servers that the peer cannot do without.
    pub server_cpu_s: f64,
    /// Times that one of the two gave its processor up by itself.
    pub sleeps: i64,
    /// The share of the time in which another program had the processor that one of the two wanted; 0 where that
    /// cannot be told.
    pub disturbed: f64,
    pub figures: Figures,
}

/// What a process has used and missed.
#[derive(Debug, Clone, Copy)]
struct Account {
    cpu_s: f64,
    sleeps: i64,
    /// Ready to run, and did not; without what its own other threads ran meanwhile.
    waited_s: f64,
}

impl Account {
    fn read() -> Result<Self> {
        let (cpu_s, sleeps) = usage()?;
        // of the first thread: ns that it ran, ns that it waited to
        let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
        let mut fields = text.split(' ').map(|field| field.parse::<f64>().unwrap_or(0.0) / 1e9);
        let (ran_s, missed_s) = (fields.next().unwrap_or(0.0), fields.next().unwrap_or(0.0));
        Ok(Self { cpu_s, sleeps, waited_s: missed_s - (cpu_s - ran_s).max(0.0) })
    }

    fn since(self, before: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - before.cpu_s,
            sleeps: self.sleeps - before.sleeps,
            waited_s: self.waited_s - before.waited_s,
        }
    }
}

/// What one side reports.
#[derive(Debug, Serialize, Deserialize)]
struct Half {
    bounce_ns: (f64, f64),
    wall_s: f64,
    cpu_s: f64,
    waited_s: f64,
    sleeps: i64,
    server_cpu_s: f64,
    figures: Option<Figures>,
}

#[derive(Debug, Clone)]
pub struct Plan<'a> {
    pub size: usize,
    pub placing: Placing,
    pub limit: Duration,
    pub rooms: &'a Path,
    pub clock: &'a Clock,
}

/// The processor's time-stamp counter, and what a tick of it is.
#[derive(Debug, Clone)]
pub struct Clock {
    clock: quanta::Clock,
    ticks_per_ns: f64,
}

impl Clock {
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let many = 1 << 40;
        let ticks_per_ns = many as f64 / clock.delta_as_nanos(0, many) as f64;
        Self { clock, ticks_per_ns }
    }

    #[inline(always)]
    pub fn now(&self) -> u64 {
        self.clock.raw()
    }

    #[inline(always)]
    pub fn ns(&self, from: u64, to: u64) -> u64 {
        self.clock.delta_as_nanos(from, to)
    }

    pub fn ticks(&self, ns: f64) -> f64 {
        ns * self.ticks_per_ns
    }
}

/// How the two processes keep in step.
struct Step {
    lines: Shared<Line>,
}

/// Where a line lies decides how far it is from either processor: several are tried, in pages of their own.
const BOUNCE_LINES: usize = 9;
const LINES_PER_PAGE: usize = 4096 / size_of::<Line>();
const BOUNCE_TRIPS: u64 = 1000;

impl Step {
    fn new() -> Result<Self> {
        Ok(Self { lines: Shared::new((BOUNCE_LINES + 1) * LINES_PER_PAGE)? })
    }

    /// Waits until the other side is here too.
    fn meet(&self, side: Side) {
        let mine = &self.lines[side.index()].0;
        let other = &self.lines[1 - side.index()].0;
        let here = mine.load(Ordering::Relaxed) + 1;
        mine.store(here, Ordering::Release);
        let mut looks = 0_u32;
        while other.load(Ordering::Acquire) < here {
            looks += 1;
            match looks {
                0..1000 => std::hint::spin_loop(),
                1000..1200 => std::thread::yield_now(),
                // the other may need the processor for a second yet
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    /// The time a line takes from one processor to the other, in ns: half a round trip, the median of the lines.
    fn bounce(&self, side: Side, clock: &Clock) -> f64 {
        let mut trips = [0_u64; BOUNCE_LINES];
        for (nth, trip) in trips.iter_mut().enumerate() {
            let word = &self.lines[(nth + 1) * LINES_PER_PAGE + nth].0;
            self.meet(side);
            let mut at = word.load(Ordering::Acquire);
            self.meet(side);
            let mut start = 0;
            // a tenth warms up
            for number in 0..BOUNCE_TRIPS + BOUNCE_TRIPS / 10 {
                if number == BOUNCE_TRIPS / 10 {
                    start = clock.now();
                }
                match side {
                    Side::Near => {
                        word.store(at + 1, Ordering::Release);
                        while word.load(Ordering::Acquire) != at + 2 {}
                    }
                    Side::Far => {
                        while word.load(Ordering::Acquire) != at + 1 {}
                        word.store(at + 2, Ordering::Release);
                    }
                }
                at += 2;
            }
            *trip = clock.ns(start, clock.now());
        }
        trips.sort_unstable();
        trips[BOUNCE_LINES / 2] as f64 / (2 * BOUNCE_TRIPS) as f64
    }
}

/// CPU time that a process has used, of all its threads; 0 for one that is gone.
pub fn cpu_seconds(pid: Pid) -> f64 {
    let time = ClockId::pid_cpu_clock_id(pid).and_then(ClockId::now);
    time.map_or(0.0, |time| time.num_nanoseconds() as f64 / 1e9)
}

/// CPU seconds of this process, and how often it slept.
pub fn usage() -> Result<(f64, i64)> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("getrusage")?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok((us as f64 / 1e6, usage.voluntary_context_switches()))
}

/// Runs `work` on both sides of a peer. `work` returns its figures on one side and None on the other.
pub fn sample<P: Peer>(
    plan: &Plan<'_>,
    work: impl Fn(Side, &mut P::Link, &Clock) -> Result<Option<Figures>>,
) -> Result<Measured> {
    let room = tempfile::Builder::new().prefix("sample-").tempdir_in(plan.rooms)?;
    let terms = Terms { room: room.path(), size: plan.size };
    let peer = P::prepare(terms).context("preparing")?;
    let servers = peer.servers();
    let step = Step::new()?;

    let side_of = |side: Side| -> Result<Half> {
        let at_work = match plan.placing {
            Placing::Apart => side.index(),
            Placing::Together => 1,
        };
        // before connecting: threads that the peer starts stay where the work is
        pin(at_work)?;
        let mut link = peer.connect(side).context("connecting")?;
        pin(side.index())?;
        let bounce_before_ns = step.bounce(side, plan.clock);
        pin(at_work)?;
        step.meet(side);
        let of_servers = || servers.iter().map(|server| cpu_seconds(*server)).sum::<f64>();
        let (began, servers_before, before) = (Instant::now(), of_servers(), Account::read()?);
        let figures = work(side, &mut link, plan.clock)?;
        let account = Account::read()?.since(before);
        step.meet(side);
        let wall_s = began.elapsed().as_secs_f64();
        let server_cpu_s = of_servers() - servers_before;
        pin(side.index())?;
        let bounce_after_ns = step.bounce(side, plan.clock);
        step.meet(side);
        drop(link);
        Ok(Half {
            bounce_ns: (bounce_before_ns, bounce_after_ns),
            wall_s,
            cpu_s: account.cpu_s,
            waited_s: account.waited_s,
            sleeps: account.sleeps,
            server_cpu_s,
            figures,
        })
    };

    let (near, far) = both(plan.limit, side_of)?;
    let disturbed = match plan.placing {
        // a server of the peer's own may well have had a processor of theirs
        Placing::Apart => near.waited_s + far.waited_s - near.server_cpu_s,
        // one of the two always runs; with servers, who runs where cannot be told
        Placing::Together if servers.is_empty() => near.wall_s - near.cpu_s - far.cpu_s,
        Placing::Together => 0.0,
    };
    Ok(Measured {
        bounce_before_ns: near.bounce_ns.0,
        bounce_after_ns: near.bounce_ns.1,
        cpu_s: near.cpu_s + far.cpu_s,
        server_cpu_s: near.server_cpu_s,
        sleeps: near.sleeps + far.sleeps,
        disturbed: (disturbed / near.wall_s).max(0.0),
        figures: near.figures.or(far.figures).context("neither side measured anything")?,
    })
}

/// Measures the line bounce around a work that is not a pair's.
pub fn bounced(plan: &Plan<'_>, work: impl FnOnce() -> Result<Measured>) -> Result<Measured> {
    let step = Step::new()?;
    let bounce = || -> Result<f64> {
        let (near, _) = both(plan.limit, |side| {
            pin(side.index())?;
            Ok(step.bounce(side, plan.clock))
        })?;
        Ok(near)
    };
    let bounce_before_ns = bounce()?;
    let measured = work()?;
    Ok(Measured { bounce_before_ns, bounce_after_ns: bounce()?, ..measured })
}

/// Forks the two sides and waits for what they report.
fn both<T: Serialize + for<'a> Deserialize<'a>>(
    limit: Duration,
    side_of: impl Fn(Side) -> Result<T>,
) -> Result<(T, T)> {
    let mut near = Child::fork(|| side_of(Side::Near))?;
    let mut far = Child::fork(|| side_of(Side::Far))?;
    let deadline = Instant::now() + limit;
    while !(near.ended && far.ended) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // dropping kills
            bail!("hung: not done after {limit:?}");
        }
        for child in [&mut near, &mut far] {
            child.listen(Duration::from_millis(20))?;
            if child.ended && child.failed() {
                child.verdict()?;
            }
        }
    }
    Ok((near.verdict()?, far.verdict()?))
}

/// A forked process that reports one value; killed when dropped before it ended.
pub struct Child<T> {
    pid: Pid,
    from: File,
    text: Vec<u8>,
    ended: bool,
    reaped: bool,
    _value: std::marker::PhantomData<T>,
}

impl<T: Serialize + for<'a> Deserialize<'a>> Child<T> {
    /// Forks; `work` runs in the new process, which ends with it.
    pub fn fork(work: impl FnOnce() -> Result<T>) -> Result<Self> {
        let (from, to) = pipe().context("pipe")?;
        let parent = nix::unistd::getpid();
        // SAFETY: this process has one thread: no lock can be held by a thread that the child lacks.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => {
                drop(to);
                let from = File::from(from);
                Ok(Self {
                    pid: child,
                    from,
                    text: Vec::new(),
                    ended: false,
                    reaped: false,
                    _value: std::marker::PhantomData,
                })
            }
            ForkResult::Child => {
                drop(from);
                // never return into the parent's stack, whatever happens
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    end_with(parent)?;
                    work()
                }));
                let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("panicked: see above")));
                let outcome = outcome.map_err(|error| format!("{error:#}"));
                let text = serde_json::to_vec(&outcome).unwrap_or_default();
                let sent = File::from(to).write_all(&text);
                std::process::exit(i32::from(sent.is_err() || outcome.is_err()));
            }
        }
    }

    #[cfg_attr(not(feature = "aeron"), expect(dead_code, reason = "Aeron's driver alone is such a process"))]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    fn listen(&mut self, patience: Duration) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let mut ready = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        if poll(&mut ready, timeout).context("poll")? > 0 {
            let mut chunk = [0; 4096];
            let read = self.from.read(&mut chunk).context("reading a report")?;
            self.text.extend_from_slice(&chunk[..read]);
            self.ended = read == 0;
        }
        Ok(())
    }

    /// Waits until the process has reported or died, at most `limit`.
    pub fn join(mut self, limit: Duration) -> Result<T> {
        let deadline = Instant::now() + limit;
        while !self.ended {
            if Instant::now() > deadline {
                bail!("hung: not done after {limit:?}");
            }
            self.listen(Duration::from_millis(20))?;
        }
        self.verdict()
    }

    /// Of a process that has ended: whether there is no use in waiting for others.
    fn failed(&self) -> bool {
        !self.text.starts_with(b"{\"Ok\"")
    }

    fn verdict(&mut self) -> Result<T> {
        if !self.reaped {
            let _ = waitpid(self.pid, None);
            self.reaped = true;
        }
        if self.text.is_empty() {
            bail!("a process died without a report");
        }
        let outcome: std::result::Result<T, String> = serde_json::from_slice(&self.text)?;
        outcome.map_err(|error| anyhow!(error))
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Makes this process die with `parent`.
pub fn end_with(parent: Pid) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("asking to die with the parent")?;
    if nix::unistd::getppid() != parent {
        bail!("the parent is gone");
    }
    Ok(())
}
