//! What this machine is, and what it allows.
//!
//! [`facts`] goes into every run's header; [`examine`] looks at each thing that a fleet needs and says
//! how to fix what is missing; [`preflight`] refuses a plan that the host cannot carry out, before
//! anything has been started. `read` is the one place that asks the kernel about the host, here and for the
//! sampler, with `cgroup` and `program` for what takes more than a file. `parse`, `judge` and `identity` are
//! pure, and `footprint` is what a run writes. Deliberately absent: changing anything.

mod cgroup;
mod footprint;
mod identity;
mod judge;
mod parse;
mod program;
pub(crate) mod read;

use crate::fault::Controller;
use crate::private_shm::REMEDY;
use crate::scenario::fault::Grouped;
use crate::scenario::{Plan, Workload};
use crate::trapped::Trapped;
use reports::criterion::HostLimits;
use reports::runlog::event::HostFacts;
use std::fmt;
use std::io;
use std::path::Path;
use thiserror::Error;

pub(crate) use footprint::preflight_room;
pub use footprint::{Footprint, room_for};

/// Where fleets keep their shared memory by default.
pub const SHM_DIR: &str = "/dev/shm";

/// One thing that a fleet needs of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    pub name: &'static str,
    pub status: Status,
    /// What was found, in words.
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
    /// Of the largest file of shared memory.
    pub file_bytes: u64,
    /// Of shared memory that a process of the run maps.
    pub mapped_bytes: u64,
    /// Of the run log, about.
    pub log_bytes: u64,
    /// Of the process with the most open descriptors.
    pub fds: u64,
    /// The fleet's; the harness itself is running already.
    pub processes: u64,
    /// What the run's own file system for shared memory can hold, if it needs one: then it takes nothing of the host's.
    pub private_shm_bytes: Option<u64>,
    /// It has a fault that leaves a process so many processors: it must have had more. 0 without such a fault.
    pub cpus_left: u32,
    /// It has faults on the calls in directories.
    pub disks: bool,
    /// Those directories that must be there before the start.
    pub disk_dirs: Vec<String>,
    /// What its faults hold at once, at most.
    pub held_bytes: u64,
    /// Calls of its fleet are to fail.
    pub traps_calls: bool,
    /// Controllers of the control groups that its faults put processes into.
    pub(crate) groups: Vec<Controller>,
    /// Faults that give a process a group of two controllers at once.
    pub grouped: Vec<Grouped>,
    /// The programs that are started. In a name, `{}` is the task's number.
    pub programs: Vec<Commanded>,
}

impl Need {
    pub fn of(plan: &Plan) -> Self {
        let shape = plan.shape();
        let private_shm_bytes = plan.private_shm().map(|room| room.bytes);
        let of_host = |amount| if private_shm_bytes.is_some() { 0 } else { amount };
        Self {
            shm_bytes: of_host(shape.shm_bytes()),
            shm_inodes: of_host(shape.shm_inodes()),
            private_shm_bytes,
            cpus_left: plan.faults().iter().filter_map(|fault| fault.action().cpus_left()).max().unwrap_or(0),
            disks: plan.covers_disks(),
            disk_dirs: disk_dirs(plan),
            held_bytes: plan.calendar().most_held(plan.faults()),
            groups: groups_of(plan),
            grouped: plan.grouped(),
            file_bytes: shape.file_bytes(),
            mapped_bytes: shape.shm_bytes(),
            log_bytes: Footprint::of(plan).log_bytes,
            fds: shape.fds_max(),
            processes: u64::from(shape.processes_with_guard())
                + plan.faults().iter().map(|fault| u64::from(fault.action().processes())).sum::<u64>()
                + plan.covered().len() as u64,
            traps_calls: plan.traps_calls(),
            programs: programs_of(plan),
        }
    }

    /// What runs of both need, one after the other.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            shm_bytes: self.shm_bytes.max(other.shm_bytes),
            shm_inodes: self.shm_inodes.max(other.shm_inodes),
            file_bytes: self.file_bytes.max(other.file_bytes),
            mapped_bytes: self.mapped_bytes.max(other.mapped_bytes),
            log_bytes: self.log_bytes.max(other.log_bytes),
            fds: self.fds.max(other.fds),
            processes: self.processes.max(other.processes),
            private_shm_bytes: self.private_shm_bytes.max(other.private_shm_bytes),
            cpus_left: self.cpus_left.max(other.cpus_left),
            held_bytes: self.held_bytes.max(other.held_bytes),
            traps_calls: self.traps_calls || other.traps_calls,
            groups: {
                let new: Vec<_> = other.groups.into_iter().filter(|one| !self.groups.contains(one)).collect();
                [self.groups, new].concat()
            },
            grouped: {
                let new: Vec<_> =
                    other.grouped.into_iter().filter(|one| !self.grouped.contains(one)).collect();
                [self.grouped, new].concat()
            },
            disks: self.disks || other.disks,
            disk_dirs: {
                let new = other.disk_dirs.into_iter().filter(|dir| !self.disk_dirs.contains(dir));
                let new: Vec<String> = new.collect();
                [self.disk_dirs, new].concat()
            },
            programs: {
                let new = other.programs.into_iter().filter(|program| !self.programs.contains(program));
                let new: Vec<Commanded> = new.collect();
                [self.programs, new].concat()
            },
        }
    }
}

fn groups_of(plan: &Plan) -> Vec<Controller> {
    let mut groups = Vec::new();
    for controller in plan.faults().iter().filter_map(|fault| Controller::of(fault.action())) {
        if !groups.contains(&controller) {
            groups.push(controller);
        }
    }
    groups
}

/// A set-up may make them.
fn disk_dirs(plan: &Plan) -> Vec<String> {
    match plan.setup() {
        [] => plan.covered().into_iter().flatten().map(str::to_owned).collect(),
        [..] => Vec::new(),
    }
}

/// A program of the scenario, and the directory that it is started in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commanded {
    pub program: String,
    /// Absent if it is that of `harness`.
    pub cwd: Option<String>,
}

/// A set-up may make the programs and directories of the workloads: then only its own are looked for.
fn programs_of(plan: &Plan) -> Vec<Commanded> {
    if let [first, ..] = plan.setup() {
        let program = first.command.arguments.first().cloned();
        return program
            .map(|program| Commanded { program, cwd: first.command.cwd.clone() })
            .into_iter()
            .collect();
    }
    let mut programs: Vec<Commanded> = Vec::new();
    for part in plan.mix().parts() {
        let (program, cwd) = match &part.workload {
            Workload::Exec(exec) => (exec.program(), exec.cwd()),
            Workload::Agent(agent) => (&*agent.program().command[0], agent.program().cwd.as_deref()),
            Workload::Echo { .. } | Workload::Sleep(_) | Workload::Compute { .. } | Workload::Saboteur(_) => {
                continue;
            }
        };
        let one = Commanded { program: program.to_owned(), cwd: cwd.map(str::to_owned) };
        if !programs.contains(&one) {
            programs.push(one);
        }
    }
    programs
}

/// What users are told where journals cannot be written.
pub const NO_JOURNAL_REMEDY: &str =
    "set HARNESS_STATE_DIR to the absolute path of a directory of your own, mode 0700, on this host";

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

impl PreflightError {
    /// What faults make cannot be written down before it is made.
    pub fn no_journal(dir: &Path, error: &io::Error) -> Self {
        let remedy = NO_JOURNAL_REMEDY.to_owned();
        let (name, status) = (judge::CONTROL_GROUPS, Status::Missing);
        let found = format!("their journal in {}: {error}", dir.display());
        Self { missing: vec![Capability { name, status, found, remedy: Some(remedy) }] }
    }

    /// The run cannot have a file system of its own for its shared memory.
    pub fn no_private_shm(why: String) -> Self {
        let (name, status, remedy) = (judge::PRIVATE_SHM, Status::Missing, Some(REMEDY.to_owned()));
        Self { missing: vec![Capability { name, status, found: why, remedy }] }
    }

    /// The run cannot mount what is its own alone: a file system for its shared memory if `has_shm`, or a directory.
    pub fn no_namespace(has_shm: bool, why: String) -> Self {
        if has_shm { Self::no_private_shm(why) } else { Self::no_disk(why) }
    }

    /// The run cannot disturb a directory.
    pub fn no_disk(why: String) -> Self {
        let (name, status, remedy) = (judge::DISKS, Status::Missing, Some(judge::disk_remedy()));
        Self { missing: vec![Capability { name, status, found: why, remedy }] }
    }
}

/// Everything that is looked at, in the order of a report. Without a plan, `need` is all zeros.
pub fn examine(shm_dir: &Path, need: &Need) -> Vec<Capability> {
    let readings = read::readings(shm_dir);
    let mut capabilities = judge::needed(&readings, need);
    capabilities.extend(trapped_calls(shm_dir, need));
    capabilities.extend(commands(need));
    // What the plan needs has been said.
    capabilities.extend(
        judge::advisory(&readings)
            .into_iter()
            .filter(|capability| !need.disks || capability.name != judge::DISKS),
    );
    capabilities
}

/// The plan as this host can carry it out: of a scenario that allows it, with as many workers as there is room for. Where
/// there is room for all, or not even for one under each coordinator, it is the plan as it was.
pub fn fitted(plan: Plan, shm_dir: &Path) -> Plan {
    if !plan.is_partial() {
        return plan;
    }
    let readings = read::readings(shm_dir);
    let fits = |plan: &Plan| {
        let needed = judge::needed(&readings, &Need::of(plan));
        needed.iter().all(|capability| capability.status != Status::Missing)
    };
    largest(plan, fits)
}

/// The plan with the most workers of those that fit.
fn largest(plan: Plan, fits: impl Fn(&Plan) -> bool) -> Plan {
    if fits(&plan) {
        return plan;
    }
    let (mut low, mut high) = (0, plan.shape().workers_per_coordinator());
    let mut best = None;
    while high - low > 1 {
        let middle = low.midpoint(high);
        match plan.with_room_for(middle).filter(&fits) {
            Some(smaller) => (low, best) = (middle, Some(smaller)),
            None => high = middle,
        }
    }
    best.unwrap_or(plan)
}

/// What may make the figures of this plan worse on this host; or everything that makes it impossible.
pub fn preflight(plan: &Plan, shm_dir: &Path) -> Result<Vec<Capability>, PreflightError> {
    let readings = read::readings(shm_dir);
    let need = Need::of(plan);
    let mut found = judge::needed(&readings, &need);
    found.extend(trapped_calls(shm_dir, &need));
    found.extend(commands(&need));
    found.extend(
        judge::advisory(&readings)
            .into_iter()
            .filter(|capability| ![judge::USER_NAMESPACES, judge::DISKS].contains(&capability.name)),
    );
    let (missing, rest): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|capability| capability.status == Status::Missing);
    if missing.is_empty() {
        Ok(rest.into_iter().filter(|capability| capability.status == Status::Warn).collect())
    } else {
        Err(PreflightError { missing })
    }
}

/// Tried out, where it is needed: no reading says whether the kernel allows it here.
fn trapped_calls(shm_dir: &Path, need: &Need) -> Option<Capability> {
    need.traps_calls.then(|| judge::trapped_calls(Trapped::rehearse(shm_dir)))
}

/// The directory of each program, and if that can be entered, the program.
fn commands(need: &Need) -> impl Iterator<Item = Capability> {
    let path = std::env::var_os("PATH");
    let covered = need.disk_dirs.iter().map(|dir| judge::covered(dir, program::enter(Path::new(dir))));
    let programs = need.programs.iter().flat_map(move |Commanded { program, cwd }| {
        let directory = cwd.as_deref().map(|cwd| judge::directory(cwd, program::enter(Path::new(cwd))));
        let is_there = directory.as_ref().is_none_or(|found| found.status != Status::Missing);
        let look = is_there && !program.contains("{}");
        let reading = || program::find(program, cwd.as_deref().map(Path::new), path.as_deref());
        let command = look.then(|| judge::command(program, &reading()));
        directory.into_iter().chain(command)
    });
    covered.chain(programs)
}

/// What bounds the figures of runs; nothing if this host does not say.
pub fn limits() -> Option<HostLimits> {
    let processors = std::thread::available_parallelism().ok()?.get();
    let memory_bytes = read::memory().ok()?.total;
    Some(HostLimits {
        processors: u32::try_from(processors).ok()?,
        memory_bytes,
        threads: read::threads(),
        descriptors: read::descriptors(),
        address_bytes: read::address_bytes(),
    })
}

/// What is free on the disk of a directory; nothing if that cannot be read.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    read::space(directory).ok().map(|space| space.free_bytes)
}

/// The machine as the run log keeps it. What cannot be read is `unknown` or 0.
pub fn facts(shm_dir: &Path) -> HostFacts {
    let readings = read::readings(shm_dir);
    let shm = readings.shm.as_ref().ok();
    let boot_id = read::boot_id();
    let ids = read::machine_ids(&boot_id);
    let mut facts = HostFacts {
        machine: String::new(),
        fingerprint: String::new(),
        hostname: read::hostname(),
        kernel: readings.kernel.clone(),
        boot_id,
        cpu_model: read::cpu_model(),
        cpus: readings.cpus,
        memory_bytes: readings.memory.unwrap_or_default().total,
        swap_bytes: readings.memory.unwrap_or_default().swap,
        shm_bytes: shm.map_or(0, |shm| shm.total_bytes),
        shm_inodes: shm.map_or(0, |shm| shm.total_inodes),
        nofile_soft: readings.nofile.soft,
        nofile_hard: readings.nofile.hard,
        pids_max: judge::pids_max(&readings),
        clock_source: readings.clock_source.clone(),
        virtualization: readings.virtualization.clone(),
        cgroup_memory_bytes: cgroup::least(&readings.cgroups.memory),
        cgroup_pids: cgroup::least(&readings.cgroups.pids),
        cgroup_cpus: readings.cgroups.cpus,
        load1_at_start: readings.load1.unwrap_or_default(),
    };
    facts.machine = identity::machine(&facts, &ids);
    facts.fingerprint = identity::fingerprint(&facts);
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{PlanOptions, Scenario, Selection, Source};
    use crate::system::SystemSpec;

    fn plan(sets: &[&str]) -> Plan {
        let source = Source::new("smoke.toml", include_str!("../../scenarios/smoke.toml").to_owned());
        let sets = sets.iter().map(|&set| set.to_owned()).collect();
        let scenario = Scenario::parse(&source, &Selection { profile: None, sets }).unwrap();
        Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None })
    }

    #[test]
    fn a_fleet_that_may_be_smaller_has_as_many_workers_as_the_host_has_room_for() {
        let flat = ["fleet.topology=flat", "fleet.coordinators=1", "fleet.workers=100", "fleet.partial=true"];
        for room in [1, 2, 37, 99] {
            let fits = |plan: &Plan| plan.shape().workers_per_coordinator() <= room;
            let smaller = largest(plan(&flat), fits);
            assert_eq!((smaller.workers_at_start(), smaller.workers_asked()), (room, Some(100)), "{room}");
            assert_eq!(smaller.facts().workers_asked, Some(100));
            let SystemSpec::Fleet(fleet) = smaller.system();
            assert_eq!(&fleet.shape, smaller.shape());
        }
        for all in [true, false] {
            let same = largest(plan(&flat), |_| all);
            assert_eq!(
                (same.workers_at_start(), same.workers_asked()),
                (100, None),
                "all or none: as it was"
            );
        }
    }

    #[test]
    fn a_smaller_pool_keeps_its_bounds_as_far_as_it_can() {
        let pool = ["fleet.topology=flat", "fleet.coordinators=1", "fleet.workers=20", "load.to=any"];
        let bounds = ["fleet.workers_min=10", "fleet.workers_max=40", "fleet.partial=true"];
        let of = |room: u32| {
            let fits = |plan: &Plan| plan.shape().workers_per_coordinator() <= room;
            let smaller = largest(plan(&[&pool[..], &bounds].concat()), fits);
            (smaller.workers_least(), smaller.workers_at_start(), smaller.shape().workers_per_coordinator())
        };
        assert_eq!(of(40), (Some(10), 20, 40));
        assert_eq!(of(30), (Some(10), 20, 30));
        assert_eq!(of(5), (Some(5), 5, 5));
    }

    #[test]
    fn the_facts_are_those_of_this_machine() {
        let here = facts(Path::new(SHM_DIR));
        let again = facts(Path::new(SHM_DIR));
        assert_eq!((&again.machine, &again.fingerprint), (&here.machine, &here.fingerprint));
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        assert_eq!(here.kernel, release.trim());
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(here.boot_id, boot_id.trim());
        assert_eq!(here.cpus as usize, std::thread::available_parallelism().unwrap().get());
        assert!(here.memory_bytes > 0 && here.nofile_soft > 0 && here.pids_max > 0, "{here:?}");
    }
}
