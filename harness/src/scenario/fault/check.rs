//! A fault's keys against each other, the load and the fleet.

use super::calendar::{DRAWN_MAX, times};
use super::keys::{
    APART, COUNT, CPUS, CPUS_MAX, DELAY, DELAY_MAX, DELAY_SHOWN, DIR, ERROR, FILL, FIRINGS_MAX, FOR,
    FaultRole, HOGS, MAY_MEET_NOTHING, MEMORY, NICE, NTH, PART, PICK, PIDS_MAX, Pick, RATE, RATE_MIN,
    RESOURCE, ROLE, SHARE, SIZE, TO, WITHIN_DEFAULT, WORDS,
};
use super::{
    Action, At, DiskFault, Fault, GroupLimit, Hold, Many, Of, Part, RawFault, SegmentFault, ShmFault, Which,
};
use crate::scenario::cursor::Sited;
use crate::scenario::load::Load;
use crate::scenario::mistake::Mistake;
use crate::scenario::shm::{Room, reject_too_small};
use crate::scenario::unit::{bytes_text, duration_text};
use coordinator::config::FleetShape;
use reports::runlog::event::{FaultKind, FaultMoment};
use std::time::Duration;

pub(super) fn check_one(
    raw: RawFault,
    load: Option<&Load>,
    fleet: Option<Of<'_>>,
    found: &mut Vec<Mistake>,
) -> Option<Fault> {
    let kind = raw.kind.as_ref()?.value;
    refuse_what_does_not_apply(&raw, kind, found);
    let action = check_action(&raw, kind, found);
    if let (Some(count), Some(_)) = (&raw.count.value, &raw.share.value) {
        let message = format!("`{}` and `share` both say how many", count.path);
        count.reject(found, message, "leave one of them out");
    }
    if let (Some(times), None) = (&raw.times, &raw.every) {
        let message = format!("`{}` needs a pace", times.path);
        times.reject(found, message, "write `every = \"5s\"` beside it");
    }
    let many = many(&raw);
    let role = raw.role.value.as_ref().map(|role| role.value).filter(|_| kind.has_targets());
    if role.is_none() && kind.has_targets() {
        return None;
    }
    if let Some(at) = &raw.role.value {
        check_role(at, kind, fleet, found);
    }
    let hold = check_moment(&raw, kind, found);
    let fault = Fault {
        name: raw.name?.value,
        action: action?,
        role,
        many,
        pick: raw.pick.value.map_or(Pick::Random, |pick| pick.value),
        at: raw.at.as_ref()?.value,
        hold,
        every: raw.every.as_ref().map(|every| every.value),
        times: raw.times.as_ref().map(|times| times.value),
        apart: raw.apart.value.map(|apart| apart.value).filter(|_| role.is_some()).unwrap_or_default(),
        lasts: raw.lasts.value.map(|lasts| lasts.value).filter(|_| kind.is_healed()),
        may_meet_nothing: raw.may_meet_nothing.value.is_some_and(|flag| flag.value),
        dir: raw.dir.value.map(|dir| dir.value).filter(|_| kind.is_of_disk()),
    };
    let Of { shape, room, .. } = fleet?;
    if let Some(count) = raw.count.value.as_ref().filter(|_| fault.role.is_some()) {
        check_count(count, fault.all(shape), found);
    }
    if let Some(size) = raw.size.value.as_ref().filter(|_| kind == FaultKind::ShmLimit) {
        check_size(size, shape, room, found);
    }
    let mistakes = found.len();
    check_times(&fault, raw.at.as_ref()?, load?.duration(), shape, found);
    // Where the times are wrong, the number of injections is.
    if found.len() == mistakes {
        check_drawn(&fault, raw.at.as_ref()?, load?.duration(), shape, found);
    }
    Some(fault)
}

fn check_role(at: &Sited<FaultRole>, kind: FaultKind, fleet: Option<Of<'_>>, found: &mut Vec<Mistake>) {
    if at.value == FaultRole::Supervisor {
        check_supervisor(at, kind, fleet, found);
    }
    if kind.is_of_segments() && at.value != FaultRole::Coordinator {
        let message = format!("`{}`: only a coordinator has a region, which its workers share", at.path);
        at.reject(found, message, "write `role = \"coordinator\"`");
    }
}

/// A moment that its targets can be at.
fn check_moment(raw: &RawFault, kind: FaultKind, found: &mut Vec<Mistake>) -> Option<Hold> {
    let Some(moment) = &raw.moment.value else {
        if let Some(within) = &raw.within.value {
            let message = format!("`{}` needs something to wait for", within.path);
            within.reject(found, message, "write `moment = \"mid-round\"` beside it, or leave it out");
        }
        return None;
    };
    let is_supervisor = raw.role.value.as_ref().is_some_and(|role| role.value == FaultRole::Supervisor);
    if moment.value == FaultMoment::TaskInFlight && (is_supervisor || !kind.has_targets()) {
        let what = if is_supervisor { "a supervisor".to_owned() } else { format!("`{}`", kind.name()) };
        let message = format!("`{}`: {what} has no workers with tasks", moment.path);
        moment.reject(found, message, "write `moment = \"mid-round\"`");
    }
    let within = raw.within.value.as_ref().map_or(WITHIN_DEFAULT, |within| within.value);
    Some(Hold { moment: moment.value, within })
}

fn many(raw: &RawFault) -> Many {
    match (&raw.share.value, &raw.count.value) {
        (Some(share), _) => Many::Share(share.value),
        (None, count) => Many::Count(count.as_ref().map_or(1, |count| count.value)),
    }
}

/// No more than there are.
pub(in crate::scenario) fn check_count(count: &Sited<u32>, all: u32, found: &mut Vec<Mistake>) {
    if count.value > all {
        let message = format!("`{}` is {}, and the fleet has {all} of them", count.path, count.value);
        count.reject(found, message, "write a smaller number, or `share = \"100%\"`");
    }
}

/// A fleet that ends during its load is lost, also if that was asked for.
fn check_supervisor(at: &Sited<FaultRole>, kind: FaultKind, fleet: Option<Of<'_>>, found: &mut Vec<Mistake>) {
    let others = format!("{} coordinators or workers", kind.name());
    match kind {
        FaultKind::Kill | FaultKind::Oom if fleet.is_some_and(|fleet| !fleet.adopts) => {
            let message = format!("`{}`: the fleet ends with its supervisor", at.path);
            let hint = "write `on_supervisor_death = \"adopt\"` under [fleet], or";
            at.reject(found, message, format!("{hint} {others}"));
        }
        FaultKind::Stop => {
            let message = format!("`{}`: a supervisor that is asked to end ends its fleet", at.path);
            at.reject(found, message, others);
        }
        _ => {}
    }
}

/// A remount refuses what is below the present use; one to the same size does nothing.
fn check_size(size: &Sited<u64>, shape: &FleetShape, room: Option<Room>, found: &mut Vec<Mistake>) {
    if size.value < shape.shm_bytes() {
        return reject_too_small(size, shape, found);
    }
    if let Some(room) = room.filter(|room| size.value >= room.bytes) {
        let message = format!(
            "`{}` is {}, and /dev/shm has {} already",
            size.path,
            bytes_text(size.value),
            bytes_text(room.bytes)
        );
        size.reject(found, message, "write a smaller size, or a larger `shm.size`");
    }
}

fn refuse_what_does_not_apply(raw: &RawFault, kind: FaultKind, found: &mut Vec<Mistake>) {
    let has_targets = kind.has_targets();
    let is_limit = kind == FaultKind::Limit;
    for (key, name, applies) in [
        (raw.role.key, ROLE.name, has_targets),
        (raw.count.key, COUNT.name, has_targets),
        (raw.share.key, SHARE.name, has_targets),
        (raw.pick.key, PICK.name, has_targets),
        (raw.apart.key, APART.name, has_targets),
        (raw.lasts.key, FOR.name, kind.is_healed()),
        (raw.resource.key, RESOURCE.name, is_limit),
        (raw.to.key, TO.name, is_limit || matches!(kind, FaultKind::Cpus | FaultKind::CgroupPids)),
        (raw.size.key, SIZE.name, kind == FaultKind::ShmLimit),
        (raw.fill.key, FILL.name, kind == FaultKind::ShmFill),
        (raw.part.key, PART.name, kind == FaultKind::SegmentScribble),
        (raw.hogs.key, HOGS.name, kind == FaultKind::CpuHogs),
        (raw.nice.key, NICE.name, kind == FaultKind::CpuHogs),
        (raw.memory.key, MEMORY.name, matches!(kind, FaultKind::Memory | FaultKind::CgroupMemory)),
        (raw.cpus.key, CPUS.name, kind == FaultKind::CgroupCpu),
        (raw.words.key, WORDS.name, kind == FaultKind::SegmentScribble),
        (raw.dir.key, DIR.name, kind.is_of_disk()),
        (raw.delay.key, DELAY.name, kind == FaultKind::DiskSlow),
        (raw.error.key, ERROR.name, has_which(kind)),
        (raw.rate.key, RATE.name, has_which(kind)),
        (raw.nth.key, NTH.name, has_which(kind)),
        (raw.may_meet_nothing.key, MAY_MEET_NOTHING.name, kind.is_counted()),
    ] {
        if let Some(origin) = key.filter(|_| !applies) {
            let message = format!("`fault.{name}` does not apply to `kind = \"{}\"`", kind.name());
            found.push(Mistake::new(origin, message, "leave it out"));
        }
    }
}

fn check_cpus(to: &Sited<u64>, found: &mut Vec<Mistake>) -> Option<u32> {
    let count = u32::try_from(to.value).ok().filter(|count| (1..=CPUS_MAX).contains(count));
    if count.is_none() {
        let message =
            format!("`{}` is {}, and a process runs on 1 to {CPUS_MAX} processors", to.path, to.value);
        to.reject(found, message, "such as 1");
    }
    count
}

/// Which calls fail: a share of them, or every n-th.
fn check_which(raw: &RawFault, needs: &str, found: &mut Vec<Mistake>) -> Option<Which> {
    match (&raw.rate.value, &raw.nth.value) {
        (Some(rate), Some(_)) => {
            let message = format!("`{}` and `nth` both say which calls fail", rate.path);
            rate.reject(found, message, "leave one of them out");
            None
        }
        (Some(rate), None) if rate.value < RATE_MIN => {
            let message = format!("`{}` is less than {} %, and may hit no call", rate.path, RATE_MIN * 100.0);
            rate.reject(found, message, "write a share from \"1%\" to \"100%\"");
            None
        }
        (Some(rate), None) => Some(Which::Rate(rate.value)),
        (None, Some(nth)) => Some(Which::Nth(nth.value)),
        (None, None) => {
            // One that cannot be read is a mistake already.
            if raw.rate.key.is_none() && raw.nth.key.is_none() {
                raw.rate.require(needs, ", or `nth = 3`", found);
            }
            None
        }
    }
}

fn check_pids(to: &Sited<u64>, found: &mut Vec<Mistake>) -> Option<u64> {
    let fits = (1..=PIDS_MAX).contains(&to.value);
    if !fits {
        let message = format!(
            "`{}` is {}, and a control group has room for 1 to {PIDS_MAX} processes",
            to.path, to.value
        );
        to.reject(found, message, "such as 16");
    }
    fits.then_some(to.value)
}

/// What the kind needs beside its targets and its time.
fn require_own(raw: &RawFault, kind: FaultKind, needs: &str, found: &mut Vec<Mistake>) {
    match kind {
        FaultKind::Limit => {
            raw.resource.require(needs, "", found);
            raw.to.require(needs, "", found);
        }
        FaultKind::Cpus | FaultKind::CgroupPids => raw.to.require(needs, "", found),
        FaultKind::ShmLimit => raw.size.require(needs, "", found),
        FaultKind::ShmFill => raw.fill.require(needs, "", found),
        FaultKind::CpuHogs => raw.hogs.require(needs, "", found),
        FaultKind::Memory | FaultKind::CgroupMemory => raw.memory.require(needs, "", found),
        FaultKind::ShmErrors | FaultKind::DiskFail => raw.error.require(needs, "", found),
        FaultKind::DiskSlow => raw.delay.require(needs, "", found),
        FaultKind::CgroupCpu => raw.cpus.require(needs, "", found),
        FaultKind::Kill
        | FaultKind::Stop
        | FaultKind::Pause
        | FaultKind::Oom
        | FaultKind::ShmInodes
        | FaultKind::ShmReadOnly
        | FaultKind::SegmentUnlink
        | FaultKind::SegmentTruncate
        | FaultKind::SegmentScribble
        | FaultKind::DiskFull => {}
    }
}

/// Kinds that make some calls fail.
fn has_which(kind: FaultKind) -> bool {
    kind.is_of_calls() || kind == FaultKind::DiskFail
}

/// A probe has to see it within the time of a proof.
fn check_slow(raw: &RawFault, found: &mut Vec<Mistake>) -> Option<DiskFault> {
    let delay = raw.delay.value.as_ref()?;
    if delay.value > DELAY_MAX {
        let (is, most) = (duration_text(delay.value), duration_text(DELAY_MAX));
        let message =
            format!("`{}` is {is}, and a call can be shown to take up to {most} longer", delay.path);
        delay.reject(found, message, format!("write at most `\"{most}\"`"));
    }
    let needed = delay.value + DELAY_SHOWN;
    if let Some(lasts) = raw.lasts.value.as_ref().filter(|lasts| lasts.value < needed) {
        let (is, needed) = (duration_text(lasts.value), duration_text(needed));
        let message = format!("`{}` is {is}, and it takes {needed} to show the fault", lasts.path);
        lasts.reject(found, message, format!("write at least `\"{needed}\"`, or a shorter `delay`"));
    }
    Some(DiskFault::Slow(delay.value))
}

fn check_action(raw: &RawFault, kind: FaultKind, found: &mut Vec<Mistake>) -> Option<Action> {
    let needs = format!("`kind = \"{}\"` needs it", kind.name());
    if kind.has_targets() {
        raw.role.require(&needs, "", found);
    }
    if kind.is_healed() {
        raw.lasts.require(&needs, "", found);
    }
    require_own(raw, kind, &needs, found);
    let which = has_which(kind).then(|| check_which(raw, &needs, found)).flatten();
    let is_timed = !kind.is_healed() || raw.lasts.value.is_some();
    is_timed.then_some(match kind {
        FaultKind::Kill => Action::Kill,
        FaultKind::Stop => Action::Stop,
        FaultKind::Pause => Action::Pause,
        FaultKind::Limit => {
            Action::Limit { resource: raw.resource.value.as_ref()?.value, to: raw.to.value.as_ref()?.value }
        }
        FaultKind::Cpus => Action::Cpus { to: check_cpus(raw.to.value.as_ref()?, found)? },
        FaultKind::ShmLimit => Action::Shm(ShmFault::Limit(raw.size.value.as_ref()?.value)),
        FaultKind::ShmFill => Action::Shm(ShmFault::Fill(raw.fill.value.as_ref()?.value)),
        FaultKind::ShmInodes => Action::Shm(ShmFault::Inodes),
        FaultKind::ShmReadOnly => Action::Shm(ShmFault::ReadOnly),
        FaultKind::ShmErrors => Action::ShmErrors { error: raw.error.value.as_ref()?.value, which: which? },
        FaultKind::CpuHogs => Action::CpuHogs {
            hogs: raw.hogs.value.as_ref()?.value,
            nice: raw.nice.value.as_ref().map_or(0, |nice| nice.value),
        },
        FaultKind::DiskSlow => Action::Disk(check_slow(raw, found)?),
        FaultKind::DiskFail => {
            Action::Disk(DiskFault::Fail { error: raw.error.value.as_ref()?.value, calls: which? })
        }
        FaultKind::DiskFull => Action::Disk(DiskFault::Full),
        FaultKind::Memory => Action::Memory { bytes: raw.memory.value.as_ref()?.value },
        FaultKind::CgroupMemory => Action::Group(GroupLimit::Memory(raw.memory.value.as_ref()?.value)),
        FaultKind::CgroupCpu => Action::Group(GroupLimit::Cpu(raw.cpus.value.as_ref()?.value)),
        FaultKind::CgroupPids => Action::Group(GroupLimit::Pids(check_pids(raw.to.value.as_ref()?, found)?)),
        FaultKind::Oom => Action::Oom,
        FaultKind::SegmentUnlink => Action::Segment(SegmentFault::Unlink),
        FaultKind::SegmentTruncate => Action::Segment(SegmentFault::Truncate),
        FaultKind::SegmentScribble => Action::Segment(SegmentFault::Scribble {
            part: raw.part.value.as_ref().map_or(Part::Table, |part| part.value),
            words: raw.words.value.as_ref().map_or(1, |words| words.value),
        }),
    })
}

/// What a calendar holds of a fault: how many targets or words, and which of them it is.
fn drawn(fault: &Fault, load: Duration, shape: &FleetShape) -> (u64, &'static str) {
    let firings = u64::from(times(fault, load));
    let targets = u64::from(fault.many.of(fault.all(shape)));
    let (words, what) = match fault.action {
        Action::Segment(SegmentFault::Scribble { words, .. }) => (u64::from(words), "words"),
        _ => (1, "processes"),
    };
    (firings.saturating_mul(targets).saturating_mul(words), what)
}

/// What a calendar holds of a fault has a bound.
fn check_drawn(fault: &Fault, at: &Sited<At>, load: Duration, shape: &FleetShape, found: &mut Vec<Mistake>) {
    let (drawn, what) = drawn(fault, load, shape);
    if drawn > DRAWN_MAX {
        let message = format!("the fault `{}` would be done to {drawn} {what} in all", fault.name);
        let hint = match what {
            "words" => "write fewer `words`, a smaller `count` or `times`, or a longer `every`",
            _ => "write a smaller `count` or `times`, or a longer `every`",
        };
        at.reject(found, message, format!("at most {DRAWN_MAX}: {hint}"));
    }
}

/// How often faults are injected in all; one target after the other, each time for itself.
pub(in crate::scenario) fn injections(faults: &[Fault], shape: &FleetShape, load: Duration) -> u64 {
    faults.iter().fold(0, |all, fault| all.saturating_add(firings(fault, shape, load)))
}

fn firings(fault: &Fault, shape: &FleetShape, load: Duration) -> u64 {
    let steps = if fault.apart.is_zero() { 1 } else { fault.many.of(fault.all(shape)) };
    u64::from(times(fault, load)) * u64::from(steps)
}

/// What a calendar holds of all of them has the same bounds as what it holds of one: the first with which it is too much.
pub(super) fn beyond(faults: &[(&Sited<At>, &Fault)], load: Duration, shape: &FleetShape) -> Option<Mistake> {
    let (mut injected, mut done) = (0_u64, 0_u64);
    for (at, fault) in faults {
        injected = injected.saturating_add(firings(fault, shape, load));
        done = done.saturating_add(drawn(fault, load, shape).0);
        let (what, most) = if injected > u64::from(FIRINGS_MAX) {
            (format!("injected {injected} times"), u64::from(FIRINGS_MAX))
        } else if done > DRAWN_MAX {
            (format!("done to {done} processes or words"), DRAWN_MAX)
        } else {
            continue;
        };
        let message = format!("`{}`: together with those before it, this fault would be {what}", at.path);
        let hint = format!("at most {most} in all: write fewer faults, smaller `times`, or a longer `every`");
        return Some(Mistake::new(at.origin, message, hint));
    }
    None
}

/// Out of control groups.
const MOVED_BACK_WITHIN: Duration = Duration::from_millis(500);

fn check_times(fault: &Fault, at: &Sited<At>, load: Duration, shape: &FleetShape, found: &mut Vec<Mistake>) {
    let starts = fault.starts(load);
    let held = fault.hold.map(|hold| hold.within).unwrap_or_default();
    let longest = (fault.apart * (fault.many.of(fault.all(shape)).saturating_sub(1)))
        .saturating_add(held)
        .saturating_add(fault.lasts.unwrap_or_default());
    let again = match (fault.every, fault.times) {
        (Some(every), Some(times)) => every.saturating_mul(times.saturating_sub(1)),
        _ => Duration::ZERO,
    };
    let ends = starts.saturating_add(again).saturating_add(longest);
    if ends >= load {
        let message = format!(
            "`{}`: the fault would last until {} after the start of the load, and the load takes {}",
            at.path,
            duration_text(ends),
            duration_text(load)
        );
        at.reject(found, message, "begin earlier, or lengthen `load.duration`");
    }
    if let Some(every) = fault.every {
        let firings = load.saturating_sub(starts).as_nanos() / every.as_nanos().max(1);
        if fault.times.is_none() && firings > u128::from(FIRINGS_MAX) {
            let message = format!("`{}` would be injected {firings} times", at.path);
            at.reject(found, message, format!("at most {FIRINGS_MAX}: write `times`, or a longer `every`"));
        }
        // Moving many processes back takes its time, and the next move must not begin in the middle of it.
        let moves = fault.lasts.is_some() && fault.action.kind().is_of_groups();
        let apart = if moves { MOVED_BACK_WITHIN } else { Duration::ZERO };
        if every < longest.saturating_add(apart) {
            let back = || format!(", then its processes are moved back within {}", duration_text(apart));
            let moved = moves.then(back).unwrap_or_default();
            let message = format!(
                "`{}`: one injection lasts {}{moved}, and the next follows after {}",
                at.path,
                duration_text(longest),
                duration_text(every)
            );
            let hint = if fault.hold.is_some() {
                "lengthen `every`, or shorten `within`"
            } else {
                "lengthen `every`"
            };
            at.reject(found, message, hint);
        }
    }
}
