//! What the kernel says about whether a process gets on.

use super::Identity;

/// Whether the kernel shows a process as stopped, by a signal or a debugger. One that has ended is not.
pub fn is_stopped(process: Identity) -> bool {
    let entry = i32::try_from(process.pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok());
    let stat = entry.and_then(|entry| entry.stat().ok());
    stat.is_some_and(|stat| stat.starttime == process.start_ticks && matches!(stat.state, 'T' | 't'))
}

/// What the kernel says about a process that shows no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// It has a processor, or waits for one.
    pub runs: bool,
    /// How often it has given a processor up, or lost one.
    pub switches: u64,
}

impl Activity {
    /// As `/proc` has it. A process that has ended does nothing.
    pub fn of(process: Identity) -> Option<Self> {
        let entry = procfs::process::Process::new(i32::try_from(process.pid).ok()?).ok()?;
        let stat = entry.stat().ok().filter(|stat| stat.starttime == process.start_ticks)?;
        if matches!(stat.state, 'Z' | 'X' | 'x') {
            return None;
        }
        let status = entry.status().ok()?;
        let switches = [status.voluntary_ctxt_switches, status.nonvoluntary_ctxt_switches];
        let switches = switches.into_iter().flatten().fold(0, u64::saturating_add);
        Some(Self { runs: stat.state == 'R', switches })
    }
}
