//! How far a figure can go on a host: on this one, and on any.
//!
//! [`Resource::of`] names every metric: a new one cannot forget that a host may bound it.

use super::Criterion;
use super::catalogue::MetricId;
use crate::units;

/// What a host bounds. What it does not say is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostLimits {
    pub processors: u32,
    pub memory_bytes: u64,
    /// Of all its processes together.
    pub threads: Option<u64>,
    /// Open in one process.
    pub descriptors: Option<u64>,
    /// Of one process.
    pub address_bytes: Option<u64>,
}

/// What of a host a figure uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Processors,
    /// One thread's time.
    OneCore,
    Switches,
    Threads,
    /// Of each process.
    Descriptors,
    Addresses,
    Memory,
    /// Pages that are counted once a process.
    SharedMemory,
    /// A host bounds no such figure.
    Nothing,
}

impl Resource {
    fn of(metric: MetricId) -> Self {
        use MetricId as Id;
        match metric {
            Id::Cpu | Id::HarnessCpu => Self::Processors,
            Id::SamplerCost => Self::OneCore,
            Id::SwitchesVoluntary | Id::SwitchesInvoluntary => Self::Switches,
            Id::Threads | Id::HostLoad => Self::Threads,
            Id::Fds => Self::Descriptors,
            Id::MemoryVsz => Self::Addresses,
            Id::MemoryPss | Id::HarnessRss | Id::ShmUsed => Self::Memory,
            Id::MemoryRss | Id::MemoryAnon => Self::SharedMemory,
            Id::CoordinationTime
            | Id::TaskTime
            | Id::Silence
            | Id::GapTime
            | Id::DeliveryRate
            | Id::DeliveryLate
            | Id::DeliveryDuplicates
            | Id::DeliveryCorrupt
            | Id::DeliveryFailed
            | Id::ThroughputTasks
            | Id::ThroughputMessages
            | Id::FdsUse
            | Id::HostSteal
            | Id::Balance
            | Id::PoolReuse
            | Id::PoolPoisoned
            | Id::Retries
            | Id::BatchTasks
            | Id::BatchAnswers
            | Id::BatchEfficiency
            | Id::Timeouts
            | Id::ExitsNonzero
            | Id::FailuresDeaths
            | Id::FailuresRefused
            | Id::FailuresOther
            | Id::Incidents
            | Id::IncidentsMinor
            | Id::RecoveryTime
            | Id::DetectionTime
            | Id::DeathDetection
            | Id::ScalingTime
            | Id::FaultLoss
            | Id::FaultDuplicates
            | Id::FaultTasksHit
            | Id::AgentsLive
            | Id::FirstAnswer
            | Id::CompletionTime
            | Id::LoadLateness
            | Id::SamplerLateness
            | Id::LaunchTime
            | Id::LaunchRatio => Self::Nothing,
        }
    }
}

impl HostLimits {
    /// The greatest value on this host of a figure that is of so many processes.
    pub(super) fn most(&self, criterion: &Criterion, processes: f64) -> Option<(f64, String)> {
        let memory = self.memory_bytes as f64;
        let of_memory = || format!("this host has {} of memory", units::bytes(memory));
        let processors = f64::from(self.processors);
        let of_processors =
            || format!("this host has {}", units::things(self.processors.into(), "processor"));
        match Resource::of(criterion.metric().id) {
            Resource::Processors => Some((processors, of_processors())),
            Resource::Switches => {
                Some((processors * SWITCHES_PER_PROCESSOR, format!("{}, {QUICKEST_SWITCH}", of_processors())))
            }
            Resource::Memory => Some((memory, of_memory())),
            Resource::SharedMemory => Some((processes * memory, of_memory())),
            Resource::Threads => {
                let most = self.threads? as f64;
                Some((most, format!("this host has {} threads at most", units::count(most))))
            }
            Resource::Descriptors => {
                let each = self.descriptors? as f64;
                let why = format!("a process of this host has {} descriptors at most", units::count(each));
                Some((processes * each, why))
            }
            Resource::Addresses => {
                let each = self.address_bytes? as f64;
                let why = format!("a process of this host has {} of addresses at most", units::bytes(each));
                Some((processes * each, why))
            }
            Resource::OneCore | Resource::Nothing => None,
        }
    }
}

/// `PID_MAX_LIMIT`: a kernel has no more threads at once.
pub(super) const THREADS_MAX: f64 = (1_u64 << 22) as f64;
/// `NR_CPUS` of the largest kernels.
const PROCESSORS_MAX: f64 = 8192.0;
/// The highest that `fs.nr_open` can be set.
const DESCRIPTORS_MAX: f64 = ((1_u64 << 31) - 64) as f64;
/// Of a process, on the machines that are known today with page tables of five levels.
const ADDRESSES_MAX: f64 = (1_u64 << 56) as f64;
/// Of physical addresses, on the machines that are known today.
const MEMORY_MAX: f64 = (1_u64 << 52) as f64;
/// In a second. A cache line that goes to another core takes longer.
const SWITCHES_PER_PROCESSOR: f64 = 1e8;

const QUICKEST_SWITCH: &str = "and no switch takes less than 10 ns";

/// Where a level can go no further on any host, which only a mistake in a threshold lies beyond.
pub(super) fn physical(criterion: &Criterion, processes: f64) -> Option<(f64, String)> {
    let memory = || format!("no host has more than {} of memory", units::bytes(MEMORY_MAX));
    let processors = || format!("no host has more than {} processors", units::count(PROCESSORS_MAX));
    match Resource::of(criterion.metric().id) {
        Resource::Threads => {
            Some((THREADS_MAX, format!("no host has more than {} threads", units::count(THREADS_MAX))))
        }
        Resource::Processors => Some((PROCESSORS_MAX, processors())),
        Resource::OneCore => Some((1.0, "one thread takes the samples, and has one core at most".to_owned())),
        Resource::Switches => {
            Some((PROCESSORS_MAX * SWITCHES_PER_PROCESSOR, format!("{}, {QUICKEST_SWITCH}", processors())))
        }
        Resource::Memory => Some((MEMORY_MAX, memory())),
        Resource::SharedMemory => Some((processes * MEMORY_MAX, memory())),
        Resource::Addresses => Some(addresses(processes)),
        Resource::Descriptors => Some(descriptors(processes)),
        Resource::Nothing => None,
    }
}

pub(super) fn addresses(processes: f64) -> (f64, String) {
    (processes * ADDRESSES_MAX, "no process can have more addresses".to_owned())
}

pub(super) fn descriptors(processes: f64) -> (f64, String) {
    let why = format!("no kernel gives a process more than {} descriptors", units::count(DESCRIPTORS_MAX));
    (processes * DESCRIPTORS_MAX, why)
}
