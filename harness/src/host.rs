//! What this machine is, and what it allows.
//!
//! [`facts`] goes into every run's header; [`examine`] looks at each thing that a fleet needs and says
//! how to mend what is missing; [`preflight`] refuses a plan that the host cannot carry out, before
//! anything has been started. Reading is in `read`, parsing in `parse`, judging in `judge`: the last
//! two are pure. Deliberately absent: changing anything.

mod judge;
mod parse;
mod read;

use crate::scenario::{Plan, Workload, hex};
use reports::runlog::event::HostFacts;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::Path;
use thiserror::Error;

/// Where fleets keep their shared memory unless told otherwise.
pub const SHM_DIR: &str = "/dev/shm";

/// One thing that a fleet needs of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    pub status: Status,
    /// What there is, in words.
    pub found: String,
    /// What to do; present unless the status is ok.
    pub remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok,
    /// A run is possible; its figures or its end may suffer.
    Warn,
    /// A run is not possible.
    Missing,
}

/// What a plan asks of its host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need {
    pub shm_bytes: u64,
    pub shm_inodes: u64,
    /// Of the hungriest process.
    pub fds: u64,
    /// The fleet's; the harness is there already.
    pub processes: u64,
    /// The program that workers start; nothing if none is, or if its name holds the task's number.
    pub program: Option<String>,
}

impl Need {
    pub fn of(plan: &Plan) -> Self {
        let shape = plan.shape();
        Self {
            shm_bytes: shape.shm_bytes(),
            shm_inodes: shape.shm_inodes(),
            fds: shape.fds_max(),
            processes: u64::from(shape.processes()),
            program: program(plan.workload()),
        }
    }
}

fn program(workload: &Workload) -> Option<String> {
    let Workload::Exec { command, .. } = workload else { return None };
    command.first().filter(|program| !program.contains("{}")).cloned()
}

/// This host cannot carry out the plan; nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct PreflightError {
    /// Never empty.
    pub missing: Vec<Capability>,
}

impl fmt::Display for PreflightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, capability) in self.missing.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", capability.name, capability.found)?;
            if let Some(remedy) = &capability.remedy {
                write!(f, "\nhint: {remedy}")?;
            }
        }
        Ok(())
    }
}

/// Everything that is looked at, in the order of a report. Without a plan, `need` is all zeros.
pub fn examine(shm_dir: &Path, need: &Need) -> Vec<Capability> {
    let readings = read::readings(shm_dir);
    let mut capabilities = judge::needed(&readings, need);
    capabilities.extend(command(need));
    capabilities.extend(judge::advisory(&readings));
    capabilities
}

/// What a run of this plan should be told about this host; or all that makes it impossible.
pub fn preflight(plan: &Plan, shm_dir: &Path) -> Result<Vec<Capability>, PreflightError> {
    let readings = read::readings(shm_dir);
    let need = Need::of(plan);
    let mut found = judge::needed(&readings, &need);
    found.extend(command(&need));
    found.extend(
        judge::advisory(&readings).into_iter().filter(|capability| capability.name != judge::USER_NAMESPACES),
    );
    let (missing, rest): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|capability| capability.status == Status::Missing);
    if missing.is_empty() {
        Ok(rest.into_iter().filter(|capability| capability.status == Status::Warn).collect())
    } else {
        Err(PreflightError { missing })
    }
}

fn command(need: &Need) -> Option<Capability> {
    let program = need.program.as_deref()?;
    Some(judge::command(program, &read::program(program, std::env::var_os("PATH").as_deref())))
}

/// The machine as the run log keeps it. What cannot be read is `unknown` or 0.
pub fn facts(shm_dir: &Path) -> HostFacts {
    let readings = read::readings(shm_dir);
    let shm = readings.shm.as_ref().ok();
    let mut facts = HostFacts {
        machine: String::new(),
        fingerprint: String::new(),
        hostname: read::hostname(),
        kernel: readings.kernel.clone(),
        boot_id: read::boot_id(),
        cpu_model: read::cpu_model(),
        cpus: readings.cpus,
        memory_bytes: readings.memory.total,
        swap_bytes: readings.memory.swap,
        shm_bytes: shm.map_or(0, |shm| shm.total_bytes),
        shm_inodes: shm.map_or(0, |shm| shm.total_inodes),
        nofile_soft: readings.nofile.soft,
        nofile_hard: readings.nofile.hard,
        pids_max: judge::pids_max(&readings),
        clock_source: readings.clock_source.clone(),
        virtualization: readings.virtualization.clone(),
        cgroup_memory_bytes: None,
        cgroup_pids: None,
        cgroup_cpus: None,
        load1_at_start: readings.load1,
    };
    facts.fingerprint = fingerprint(&facts);
    facts
}

/// SHA-256 over what does not change between two runs on the same, unchanged machine: neither boot nor
/// load, but kernel, processors, memory, shared memory, limits and clock. First 16 digits.
fn fingerprint(facts: &HostFacts) -> String {
    let stable = [
        facts.hostname.clone(),
        facts.kernel.clone(),
        facts.cpu_model.clone(),
        facts.cpus.to_string(),
        facts.memory_bytes.to_string(),
        facts.swap_bytes.to_string(),
        facts.shm_bytes.to_string(),
        facts.nofile_soft.to_string(),
        facts.nofile_hard.to_string(),
        facts.pids_max.to_string(),
        facts.clock_source.clone(),
        facts.virtualization.clone(),
    ];
    let digest = Sha256::digest(stable.join("\n").as_bytes());
    hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_the_machine_and_not_the_moment() {
        let here = facts(Path::new(SHM_DIR));
        assert_eq!(here.fingerprint.len(), 16);
        let later = HostFacts { load1_at_start: 99.0, boot_id: "another".into(), ..here.clone() };
        assert_eq!(fingerprint(&later), here.fingerprint);
        let other = HostFacts { cpus: here.cpus + 1, ..here.clone() };
        assert_ne!(fingerprint(&other), here.fingerprint);
    }

    #[test]
    fn the_facts_are_those_of_this_machine() {
        let here = facts(Path::new(SHM_DIR));
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(here.kernel, release.trim());
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(here.boot_id, boot_id.trim());
        assert_eq!(here.cpus as usize, std::thread::available_parallelism().unwrap().get());
        assert!(here.memory_bytes > 0 && here.nofile_soft > 0 && here.pids_max > 0, "{here:?}");
    }
}
