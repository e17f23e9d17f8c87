//! Faults that would undo each other: two at once that set the same thing of the same process, of the run's `/dev/shm`, or of a
//! directory.
//!
//! Each remembers what it found, and puts that back; the second has found what the first has set. So the one that ends later
//! would leave the other's value, or find its own gone. Where all controllers have one tree of control groups, two of them cannot have
//! a group of one process each; the host shows whether that is so ([`grouped`]). Targets are drawn from a seed that is not known here: what may hit the
//! same process is refused. Of two faults on a directory, a probe would see both. Deliberately absent: faults that add up (`memory`, `cpu-hogs`), which `harness/src/host.rs` counts.

use super::action::{Action, DiskFault, Resource};
use super::calendar::times;
use super::keys::DELAY_SHOWN;
use super::{At, Fault};
use crate::scenario::cursor::Sited;
use crate::scenario::mistake::Mistake;
use crate::scenario::unit::duration_text;
use coordinator::config::FleetShape;
use reports::runlog::event::FaultKind;
use std::time::Duration;

/// What a fault sets for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) enum Thing {
    /// Whether a process runs.
    Running,
    Limit(Resource),
    Processors,
    /// The control group under a controller.
    Group(&'static str),
    /// The file of a region: its name and its length.
    Region,
    /// The file system of the run's own.
    Shm,
    /// Which calls on shared memory fail.
    Calls,
    /// What becomes of calls in a directory.
    Disk,
}

impl Thing {
    fn of(action: Action) -> Option<Self> {
        match action {
            Action::Limit { resource, .. } => Some(Self::Limit(resource)),
            other => Self::of_kind(other.kind(), Resource::Descriptors),
        }
    }

    /// What a fault of this kind sets; `limited` is what a limit is of.
    pub(in crate::scenario) fn of_kind(kind: FaultKind, limited: Resource) -> Option<Self> {
        use FaultKind as Kind;
        match kind {
            Kind::Pause => Some(Self::Running),
            Kind::Limit => Some(Self::Limit(limited)),
            Kind::Cpus => Some(Self::Processors),
            Kind::CgroupMemory | Kind::Oom => Some(Self::Group("memory")),
            Kind::CgroupCpu => Some(Self::Group("cpu")),
            Kind::CgroupPids => Some(Self::Group("pids")),
            Kind::SegmentUnlink | Kind::SegmentTruncate => Some(Self::Region),
            Kind::ShmLimit | Kind::ShmFill | Kind::ShmInodes | Kind::ShmReadOnly => Some(Self::Shm),
            Kind::ShmErrors => Some(Self::Calls),
            Kind::DiskSlow | Kind::DiskFail | Kind::DiskFull => Some(Self::Disk),
            Kind::Kill | Kind::Stop | Kind::CpuHogs | Kind::Memory | Kind::SegmentScribble => None,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Running => "whether a process is paused".to_owned(),
            Self::Limit(resource) => format!("the limit of {}", resource.words()),
            Self::Processors => "the processors of a process".to_owned(),
            Self::Group(controller) => format!("the control group of a process ({controller})"),
            Self::Region => "the file of a region".to_owned(),
            Self::Shm => "the run's /dev/shm".to_owned(),
            Self::Calls => "which calls on shared memory fail".to_owned(),
            Self::Disk => "the disk of a directory".to_owned(),
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Disk => {
                "let one begin 200 ms or more after the other has been healed: until then, a probe may see both"
            }
            Self::Running
            | Self::Limit(_)
            | Self::Processors
            | Self::Group(_)
            | Self::Region
            | Self::Shm
            | Self::Calls => {
                "let one begin after the other has been healed: each puts back what it has found"
            }
        }
    }

    /// What a fault of this thing takes beside the time that it lasts.
    fn shown_within(self) -> Duration {
        if self == Self::Disk { DELAY_SHOWN } else { Duration::ZERO }
    }

    /// Whether what a process starts has it as well.
    fn is_inherited(self) -> bool {
        matches!(self, Self::Limit(_) | Self::Processors | Self::Group(_))
    }

    /// Whether two faults of this thing may be done to one process, or to what it has started, at all.
    fn meets(self, one: &Fault, other: &Fault) -> bool {
        // A coordinator's workers that are started anew have what it has; with the supervisor, everything has.
        one.covers() == other.covers() && (one.role == other.role || self.is_inherited())
    }
}

/// A slow disk is shown to be slow when it has become so, and again before it is healed: one that is to last shorter waits for that.
fn looked_at_twice(action: Action) -> Duration {
    match action {
        Action::Disk(DiskFault::Slow(delay)) => 2 * delay + DELAY_SHOWN,
        _ => Duration::ZERO,
    }
}

/// The times of a fault's injections: the first, the pace, how many there are, and how long each takes.
#[derive(Debug, Clone, Copy)]
struct Times {
    first: Duration,
    every: Duration,
    count: u32,
    takes: Duration,
    /// Each begins at its time, with all of its targets.
    is_sharp: bool,
}

impl Times {
    fn of(fault: &Fault, thing: Thing, load: Duration, shape: &FleetShape) -> Self {
        let steps = fault.many.of(fault.all(shape)).saturating_sub(1);
        // One that is held back begins later.
        let held = fault.hold.map(|hold| hold.within).unwrap_or_default();
        let lasts = fault.lasts.unwrap_or_default().max(looked_at_twice(fault.action));
        let lasts = held.saturating_add(lasts).saturating_add(thing.shown_within());
        Self {
            first: fault.starts(load),
            every: fault.every.unwrap_or_default(),
            count: times(fault, load),
            takes: fault.apart.saturating_mul(steps).saturating_add(lasts),
            is_sharp: held.is_zero() && (fault.apart.is_zero() || steps == 0),
        }
    }

    fn nth(&self, number: u32) -> (Duration, Duration) {
        let from = self.first.saturating_add(self.every.saturating_mul(number));
        (from, from.saturating_add(self.takes))
    }

    /// The first moment at which both are under way. `may_begin_together`: of those that begin at the same time, each finds
    /// what was there before.
    fn first_with(&self, other: &Self, may_begin_together: bool) -> Option<Duration> {
        let may_begin_together = may_begin_together && self.is_sharp && other.is_sharp;
        let (mut mine, mut theirs) = (0, 0);
        while mine < self.count && theirs < other.count {
            let (one, two) = (self.nth(mine), other.nth(theirs));
            let overlaps = one.0 <= two.1 && two.0 <= one.1;
            if overlaps && !(may_begin_together && one.0 == two.0) {
                return Some(one.0.max(two.0));
            }
            if one.1 < two.1 { mine += 1 } else { theirs += 1 }
        }
        None
    }
}

/// A fault that is under way together with one before it in the file.
struct Meeting {
    /// Of the later one, among all.
    fault: usize,
    things: [Thing; 2],
    /// In words, without what they set.
    message: String,
}

/// Of faults whose things are alike.
fn meetings(
    faults: &[&Fault],
    load: Duration,
    shape: &FleetShape,
    are_alike: impl Fn(Thing, Thing) -> bool,
) -> Vec<Meeting> {
    let of = |(index, fault): (usize, &&Fault)| {
        let thing = Thing::of(fault.action)?;
        Some((index, (*fault).clone(), thing, Times::of(fault, thing, load, shape)))
    };
    let those: Vec<(usize, Fault, Thing, Times)> = faults.iter().enumerate().filter_map(of).collect();
    let mut found = Vec::new();
    for (nth, (index, fault, thing, times)) in those.iter().enumerate() {
        let earlier = those[..nth].iter().filter(|(_, _, theirs, _)| are_alike(*theirs, *thing));
        let meets = earlier.filter(|(_, other, ..)| thing.meets(fault, other));
        // Those of a process and of one that it starts find what was there before, if they begin together.
        let first = |other: &Fault, of: Thing, theirs: &Times| {
            times.first_with(theirs, of == *thing && fault.role != other.role)
        };
        let mut met =
            meets.filter_map(|(_, other, of, theirs)| Some((other, *of, first(other, *of, theirs)?)));
        if let Some((other, of, when)) = met.next() {
            let message = format!(
                "the faults `{}` and `{}` are both under way {} after the start of the load",
                other.name,
                fault.name,
                duration_text(when)
            );
            found.push(Meeting { fault: *index, things: [of, *thing], message });
        }
    }
    found
}

/// A fault that sets the same as one before it in the file, at once.
struct Clash {
    fault: usize,
    thing: Thing,
    message: String,
}

fn clashes(faults: &[&Fault], load: Duration, shape: &FleetShape) -> Vec<Clash> {
    let clash = |Meeting { fault, things: [_, thing], message }| {
        let message = format!("{message}, and both set {}", thing.words());
        Clash { fault, thing, message }
    };
    meetings(faults, load, shape, |one, other| one == other).into_iter().map(clash).collect()
}

/// Two faults that give one process a control group each, of two controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouped {
    /// Names of the controllers.
    pub controllers: [&'static str; 2],
    /// In words.
    pub message: String,
}

/// Those of a plan. Where each controller has a tree of its own, that is possible.
pub(in crate::scenario) fn grouped(faults: &[Fault], load: Duration, shape: &FleetShape) -> Vec<Grouped> {
    let all: Vec<&Fault> = faults.iter().collect();
    let are_two = |one, other| match (one, other) {
        (Thing::Group(one), Thing::Group(other)) => one != other,
        _ => false,
    };
    let of = |Meeting { things, message, .. }| match things {
        [Thing::Group(one), Thing::Group(other)] => Some(Grouped { controllers: [one, other], message }),
        _ => None,
    };
    meetings(&all, load, shape, are_two).into_iter().filter_map(of).collect()
}

/// Rejects each of them.
pub(super) fn check(
    faults: &[(&Sited<At>, &Fault)],
    load: Duration,
    shape: &FleetShape,
    found: &mut Vec<Mistake>,
) {
    let all: Vec<&Fault> = faults.iter().map(|(_, fault)| *fault).collect();
    for clash in clashes(&all, load, shape) {
        faults[clash.fault].0.reject(found, clash.message, clash.thing.hint());
    }
}

/// A sentence for each of them that a rehearsal makes of faults that do not meet in the scenario itself.
pub(in crate::scenario) fn rehearsed(faults: &[Fault], load: Duration, shape: &FleetShape) -> Vec<String> {
    let all: Vec<&Fault> = faults.iter().collect();
    let note = |clash: Clash| {
        format!("in this rehearsal {}: what they show is not sure; lower --rehearse", clash.message)
    };
    clashes(&all, load, shape).into_iter().map(note).collect()
}
