//! A fault's keys against each other, the load and the fleet.

use super::{Action, At, FIRINGS_MAX, FOR, Fault, Many, Pick, RESOURCE, RawFault, TO};
use crate::scenario::cursor::Sited;
use crate::scenario::load::Load;
use crate::scenario::mistake::{Mistake, Origin};
use crate::scenario::unit::duration_text;
use coordinator::config::FleetShape;
use reports::runlog::event::FaultKind;
use std::time::Duration;

pub(super) fn check_one(
    raw: RawFault,
    load: Option<&Load>,
    shape: Option<&FleetShape>,
    found: &mut Vec<Mistake>,
) -> Option<Fault> {
    let kind = raw.kind.as_ref()?.value;
    let action = check_action(&raw, kind, found);
    if let (Some(count), Some(_)) = (&raw.count, &raw.share) {
        let message = format!("`{}` and `share` both say how many", count.path);
        count.reject(found, message, "leave one of them out");
    }
    if let (Some(times), None) = (&raw.times, &raw.every) {
        let message = format!("`{}` needs a pace", times.path);
        times.reject(found, message, "write `every = \"5s\"` beside it");
    }
    let many = match (&raw.share, &raw.count) {
        (Some(share), _) => Many::Share(share.value),
        (None, count) => Many::Count(count.as_ref().map_or(1, |count| count.value)),
    };
    let fault = Fault {
        name: raw.name?.value,
        action: action?,
        role: raw.role?.value,
        many,
        pick: raw.pick.map_or(Pick::Random, |pick| pick.value),
        at: raw.at.as_ref()?.value,
        every: raw.every.as_ref().map(|every| every.value),
        times: raw.times.as_ref().map(|times| times.value),
        apart: raw.apart.map_or(Duration::ZERO, |apart| apart.value),
        lasts: raw.lasts.value.map(|lasts| lasts.value).filter(|_| kind.is_healed()),
    };
    if let (Some(count), Some(shape)) = (&raw.count, shape) {
        let all = fault.all(shape);
        if count.value > all {
            let message = format!("`{}` is {}, and the fleet has {all} of them", count.path, count.value);
            count.reject(found, message, "write a smaller number, or `share = \"100%\"`");
        }
    }
    check_times(&fault, raw.at.as_ref()?, load?.duration(), shape?, found);
    Some(fault)
}

fn check_action(raw: &RawFault, kind: FaultKind, found: &mut Vec<Mistake>) -> Option<Action> {
    let needs = format!("`kind = \"{}\"` needs it", kind.name());
    let mut refuse = |key: Option<Origin>, name: &str| {
        if let Some(origin) = key {
            let message = format!("`fault.{name}` does not apply to `kind = \"{}\"`", kind.name());
            found.push(Mistake::new(origin, message, "leave it out"));
        }
    };
    match kind {
        FaultKind::Kill => {
            refuse(raw.lasts.key, FOR.name);
            refuse(raw.resource.key, RESOURCE.name);
            refuse(raw.to.key, TO.name);
            Some(Action::Kill)
        }
        FaultKind::Pause => {
            refuse(raw.resource.key, RESOURCE.name);
            refuse(raw.to.key, TO.name);
            raw.lasts.require(&needs, "", found);
            raw.lasts.value.as_ref()?;
            Some(Action::Pause)
        }
        FaultKind::Limit => {
            raw.lasts.require(&needs, "", found);
            raw.resource.require(&needs, "", found);
            raw.to.require(&needs, "", found);
            raw.lasts.value.as_ref()?;
            Some(Action::Limit {
                resource: raw.resource.value.as_ref()?.value,
                to: raw.to.value.as_ref()?.value,
            })
        }
    }
}

fn check_times(fault: &Fault, at: &Sited<At>, load: Duration, shape: &FleetShape, found: &mut Vec<Mistake>) {
    let starts = fault.starts(load);
    let longest =
        fault.apart * (fault.many.of(fault.all(shape)).saturating_sub(1)) + fault.lasts.unwrap_or_default();
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
        if every < longest {
            let message = format!(
                "`{}`: one injection lasts {}, and the next follows after {}",
                at.path,
                duration_text(longest),
                duration_text(every)
            );
            at.reject(found, message, "lengthen `every`");
        }
    }
}
