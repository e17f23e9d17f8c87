//! How long a recovery took, from the kill on.

use coordinator::client::Identity;
use coordinator::client::status::ProcessStatus;
use rustix::process::{PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// A process of the fleet, held so that its pid cannot become another process's.
pub fn hold(process: &ProcessStatus) -> Option<(Identity, OwnedFd)> {
    let identity = process.identity();
    let fd = pidfd_open(rustix::process::Pid::from_raw(identity.pid as i32)?, PidfdFlags::empty()).ok()?;
    identity.is_alive().then_some((identity, fd))
}

/// From the kill to the parent's notice, and to the recovery; ns.
#[derive(Debug, Default)]
pub struct Times {
    seen: Vec<u64>,
    recovered: Vec<u64>,
}

impl Times {
    pub fn note(&mut self, killed_ns: u64, seen_ns: u64, recovered_ns: u64) {
        self.seen.push(seen_ns.saturating_sub(killed_ns));
        self.recovered.push(recovered_ns.saturating_sub(killed_ns));
    }

    /// A line for each.
    pub fn told(&mut self, whose: &str, recovered: &str) -> String {
        let seen = line(&mut self.seen);
        format!("{whose} killed → seen: {seen}\n{whose} killed → {recovered}: {}", line(&mut self.recovered))
    }
}

pub fn line(times: &mut [u64]) -> String {
    times.sort_unstable();
    if times.is_empty() {
        return "none".to_owned();
    }
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize] as f64 / 1e6;
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms (n = {})", at(0.5), at(0.99), at(1.0), times.len())
}
