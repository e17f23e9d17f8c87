//! On what it was measured: processor, kernel, pinning, clock. No figure is worth anything without it.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub hypervisor: bool,
    pub kernel: String,
    pub memory_mib: u64,
    pub rustc: String,
}

impl Machine {
    pub fn look() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
        let field = |name: &str| {
            cpuinfo.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "))
        };
        let value =
            |name: &str| field(name).map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned());
        let kernel = nix::sys::utsname::uname().context("uname")?;
        let meminfo = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
        let total_kib = meminfo.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        Ok(Self {
            processor: format!(
                "{} (family {}, model {}, stepping {})",
                value("model name"),
                value("cpu family"),
                // "model name" begins with "model" too
                cpuinfo
                    .lines()
                    .find(|line| line.starts_with("model\t"))
                    .and_then(|line| line.split_once(": "))
                    .map_or("?", |(_, value)| value.trim()),
                value("stepping"),
            ),
            processors: std::thread::available_parallelism()?.get(),
            hypervisor: value("flags").split(' ').any(|flag| flag == "hypervisor"),
            kernel: format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy()),
            memory_mib: total_kib.unwrap_or(0) / 1024,
            rustc: first_line("rustc", &["--version"]).unwrap_or_else(|| "?".to_owned()),
        })
    }
}

/// The first line a program prints, or None if it cannot be started.
pub fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
}

/// Binds this process (and what it forks) to one processor.
pub fn pin(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).with_context(|| {
        format!("binding to processor {processor}: this bench needs processors 0 and 1 (see taskset -p $$)")
    })
}

/// Lets this process run on all of the first `processors` again.
pub fn unpin(processors: usize) -> Result<()> {
    let mut set = CpuSet::new();
    (0..processors)
        .try_for_each(|at| set.set(at))
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .context("undoing the binding to one processor")
}
