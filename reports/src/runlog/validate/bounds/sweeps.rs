//! What sweeps say of the host and of the harness, from one to the next.

use super::{Bounds, READ_NS};
use crate::runlog::event::{HostSample, Sample};

/// Ticks of one processor by which two readings of the host's times may differ: a second of them.
const READ_TICKS: u64 = 100;
/// By how much two ways to count the CPU time of a process may differ, beside a hundredth of it.
const CPU_COUNTED_US: u64 = 1_000_000;
/// By how much two readings of a file system may differ, beside a tenth.
const READ_BYTES: u64 = 1 << 20;
/// The same, of files: those of a few coordinators that come or go meanwhile.
const READ_FILES: u64 = 16;
/// Linux numbers no more processes than this.
const LOAD_MAX: f64 = 4_194_304.0;

impl Bounds {
    /// Sweeps come one after the other, and the host's processors count on.
    pub(super) fn after_the_last(&mut self, sample: &Sample) -> Result<(), String> {
        let (sweep, host) = (sample.sweep, sample.host);
        let over_ns = sample.started_ns.saturating_add(sample.took_ns);
        let Some((last_ns, last)) = self.last.replace((over_ns, host)) else { return Ok(()) };
        if sample.started_ns.saturating_add(READ_NS) < last_ns && !self.old {
            return Err(format!(
                "sweep {sweep}: `started_ns` is {}, and the sweep before was over at {last_ns}",
                sample.started_ns
            ));
        }
        // The kernel may take back some of what was idle.
        let slack = READ_TICKS.saturating_mul(self.processors.max(1));
        let all = host.cpu_ticks.zip(last.cpu_ticks);
        for (what, now, before) in [
            ("cpu_ticks", host.cpu_ticks, last.cpu_ticks),
            ("steal_ticks", host.steal_ticks, last.steal_ticks),
            ("idle_ticks", host.idle_ticks, last.idle_ticks),
        ] {
            let Some((now, before)) = now.zip(before) else { continue };
            let passed = all.map_or(u64::MAX, |(now, before)| now.saturating_sub(before));
            if now.saturating_add(slack) < before || now.saturating_sub(before) > passed.saturating_add(slack)
            {
                return Err(format!(
                    "sweep {sweep}: `{what}` is {now} after {before}, and `cpu_ticks` went from {:?} to {:?}",
                    last.cpu_ticks, host.cpu_ticks
                ));
            }
        }
        Ok(())
    }

    /// The fleet's files are a part of what is used of the file system that they lie in.
    pub(super) fn memory(&self, host: &HostSample) -> Result<(), String> {
        let HostSample { fleet_shm_bytes, fleet_shm_files, shm_used_bytes, shm_used_inodes, .. } = *host;
        // The two are read one after the other.
        let beyond = |part: u64, all: u64, slack: u64| {
            all > 0 && part > all.saturating_add(all / 10).saturating_add(slack)
        };
        if beyond(fleet_shm_bytes, shm_used_bytes, READ_BYTES)
            || beyond(fleet_shm_files, shm_used_inodes, READ_FILES)
        {
            return Err("the fleet's files have more than is used of their file system".into());
        }
        if self.shm.is_some_and(|(bytes, inodes)| {
            beyond(shm_used_bytes, bytes, READ_BYTES) || beyond(shm_used_inodes, inodes, READ_FILES)
        }) {
            return Err("more is used of /dev/shm than there is".into());
        }
        if self.shm.is_some_and(|(bytes, _)| bytes == 0) && shm_used_bytes > 0 {
            return Err("something is used of /dev/shm, and the header says that it has no room".into());
        }
        let [load1, load5, load15] = [host.load1, host.load5, host.load15];
        if load1.max(load5).max(load15) > LOAD_MAX {
            return Err("more processes run than any host has".into());
        }
        Ok(())
    }

    /// What the harness has used by its own account, against what sweeps saw of it: as much as between the first of them and the
    /// last at least, and no more than up to the last and all that there was after it.
    pub(super) fn harness_used(&self, used_us: u64, t_ns: u64) -> Result<(), String> {
        let Some((first_us, last_us, seen_ns)) = self.harness_cpu.filter(|_| !self.old) else {
            return Ok(());
        };
        let slack = CPU_COUNTED_US.saturating_add(last_us / 100);
        let least = last_us.saturating_sub(first_us);
        let most = last_us.saturating_add(self.cpu_most_us(t_ns.saturating_sub(seen_ns)));
        if (least.saturating_sub(slack)..=most.saturating_add(slack)).contains(&used_us) {
            return Ok(());
        }
        Err(format!(
            "`harness_cpu_ns` of the end is {used_us} us, and sweeps saw the harness with {first_us} us at first and {last_us} us at last"
        ))
    }
}
