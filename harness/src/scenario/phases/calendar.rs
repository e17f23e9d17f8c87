//! `[[phase]]` and `[[sprint]]`: what comes after what, and how long it takes.

use super::form::Names;
use super::keys::{NAME, TITLE};
use super::{entries, refer, refer_to, reject_duplicates};
use crate::scenario::cursor::{Fields, Sited};
use crate::scenario::form::{Name, Span};
use crate::scenario::mistake::Mistake;
use crate::scenario::table::{Key, Presence, Table};
use crate::scenario::unit::nanos;
use reports::gate::plan::{Phase, Sprint};
use std::time::Duration;

pub(super) static PHASE: Table = Table {
    name: "phase",
    definition: "Phase",
    says: "A part of the project that ends in a gate.",
    required: true,
    repeated: true,
    keys: &[&NAME, &TITLE, &AFTER],
    anew: None,
    rules: None,
};

pub(super) static SPRINT: Table = Table {
    name: "sprint",
    definition: "Sprint",
    says: "A piece of work of a phase.",
    required: false,
    repeated: true,
    keys: &[&NAME, &TITLE, &OF, &AFTER_SPRINTS, &TAKES, &OVERLAP],
    anew: None,
    rules: None,
};

static AFTER: Key<Names> = Key {
    name: "after",
    form: Names { example: "[\"phase-1\"]" },
    presence: Presence::Optional("none"),
    says: "Phases whose gates must be passed before this one opens.",
};

static OF: Key<Name> = Key {
    name: "phase",
    form: Name,
    presence: Presence::Required { example: "\"phase-1\"" },
    says: "The phase that it is part of.",
};

static AFTER_SPRINTS: Key<Names> = Key {
    name: "after",
    form: Names { example: "[\"sprint-1-1\"]" },
    presence: Presence::Optional("none: it begins with its phase"),
    says: "Sprints that come before it.",
};

static TAKES: Key<Span> = Key {
    name: "takes",
    form: Span::POSITIVE,
    presence: Presence::Required { example: "\"2w\"" },
    says: "How long it takes.",
};

static OVERLAP: Key<Span> = Key {
    name: "overlap",
    form: Span::ANY,
    presence: Presence::Optional("`\"0s\"`"),
    says: "How long before the end of those that come before it may begin.",
};

struct RawPhase {
    name: Sited<String>,
    title: Option<Sited<String>>,
    after: Option<Sited<Vec<String>>>,
}

struct RawSprint {
    name: Sited<String>,
    title: Option<Sited<String>>,
    phase: Option<Sited<String>>,
    after: Option<Sited<Vec<String>>>,
    takes: Option<Sited<Duration>>,
    overlap: Option<Sited<Duration>>,
}

pub(super) struct Calendar {
    phases: Vec<RawPhase>,
    sprints: Vec<RawSprint>,
}

pub(super) fn read(root: &Fields<'_>, found: &mut Vec<Mistake>) -> Calendar {
    let phases: Vec<RawPhase> = entries(root, &PHASE, found)
        .iter()
        .filter_map(|fields| {
            let (name, title) = (fields.value(&NAME, found), fields.value(&TITLE, found));
            let after = fields.value(&AFTER, found);
            Some(RawPhase { name: name?, title, after })
        })
        .collect();
    let sprints: Vec<RawSprint> = entries(root, &SPRINT, found)
        .iter()
        .filter_map(|fields| {
            let name = fields.value(&NAME, found);
            let raw = RawSprint {
                title: fields.value(&TITLE, found),
                phase: fields.value(&OF, found),
                after: fields.value(&AFTER_SPRINTS, found),
                takes: fields.value(&TAKES, found),
                overlap: fields.value(&OVERLAP, found),
                name: name?,
            };
            Some(raw)
        })
        .collect();
    let calendar = Calendar { phases, sprints };
    calendar.check(found);
    calendar
}

impl Calendar {
    pub(super) fn phase_names(&self) -> Vec<&str> {
        self.phases.iter().map(|phase| phase.name.value.as_str()).collect()
    }

    fn check(&self, found: &mut Vec<Mistake>) {
        reject_duplicates("phase", self.phases.iter().map(|phase| &phase.name), found);
        reject_duplicates("sprint", self.sprints.iter().map(|sprint| &sprint.name), found);
        let phases = self.phase_names();
        let sprints: Vec<&str> = self.sprints.iter().map(|sprint| sprint.name.value.as_str()).collect();
        for sprint in &self.sprints {
            if let Some(phase) = &sprint.phase {
                refer("phase", phase, &phases, found);
            }
        }
        let of_phases: Vec<Link<'_>> =
            self.phases.iter().map(|phase| (&phase.name, phase.after.as_ref())).collect();
        let of_sprints: Vec<Link<'_>> =
            self.sprints.iter().map(|sprint| (&sprint.name, sprint.after.as_ref())).collect();
        check_links("phase", &of_phases, &phases, found);
        check_links("sprint", &of_sprints, &sprints, found);
    }

    /// Phases that another one comes after.
    pub(super) fn awaited(&self) -> Vec<&Sited<String>> {
        let names = self.phases.iter().map(|phase| &phase.name);
        let is_awaited = |name: &&Sited<String>| {
            let mut after = self.phases.iter().filter_map(|later| later.after.as_ref());
            after.any(|after| after.value.contains(&name.value))
        };
        names.filter(is_awaited).collect()
    }

    pub(super) fn checked(self) -> (Vec<Phase>, Vec<Sprint>) {
        let names = |after: Option<Sited<Vec<String>>>| after.map(|at| at.value).unwrap_or_default();
        let phases = self.phases.into_iter().filter_map(|raw| {
            Some(Phase { name: raw.name.value, title: raw.title?.value, after: names(raw.after) })
        });
        let sprints = self.sprints.into_iter().filter_map(|raw| {
            Some(Sprint {
                name: raw.name.value,
                title: raw.title?.value,
                phase: raw.phase?.value,
                after: names(raw.after),
                takes_ns: nanos(raw.takes?.value),
                overlap_ns: raw.overlap.map_or(0, |at| nanos(at.value)),
            })
        });
        (phases.collect(), sprints.collect())
    }
}

/// A name, and what it comes after.
type Link<'a> = (&'a Sited<String>, Option<&'a Sited<Vec<String>>>);

/// Each name is known, and none comes after itself.
fn check_links(what: &str, links: &[Link<'_>], known: &[&str], found: &mut Vec<Mistake>) {
    for (name, after) in links {
        let Some(after) = after else { continue };
        for earlier in &after.value {
            refer_to(what, earlier, after, known, found);
        }
        if reaches(links, &name.value, &name.value, &mut Vec::new()) {
            after.reject(
                found,
                format!("the {what} `{}` comes after itself", name.value),
                "leave one of the names out of `after`",
            );
        }
    }
}

fn reaches<'a>(links: &[Link<'a>], from: &str, to: &str, seen: &mut Vec<&'a str>) -> bool {
    let after = links.iter().filter(|(name, _)| name.value == from).find_map(|(_, after)| *after);
    let Some(after) = after else { return false };
    after.value.iter().any(|earlier| {
        if earlier == to {
            return true;
        }
        if seen.contains(&earlier.as_str()) {
            return false;
        }
        seen.push(earlier);
        reaches(links, earlier, to, seen)
    })
}
