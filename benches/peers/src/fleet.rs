//! Fleets: so far only what the kernel asks for starting and ending as many processes as a fleet has.
//!
//! Absent: attaching, killing and replacing workers and coordinators of our own fleets, which is the supervisor's
//! doing and measured through its client.

use crate::pair::{Child, Figures, Measured, Plan, bounced, end_with, usage};
use crate::shared::{Half, Line, Shared};
use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::thread::futex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Processes that were forked here, all killed and reaped in the end.
pub struct Herd {
    pids: Vec<Pid>,
}

impl Herd {
    /// Forks `count` times; `work` runs in each, with its number, and never returns.
    pub fn fork(count: usize, work: impl Fn(usize)) -> Result<Self> {
        let parent = nix::unistd::getpid();
        let mut herd = Self { pids: Vec::with_capacity(count) };
        for number in 0..count {
            // SAFETY: this process has one thread: no lock can be held by a thread that the child lacks.
            match unsafe { fork() }? {
                ForkResult::Parent { child } => herd.pids.push(child),
                ForkResult::Child => {
                    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        if end_with(parent).is_ok() {
                            work(number);
                        }
                    }));
                    std::process::exit(i32::from(ran.is_err()));
                }
            }
        }
        Ok(herd)
    }

    pub fn pids(&self) -> &[Pid] {
        &self.pids
    }
}

impl Drop for Herd {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        for pid in self.pids.drain(..) {
            let _ = waitpid(pid, None);
        }
    }
}

/// Until the last of `processes` runs; the p99 column tells how long killing and reaping them took.
pub fn fork_floor(plan: &Plan<'_>, processes: usize) -> Result<Measured> {
    // in a process of its own, as small as this one: what a supervisor would be
    bounced(plan, || {
        Child::fork(|| {
            let running = Shared::<Line>::new(1)?;
            let never = Shared::<Half>::new(1)?;
            let (cpu_before, sleeps_before) = usage()?;
            let began = Instant::now();
            let herd = Herd::fork(processes, |_| {
                running[0].0.fetch_add(1, Ordering::Release);
                loop {
                    let _ = futex::wait(&never[0].0, futex::Flags::empty(), 0, None);
                }
            })?;
            while running[0].0.load(Ordering::Acquire) < processes as u64 {
                if began.elapsed() > Duration::from_secs(20) {
                    bail!("not all of {processes} processes run");
                }
                std::thread::yield_now();
            }
            let started = began.elapsed();
            let began = Instant::now();
            drop(herd);
            let ended = began.elapsed();
            let (cpu_after, sleeps_after) = usage()?;
            Ok(Measured {
                bounce_before_ns: 0.0,
                bounce_after_ns: 0.0,
                cpu_s: cpu_after - cpu_before,
                server_cpu_s: 0.0,
                sleeps: sleeps_after - sleeps_before,
                disturbed: 0.0,
                figures: Figures {
                    messages: processes as u64,
                    p50_ns: Some(started.as_nanos() as f64),
                    p99_ns: Some(ended.as_nanos() as f64),
                    ..Figures::default()
                },
            })
        })?
        .join(plan.limit)
    })
}
