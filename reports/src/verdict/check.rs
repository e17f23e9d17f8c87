//! What is checked of every run, whether its scenario asks for it or not.

/// A check of the evidence. Each has its canary in `harness selftest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    RunComplete,
    LogConsistent,
    CriteriaGiven,
    LoadDuration,
    RoundsDone,
    WorkDone,
    WorkProven,
    FaultsProven,
    StagesDone,
    AgentsSeen,
    SamplingCoverage,
    SamplerOnTime,
    PssRead,
    HarnessDoesNotGrow,
    CountedOnce,
    Ledger,
    NoDeath,
    NoIncident,
    NoAlert,
    NothingLeft,
    MemoryUntouched,
    SetUp,
    TearDown,
}

impl Check {
    /// In the order of the documents.
    pub const ALL: [Self; 23] = [
        Self::RunComplete,
        Self::LogConsistent,
        Self::CriteriaGiven,
        Self::LoadDuration,
        Self::RoundsDone,
        Self::WorkDone,
        Self::WorkProven,
        Self::FaultsProven,
        Self::StagesDone,
        Self::AgentsSeen,
        Self::SamplingCoverage,
        Self::SamplerOnTime,
        Self::PssRead,
        Self::HarnessDoesNotGrow,
        Self::CountedOnce,
        Self::Ledger,
        Self::NoDeath,
        Self::NoIncident,
        Self::NoAlert,
        Self::NothingLeft,
        Self::MemoryUntouched,
        Self::SetUp,
        Self::TearDown,
    ];

    /// As the documents call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunComplete => "run complete",
            Self::LogConsistent => "log consistent",
            Self::CriteriaGiven => "criteria given",
            Self::LoadDuration => "load duration",
            Self::RoundsDone => "rounds done",
            Self::WorkDone => "work done",
            Self::WorkProven => "work proven",
            Self::FaultsProven => "faults proven",
            Self::StagesDone => "stages done",
            Self::AgentsSeen => "agents seen",
            Self::SamplingCoverage => "sampling coverage",
            Self::SamplerOnTime => "sampler on time",
            Self::PssRead => "PSS read",
            Self::HarnessDoesNotGrow => "harness does not grow",
            Self::CountedOnce => "each task counted once",
            Self::Ledger => "ledger",
            Self::NoDeath => "no undeclared death",
            Self::NoIncident => "no undeclared incident",
            Self::NoAlert => "no alert",
            Self::NothingLeft => "nothing left behind",
            Self::MemoryUntouched => "shared memory untouched",
            Self::SetUp => "set-up",
            Self::TearDown => "tear-down",
        }
    }
}
