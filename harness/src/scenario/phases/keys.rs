//! Keys that several tables of a plan have.

use crate::scenario::form::{Line, Name};
use crate::scenario::table::{Key, Presence};

pub(super) static NAME: Key<Name> = Key {
    name: "name",
    form: Name,
    presence: Presence::Required { example: "\"phase-1\"" },
    says: "What other tables and command lines call it.",
};

pub(super) static TITLE: Key<Line> = Key {
    name: "title",
    form: Line { max: 120, hint: "write a few words" },
    presence: Presence::Required { example: "\"Foundation\"" },
    says: "What documents call it.",
};

/// Of evidence, waivers, risks and options.
pub(super) static OF: Key<Name> = Key {
    name: "gate",
    form: Name,
    presence: Presence::Required { example: "\"gate-1\"" },
    says: "The gate that it belongs to.",
};

pub(super) const fn line(name: &'static str, example: &'static str, says: &'static str) -> Key<Line> {
    let form = Line { max: 400, hint: "write a sentence" };
    Key { name, form, presence: Presence::Required { example }, says }
}

pub(super) static SAYS: Key<Line> = line("says", "\"…\"", "What it is, in a sentence.");
