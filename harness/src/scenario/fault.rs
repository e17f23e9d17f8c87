//! `[[fault]]`: what is done to the fleet while it is under load, when, and to which of its processes.
//!
//! Every choice is made before the first fork: `calendar` resolves times and targets from the run's seed.

mod action;
mod calendar;
mod check;
mod choice;
mod form;
mod keys;
mod overlap;
mod rules;
mod words;

use super::cursor::{CHOOSE_ANOTHER, Fields, Given, NoEntries, Sited, reject_repeated_names};
use super::load::Load;
use super::mistake::Mistake;
use super::rehearsal::shorten;
use super::shm::Room;
use super::unit::duration_text;
use coordinator::config::FleetShape;
use reports::criterion::ANY_FAULT;
use reports::facts::STEADY_NS;
use reports::runlog::event::{FaultKind, FaultMoment};
use std::time::Duration;

pub use action::{Action, CallError, DiskFault, GroupLimit, Part, Resource, SegmentFault, ShmFault, Which};
pub use calendar::{Calendar, Firing, Hold};
use check::{beyond, check_one};
pub(super) use check::{check_count, injections};
pub(super) use choice::{At, Many};
pub(super) use form::{Moment, Share};
pub(super) use keys::FIRINGS_MAX;
use keys::{
    APART, AT, COUNT, CPUS, DELAY, DELAY_SHOWN, DIR, ERROR, EVERY, FILL, FOR, FaultRole, HOGS, KIND,
    MAY_MEET_NOTHING, MEMORY, MOMENT, NAME, NICE, NTH, PART, PICK, Pick, RATE, RESOURCE, ROLE, SHARE, SIZE,
    TIMES, TO, WITHIN, WORDS,
};
pub use overlap::Grouped;
pub(super) use overlap::{Thing, grouped, rehearsed as rehearsed_overlaps};
pub(super) use rules::TABLE;
pub use words::Overwrite;

/// In a rehearsal. Closer together, a storm would outrun the restarts that it is to test.
const REHEARSED_LEAST: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct RawFault {
    name: Option<Sited<String>>,
    kind: Option<Sited<FaultKind>>,
    role: Given<FaultRole>,
    count: Given<u32>,
    share: Given<f64>,
    pick: Given<Pick>,
    at: Option<Sited<At>>,
    moment: Given<FaultMoment>,
    within: Given<Duration>,
    every: Option<Sited<Duration>>,
    times: Option<Sited<u32>>,
    apart: Given<Duration>,
    lasts: Given<Duration>,
    resource: Given<Resource>,
    to: Given<u64>,
    size: Given<u64>,
    fill: Given<f64>,
    part: Given<Part>,
    words: Given<u32>,
    hogs: Given<u32>,
    nice: Given<u32>,
    memory: Given<u64>,
    dir: Given<String>,
    delay: Given<Duration>,
    error: Given<CallError>,
    rate: Given<f64>,
    nth: Given<u32>,
    cpus: Given<f64>,
    may_meet_nothing: Given<bool>,
}

impl RawFault {
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.value.as_str())
    }

    pub(super) fn is_of_shm(&self) -> bool {
        self.kind.as_ref().is_some_and(|kind| kind.value.is_of_shm())
    }
}

/// A declared fault; its times and targets are not chosen yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    name: String,
    action: Action,
    /// Nothing if it is not done to processes.
    role: Option<FaultRole>,
    many: Many,
    pick: Pick,
    at: At,
    hold: Option<Hold>,
    every: Option<Duration>,
    times: Option<u32>,
    apart: Duration,
    lasts: Option<Duration>,
    /// Of a fault on a disk, if not the directory of the run.
    dir: Option<String>,
    may_meet_nothing: bool,
}

impl Fault {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn action(&self) -> Action {
        self.action
    }

    /// The directory that it is done to; of a fault on a disk alone. Without a name it is that of the run.
    pub fn covers(&self) -> Option<Option<&str>> {
        self.action.kind().is_of_disk().then_some(self.dir.as_deref())
    }

    /// `SIGKILL to 3 of 10 coordinators at once`.
    fn words(&self, shape: &FleetShape) -> String {
        let lasts = self.lasts.map(|lasts| format!(" for {}", duration_text(lasts))).unwrap_or_default();
        let when = self.hold.map(|hold| format!(", {}", hold.words())).unwrap_or_default();
        let place = match self.covers() {
            None => String::new(),
            Some(None) => " under the run's directory".to_owned(),
            Some(Some(dir)) => format!(" under {dir}"),
        };
        let Some(role) = self.role else { return format!("{}{place}{lasts}{when}", self.action.words()) };
        let all = self.all(shape);
        let many = self.many.of(all);
        let role = match (role, all) {
            (FaultRole::Supervisor, _) => {
                return format!("{}{lasts} to the supervisor{when}", self.action.words());
            }
            (FaultRole::Coordinator, 1) => "coordinator",
            (FaultRole::Coordinator, _) => "coordinators",
            (FaultRole::Worker, 1) => "worker",
            (FaultRole::Worker, _) => "workers",
        };
        let how = match (many, self.apart) {
            (1, _) => String::new(),
            (_, Duration::ZERO) => " at once".to_owned(),
            (_, apart) => format!(", one every {}", duration_text(apart)),
        };
        format!("{}{lasts} to {many} of {all} {role}{how}{when}", self.action.words())
    }

    fn all(&self, shape: &FleetShape) -> u32 {
        match self.role {
            None => 0,
            Some(FaultRole::Supervisor) => 1,
            Some(FaultRole::Coordinator) => shape.coordinators(),
            Some(FaultRole::Worker) => shape.coordinators() * shape.workers_per_coordinator(),
        }
    }

    fn starts(&self, load: Duration) -> Duration {
        self.at.in_load(load)
    }

    /// Of a rehearsal that is `factor` times as fast.
    pub(super) fn compress(&mut self, factor: f64, notes: &mut Vec<String>) {
        let path = |key: &str| format!("fault.{}.{key}", self.name);
        if let At::After(at) = self.at {
            self.at = At::After(at.div_f64(factor));
        }
        self.every = self.every.map(|every| shorten(every, factor, REHEARSED_LEAST, &path("every"), notes));
        // A call that is to take longer has to have the time for it.
        let least = match self.action {
            Action::Disk(DiskFault::Slow(delay)) => REHEARSED_LEAST.max(delay + DELAY_SHOWN),
            _ => REHEARSED_LEAST,
        };
        self.lasts = self.lasts.map(|lasts| shorten(lasts, factor, least, &path("for"), notes));
        self.apart = self.apart.div_f64(factor);
    }
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Vec<RawFault> {
    let entries = match root.entries(&TABLE, found) {
        Ok(entries) => entries,
        Err(NoEntries::Absent | NoEntries::Rejected) => return Vec::new(),
    };
    let one = |fields: &Fields<'_>| RawFault {
        name: fields.value(&NAME, found),
        kind: fields.value(&KIND, found),
        role: fields.given(&ROLE, found),
        count: fields.given(&COUNT, found),
        share: fields.given(&SHARE, found),
        pick: fields.given(&PICK, found),
        at: fields.value(&AT, found),
        moment: fields.given(&MOMENT, found),
        within: fields.given(&WITHIN, found),
        every: fields.value(&EVERY, found),
        times: fields.value(&TIMES, found),
        apart: fields.given(&APART, found),
        lasts: fields.given(&FOR, found),
        resource: fields.given(&RESOURCE, found),
        to: fields.given(&TO, found),
        size: fields.given(&SIZE, found),
        fill: fields.given(&FILL, found),
        part: fields.given(&PART, found),
        words: fields.given(&WORDS, found),
        hogs: fields.given(&HOGS, found),
        nice: fields.given(&NICE, found),
        memory: fields.given(&MEMORY, found),
        dir: fields.given(&DIR, found),
        delay: fields.given(&DELAY, found),
        error: fields.given(&ERROR, found),
        rate: fields.given(&RATE, found),
        nth: fields.given(&NTH, found),
        cpus: fields.given(&CPUS, found),
        may_meet_nothing: fields.given(&MAY_MEET_NOTHING, found),
    };
    entries.iter().map(one).collect()
}

/// The fleet that faults are done to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) shape: &'a FleetShape,
    /// Of its file system, if that is the run's own.
    pub(super) room: Option<Room>,
    /// Whether it outlives its supervisor.
    pub(super) adopts: bool,
}

/// Against each other, the load and the fleet.
pub(super) fn check(
    raw: Vec<RawFault>,
    load: Option<&Load>,
    fleet: Option<Of<'_>>,
    found: &mut Vec<Mistake>,
) -> Vec<Fault> {
    let names = raw.iter().filter_map(|fault| fault.name.as_ref());
    for name in names.clone().filter(|name| name.value == ANY_FAULT) {
        let message = format!("`{}`: `{ANY_FAULT}` means all faults of a scenario together", name.path);
        name.reject(found, message, CHOOSE_ANOTHER);
    }
    reject_repeated_names("fault", names, |_| CHOOSE_ANOTHER.to_owned(), found);
    let sites: Vec<Option<Sited<At>>> = raw.iter().map(|fault| fault.at.clone()).collect();
    let mistakes = found.len();
    let faults: Vec<Option<Fault>> =
        raw.into_iter().map(|fault| check_one(fault, load, fleet, found)).collect();
    if let (Some(load), Some(fleet)) = (load, fleet) {
        let sited = sites.iter().zip(&faults);
        let sited: Vec<_> = sited.filter_map(|(at, fault)| Some((at.as_ref()?, fault.as_ref()?))).collect();
        match beyond(&sited, load.duration(), fleet.shape) {
            // Which of them meet is found injection by injection.
            None => overlap::check(&sited, load.duration(), fleet.shape, found),
            Some(mistake) if found.len() == mistakes => found.push(mistake),
            // One of them has too many by itself.
            Some(_) => {}
        }
    }
    faults.into_iter().flatten().collect()
}

/// Whether coordinators are to die while a fault lasts.
fn meets_a_death(fault: usize, faults: &[Fault], calendar: &Calendar) -> bool {
    let ends = |firing: &&Firing| {
        let of = &faults[firing.fault];
        of.action.kind().ends_targets() && of.role == Some(FaultRole::Coordinator)
    };
    let deaths: Vec<Duration> = calendar.firings().iter().filter(ends).map(|firing| firing.at).collect();
    let mut own = calendar.firings().iter().filter(|firing| firing.fault == fault);
    own.any(|own| deaths.iter().any(|death| (own.at..own.ends()).contains(death)))
}

/// What a reader should know: recovery is judged by what follows, and what is destroyed cannot be read.
pub(super) fn notes(faults: &[Fault], calendar: &Calendar, load: Duration) -> Vec<String> {
    let steady = Duration::from_nanos(STEADY_NS);
    let mut notes = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let name = &fault.name;
        if fault.action.is_final() {
            notes.push(format!(
                "the fault `{name}` destroys the ledger of a coordinator, which does not come back: the run is INCONCLUSIVE at best, and recovery from it has no value"
            ));
            continue;
        }
        if fault.action.kind().is_of_calls() && !meets_a_death(index, faults, calendar) {
            notes.push(format!(
                "no coordinator is killed while the fault `{name}` lasts: a fleet that has its memory mapped makes hardly a call that could fail"
            ));
        }
        let firings = calendar.firings().iter().filter(|firing| firing.fault == index);
        let Some(last) = firings.map(Firing::ends).max().filter(|last| *last + steady > load) else {
            continue;
        };
        let (last, load, steady) = (duration_text(last), duration_text(load), duration_text(steady));
        notes.push(format!(
            "the fault `{name}` ends {last} after the start of the load, which takes {load}: recovery from it cannot be judged, since that needs {steady} of load after it"
        ));
    }
    notes
}
