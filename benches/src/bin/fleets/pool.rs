//! Workers that are used again, beside those that are not.

use super::fleet::{LONG, Up, at, bare_forks, pss, us};
use super::{Outcome, Row, row};
use coordinator::client::Task;
use coordinator::config::Policy;
use coordinator::process::fork;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) fn pool() -> Outcome<Vec<Row>> {
    let each = |policy: &Policy, workers: u32, tasks: u64, at_once: u64| -> Outcome<(Vec<f64>, f64, f64)> {
        let mut up = Up::start(1, workers, at_once.div_ceil(workers.into()).max(1) as u32, policy)?;
        let mut one = Vec::new();
        for _ in 0..200 {
            let times = up.round(1, Task::Echo(b"one"))?;
            one.push((times[0].2 - times[0].0) as f64 / 1e3);
        }
        let began = Instant::now();
        let mut left = tasks;
        while left > 0 {
            let now = left.min(at_once);
            up.round(now, Task::Echo(b"many"))?;
            left -= now;
        }
        let rate = tasks as f64 / began.elapsed().as_secs_f64();
        let counts = up.status().coordinators[0].counts;
        let reused = counts.hits as f64 / (counts.hits + counts.misses).max(1) as f64;
        up.stop()?;
        Ok((one, rate, reused * 100.0))
    };
    let (mut hit, pooled, reused) = each(&Policy::default(), 16, 20_000, 16)?;
    let fresh = Policy { recycle_after: Some(1), ..Policy::default() };
    let (mut miss, per_task, _) = each(&fresh, 16, 2_000, 16)?;
    let (mut spawned, mut forked) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let began = Instant::now();
        Command::new("/bin/true").stdin(Stdio::null()).status()?;
        spawned.push(began.elapsed().as_secs_f64() * 1e6);
        forked.push(bare_forks(1)?.as_secs_f64() * 1e6);
    }
    let less = (1.0 - at(&mut hit, 0.5) / at(&mut spawned, 0.5)) * 100.0;
    let up = Up::start(1, 100, 1, &Policy::default())?;
    let workers: Vec<u32> =
        up.status().coordinators[0].workers.iter().map(|worker| worker.process.pid).collect();
    let ours = pss(&workers)?;
    let sleepers = (0..100)
        .map(|_| {
            fork::spawn("sleeper", None, || {
                std::thread::sleep(LONG);
                0
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(Duration::from_millis(200));
    let theirs = pss(&sleepers.iter().map(|pid| pid.as_raw() as u32).collect::<Vec<_>>())?;
    for pid in sleepers {
        kill(pid, Signal::SIGKILL)?;
        waitpid(pid, None)?;
    }
    up.stop()?;
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    Ok(vec![
        row(
            "P1",
            "a task on a pooled worker, reset after the one before",
            us(&mut hit),
            format!("fork and exec of `true` {}", us(&mut spawned)),
            format!("−{less:.0} %; {reused:.1} % reused"),
            "−40 to −50 %; > 90 %",
        ),
        row(
            "P3",
            "first answer on a pool hit",
            us(&mut hit),
            format!("a fork, its end and its reaping {}", us(&mut forked)),
            format!("{:.2}", at(&mut hit, 0.5) / at(&mut forked, 0.5)),
            "p99 < 1 ms",
        ),
        row(
            "P4",
            "PSS of 100 idle workers, a share of the rings included",
            format!("{:.0} KiB, {:.0} each", kib(ours), kib(ours) / 100.0),
            format!("100 forked sleepers {:.0} KiB", kib(theirs)),
            format!("+{:.2} MiB", (kib(ours) - kib(theirs)) / 1024.0),
            "< 10 MB",
        ),
        row(
            "P5",
            "echo tasks a second, 16 workers",
            format!("{pooled:.0}"),
            format!("a new worker for each task {per_task:.0}; its answers {}", us(&mut miss)),
            format!("{:.1}", pooled / per_task),
            "compared",
        ),
    ])
}
