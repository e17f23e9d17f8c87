//! `kind = "saboteur"`: workers that have a defect, so that a scenario, and what judges it, can prove that it is noticed.
//!
//! Without its defect a saboteur's task is an echo that takes a while. Which workers have the defect is drawn from the run's
//! seed; a worker knows by its place whether it is one of them, whichever of them gets a task.

#[cfg(test)]
mod tests;

use crate::scenario::cursor::{Fields, Given, Sited};
use crate::scenario::fault::{At, Many, Moment, Share};
use crate::scenario::form::{Count, Factor, Size, Span, Word, Words};
use crate::scenario::load::Load;
use crate::scenario::mistake::{Mistake, Origin};
use crate::scenario::pattern::NOTHING;
use crate::scenario::rule::{when, without};
use crate::scenario::table::{AnyKey, Key, Presence, Preset};
use crate::scenario::unit::{bytes_text, duration_text, nanos};
use coordinator::config::{FleetShape, PAYLOAD_MAX};
use coordinator::wire::sabotage::{
    Defect, LEAK_BYTES_MAX, LEAK_DESCRIPTORS_MAX, Per, SABOTAGE_LEN, Sabotage, lot,
};
use serde_json::{Value as Json, json};
use std::time::Duration;

const COUNT_MAX: u32 = 1 << 20;
/// A task carries what is wrong with it as well.
pub(super) const PAYLOAD_BYTES_MAX: u32 = PAYLOAD_MAX - SABOTAGE_LEN as u32;

pub(super) static DEFECT: Key<Words<Defect>> = Key {
    name: "defect",
    form: Words {
        definition: "Defect",
        words: &[
            Word {
                text: "leak-memory",
                value: Defect::LeakMemory,
                says: "the worker keeps `bytes` for each task or hour",
            },
            Word {
                text: "leak-descriptors",
                value: Defect::LeakDescriptors,
                says: "it keeps `descriptors` open for each task or hour",
            },
            Word { text: "slow", value: Defect::Slow, says: "a task takes it `factor` times its `time`" },
            Word { text: "hang", value: Defect::Hang, says: "it shows no progress any more" },
            Word {
                text: "ignore-stop",
                value: Defect::IgnoreStop,
                says: "it ends neither at SIGTERM nor when its coordinator asks",
            },
            Word {
                text: "answer-late",
                value: Defect::AnswerLate,
                says: "it answers `late` after the deadline of the task",
            },
            Word { text: "answer-wrong", value: Defect::AnswerWrong, says: "a byte of its answer is wrong" },
            Word { text: "answer-twice", value: Defect::AnswerTwice, says: "it answers a second time" },
            Word {
                text: "answer-for-another",
                value: Defect::AnswerForAnother,
                says: "it answers the next task instead",
            },
            Word { text: "no-answer", value: Defect::NoAnswer, says: "it does the task and does not answer" },
            Word { text: "crash", value: Defect::Crash, says: "it is killed with the task in hand" },
            Word {
                text: "leave-orphan",
                value: Defect::LeaveOrphan,
                says: "it leaves a process behind that runs for `lives`",
            },
        ],
    },
    presence: Presence::RequiredBy { example: "\"hang\"", who: "`kind = \"saboteur\"`" },
    says: "Saboteur: what is wrong with the worker.",
};

pub(super) static PER: Key<Words<Per>> = Key {
    name: "per",
    form: Words {
        definition: "DefectPer",
        words: &[
            Word { text: "task", value: Per::Task, says: "" },
            Word { text: "hour", value: Per::Hour, says: "" },
        ],
    },
    presence: Presence::Optional("`\"task\"`"),
    says: "Saboteur: what a worker leaks so much for. A task of a slow worker takes `factor` times as long at once, or after an hour, and goes on to grow.",
};

pub(super) static BYTES: Key<Size> = Key {
    name: "bytes",
    form: Size { least: 1, most: 1 << 31 },
    presence: Presence::RequiredBy { example: "\"1MiB\"", who: "`defect = \"leak-memory\"`" },
    says: "Saboteur: how much a worker leaks; for a task, up to 1GiB.",
};

pub(super) static DESCRIPTORS: Key<Count> = Key {
    name: "descriptors",
    form: Count { max: COUNT_MAX, things: "descriptors that a worker leaks" },
    presence: Presence::RequiredBy { example: "1", who: "`defect = \"leak-descriptors\"`" },
    says: "Saboteur: how many a worker leaks; for a task, up to 65536.",
};

pub(super) static FACTOR: Key<Factor> = Key {
    name: "factor",
    form: Factor,
    presence: Presence::RequiredBy { example: "\"2x\"", who: "`defect = \"slow\"`" },
    says: "Saboteur: how much longer a task takes.",
};

pub(super) static LATE: Key<Span> = Key {
    name: "late",
    form: Span::POSITIVE,
    presence: Presence::RequiredBy { example: "\"100ms\"", who: "`defect = \"answer-late\"`" },
    says: "Saboteur: from the deadline of the task to the answer.",
};

pub(super) static LIVES: Key<Span> = Key {
    name: "lives",
    form: Span { least: Duration::from_secs(1), instead: "a process that ends at once is not an orphan" },
    presence: Presence::RequiredBy { example: "\"1m\"", who: "`defect = \"leave-orphan\"`" },
    says: "Saboteur: how long an orphan runs, in whole seconds.",
};

pub(super) static NTH: Key<Count> = Key {
    name: "nth",
    form: Count { max: 1_000_000_000, things: "tasks of a worker of which the last is affected" },
    presence: Presence::Default(Preset::Count(1)),
    says: "Saboteur: only every n-th task of a worker process is affected.",
};

pub(super) static COUNT: Key<Count> = Key {
    name: "count",
    form: Count { max: COUNT_MAX, things: "workers that have the defect" },
    presence: Presence::Optional("all"),
    says: "Saboteur: in so many workers, drawn from the run's seed.",
};

pub(super) static SHARE: Key<Share> = Key {
    name: "share",
    form: Share,
    presence: Presence::Optional("all"),
    says: "Saboteur: instead of `count`, in so many of all workers, rounded up.",
};

pub(super) static FROM: Key<Moment> = Key {
    name: "from",
    form: Moment,
    presence: Presence::Optional("the start of the run, warm-up included"),
    says: "Saboteur: when the defect begins, after the start of the load.",
};

pub(super) static UNTIL: Key<Moment> = Key {
    name: "until",
    form: Moment,
    presence: Presence::Optional("the end of the load"),
    says: "Saboteur: when it ends. What has been leaked stays.",
};

// As the keys say it.
const _: () = assert!(LEAK_BYTES_MAX == 1 << 30 && LEAK_DESCRIPTORS_MAX == 65536);

/// Besides `payload` and `time`.
pub(super) static KEYS: [&dyn AnyKey; 12] =
    [&DEFECT, &PER, &BYTES, &DESCRIPTORS, &FACTOR, &LATE, &LIVES, &NTH, &COUNT, &SHARE, &FROM, &UNTIL];

/// Keys of single defects.
const OF_DEFECTS: [&str; 6] = [PER.name, BYTES.name, DESCRIPTORS.name, FACTOR.name, LATE.name, LIVES.name];

/// The key without which a defect says nothing, and whether it is for a task or an hour.
fn amount_of(defect: Defect) -> Option<(&'static str, bool)> {
    match defect {
        Defect::LeakMemory => Some((BYTES.name, true)),
        Defect::LeakDescriptors => Some((DESCRIPTORS.name, true)),
        Defect::Slow => Some((FACTOR.name, true)),
        Defect::AnswerLate => Some((LATE.name, false)),
        Defect::LeaveOrphan => Some((LIVES.name, false)),
        Defect::None
        | Defect::Hang
        | Defect::IgnoreStop
        | Defect::AnswerWrong
        | Defect::AnswerTwice
        | Defect::AnswerForAnother
        | Defect::NoAnswer
        | Defect::Crash => None,
    }
}

fn is_of(key: &str, defect: Defect) -> bool {
    amount_of(defect).is_some_and(|(amount, per)| key == amount || per && key == PER.name)
}

pub(super) fn rules(time: &str) -> Vec<Json> {
    let of = |word: &Word<Defect>| {
        let foreign: Vec<&str> = OF_DEFECTS.into_iter().filter(|key| !is_of(key, word.value)).collect();
        let mut then = without(&foreign);
        let mut needed: Vec<&str> = amount_of(word.value).map(|(amount, _)| amount).into_iter().collect();
        needed.extend((word.value == Defect::Slow).then_some(time));
        then["required"] = json!(needed);
        when(DEFECT.name, &json!(word.text), &then)
    };
    let one = json!({ "if": { "required": [SHARE.name] }, "then": without(&[COUNT.name]) });
    let never = json!({ "properties": { UNTIL.name: { "not": { "type": "string", "pattern": NOTHING } } } });
    DEFECT.form.words.iter().map(of).chain([one, never]).collect()
}

fn name(defect: Defect) -> &'static str {
    DEFECT.form.words.iter().find(|word| word.value == defect).map_or("", |word| word.text)
}

#[derive(Debug)]
pub(super) struct RawSaboteur {
    defect: Given<Defect>,
    per: Given<Per>,
    bytes: Given<u64>,
    descriptors: Given<u32>,
    factor: Given<u64>,
    late: Given<Duration>,
    lives: Given<Duration>,
    nth: Option<Sited<u32>>,
    count: Given<u32>,
    share: Given<f64>,
    from: Option<Sited<At>>,
    until: Option<Sited<At>>,
}

pub(super) fn read(fields: &Fields<'_>, found: &mut Vec<Mistake>) -> RawSaboteur {
    RawSaboteur {
        defect: fields.given(&DEFECT, found),
        per: fields.given(&PER, found),
        bytes: fields.given(&BYTES, found),
        descriptors: fields.given(&DESCRIPTORS, found),
        factor: fields.given(&FACTOR, found),
        late: fields.given(&LATE, found),
        lives: fields.given(&LIVES, found),
        nth: fields.value(&NTH, found),
        count: fields.given(&COUNT, found),
        share: fields.given(&SHARE, found),
        from: fields.value(&FROM, found),
        until: fields.value(&UNTIL, found),
    }
}

/// What a saboteur's task is: an echo that takes a while, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Saboteur {
    payload_bytes: u32,
    time: Duration,
    defect: Defect,
    per: Per,
    amount: u64,
    nth: u32,
    /// All if absent.
    many: Option<Many>,
    from: Option<At>,
    until: Option<At>,
}

/// `time` is how long a task takes without the defect.
pub(super) fn check(
    raw: RawSaboteur,
    path: &str,
    time: &Given<Duration>,
    load: Option<&Load>,
    found: &mut Vec<Mistake>,
) -> Option<Saboteur> {
    raw.defect.require("", "", found);
    let defect = raw.defect.value.as_ref()?.value;
    raw.check_keys(defect, path, found);
    raw.reject_too_much(found);
    raw.reject_fraction(found);
    if defect == Defect::Slow {
        time.require("a slow worker takes a multiple of it", "", found);
    }
    if let (Some(count), Some(_)) = (&raw.count.value, &raw.share.value) {
        let message = format!("`{}` and `share` both say how many", count.path);
        count.reject(found, message, "leave one of them out");
    }
    let amount = raw.amount(defect)?;
    let (from, until) = (raw.from.as_ref().map(|at| at.value), raw.until.as_ref().map(|at| at.value));
    if let Some(load) = load.map(Load::duration) {
        let begins = from.map_or(Duration::ZERO, |from| from.in_load(load));
        let late = raw.until.as_ref().filter(|until| until.value.in_load(load) <= begins);
        let late = late.or(raw.from.as_ref().filter(|_| begins >= load));
        if let Some(at) = late {
            let message = format!("`{}`: the defect would never be there", at.path);
            at.reject(found, message, "let it begin before it ends, and before the load does");
        }
    }
    let share = raw.share.value.as_ref().map(|share| Many::Share(share.value));
    Some(Saboteur {
        payload_bytes: 0,
        time: time.value.as_ref().map(|time| time.value).unwrap_or_default(),
        defect,
        per: raw.per.value.as_ref().map_or(Per::Task, |per| per.value),
        amount,
        nth: raw.nth.map_or(1, |nth| nth.value),
        many: share.or(raw.count.value.as_ref().map(|count| Many::Count(count.value))),
        from,
        until,
    })
}

impl RawSaboteur {
    /// Of workers that have the defect.
    pub(super) fn count(&self) -> Option<&Sited<u32>> {
        self.count.value.as_ref()
    }

    /// An orphan runs for whole seconds.
    fn reject_fraction(&self, found: &mut Vec<Mistake>) {
        let Some(lives) = self.lives.value.as_ref().filter(|lives| lives.value.subsec_nanos() > 0) else {
            return;
        };
        let message = format!(
            "`{}` is {}, and an orphan runs for whole seconds",
            lives.path,
            duration_text(lives.value)
        );
        let next = Duration::from_secs(lives.value.as_secs() + 1);
        lives.reject(found, message, format!("write \"{}\"", duration_text(next)));
    }

    fn check_keys(&self, defect: Defect, path: &str, found: &mut Vec<Mistake>) {
        let keys: [(&str, Option<Origin>); 6] = [
            (PER.name, self.per.key),
            (BYTES.name, self.bytes.key),
            (DESCRIPTORS.name, self.descriptors.key),
            (FACTOR.name, self.factor.key),
            (LATE.name, self.late.key),
            (LIVES.name, self.lives.key),
        ];
        for (key, origin) in keys {
            if let Some(origin) = origin.filter(|_| !is_of(key, defect)) {
                let message = format!("`{path}.{key}` does not apply to defect \"{}\"", name(defect));
                found.push(Mistake::new(origin, message, "leave it out"));
            }
        }
        let needs = format!("the defect \"{}\" needs it", name(defect));
        match defect {
            Defect::LeakMemory => self.bytes.require(&needs, "", found),
            Defect::LeakDescriptors => self.descriptors.require(&needs, "", found),
            Defect::Slow => self.factor.require(&needs, "", found),
            Defect::AnswerLate => self.late.require(&needs, "", found),
            Defect::LeaveOrphan => self.lives.require(&needs, "", found),
            _ => {}
        }
    }

    /// More than a worker leaks for one task would be taken and cut. What it leaks for an hour it leaks little by little.
    fn reject_too_much(&self, found: &mut Vec<Mistake>) {
        if self.per.value.as_ref().is_some_and(|per| per.value == Per::Hour) {
            return;
        }
        if let Some(at) = self.bytes.value.as_ref().filter(|at| at.value > LEAK_BYTES_MAX.into()) {
            let most = bytes_text(LEAK_BYTES_MAX.into());
            let message = format!("`{}`: a worker leaks at most {most} for a task", at.path);
            at.reject(found, message, "write less, or `per = \"hour\"`");
        }
        if let Some(at) = self.descriptors.value.as_ref().filter(|at| at.value > LEAK_DESCRIPTORS_MAX) {
            let message = format!(
                "`{}`: a worker leaks at most {LEAK_DESCRIPTORS_MAX} descriptors for a task",
                at.path
            );
            at.reject(found, message, "write fewer, or `per = \"hour\"`");
        }
    }

    /// As [`Sabotage::amount`]; absent if it is missing.
    fn amount(&self, defect: Defect) -> Option<u64> {
        match defect {
            Defect::LeakMemory => self.bytes.value.as_ref().map(|at| at.value),
            Defect::LeakDescriptors => self.descriptors.value.as_ref().map(|at| at.value.into()),
            Defect::Slow => self.factor.value.as_ref().map(|at| at.value),
            Defect::AnswerLate => self.late.value.as_ref().map(|at| nanos(at.value)),
            Defect::LeaveOrphan => self.lives.value.as_ref().map(|at| at.value.as_secs()),
            _ => Some(0),
        }
    }
}

/// What tasks ask for in a run: the workers are chosen, and the times are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plotted {
    sabotage: Sabotage,
    /// After the start of the load.
    from: Option<Duration>,
    until: Option<Duration>,
}

impl Plotted {
    /// Of a task that is sent so long after the start of the load; `None` before it.
    pub fn at(&self, after: Option<Duration>) -> Sabotage {
        let begun = self.from.is_none_or(|from| after.is_some_and(|after| after >= from));
        let over = self.until.is_some_and(|until| after.is_some_and(|after| after >= until));
        if begun && !over { self.sabotage } else { Sabotage { defect: Defect::None as u32, ..self.sabotage } }
    }
}

impl Saboteur {
    pub(super) fn with_payload(self, payload_bytes: u32) -> Self {
        Self { payload_bytes, ..self }
    }

    pub fn payload_bytes(&self) -> u32 {
        self.payload_bytes
    }

    /// How long a task takes without the defect, and at least with it.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Bytes of a task.
    pub(super) fn bytes(&self) -> u32 {
        self.payload_bytes.saturating_add(SABOTAGE_LEN as u32)
    }

    /// With the workers chosen that have the defect.
    pub fn plot(&self, shape: &FleetShape, load: Duration, seed: u64) -> Plotted {
        let workers = shape.workers_per_coordinator();
        let mut lots: Vec<u64> =
            (0..shape.coordinators()).flat_map(|c| (0..workers).map(move |w| lot(seed, c, w))).collect();
        lots.sort_unstable();
        let lot_most = self.many.map_or(u64::MAX, |many| {
            let count = many.of(u32::try_from(lots.len()).unwrap_or(u32::MAX));
            lots.get((count as usize).saturating_sub(1)).copied().unwrap_or(u64::MAX)
        });
        let sabotage = Sabotage {
            every: self.nth,
            time_ns: nanos(self.time),
            seed,
            lot_most,
            ..Sabotage::new(self.defect, self.per, self.amount)
        };
        let at = |at: Option<At>| at.map(|at| at.in_load(load));
        Plotted { sabotage, from: at(self.from), until: at(self.until) }
    }

    /// Of a rehearsal that is `factor` times as fast.
    pub(super) fn compress(&mut self, factor: f64) {
        for at in [&mut self.from, &mut self.until].into_iter().flatten() {
            if let At::After(after) = at {
                *after = after.div_f64(factor);
            }
        }
    }

    /// `saboteur, leak-memory 1 MiB an hour, in 3 workers, from 10s`.
    pub(super) fn words(&self) -> String {
        let amount = match self.defect {
            Defect::LeakMemory => format!(" {}", bytes_text(self.amount)),
            Defect::LeakDescriptors => format!(" {}", self.amount),
            Defect::Slow => format!(" {}x", self.amount as f64 / 1e3),
            Defect::AnswerLate => format!(" by {}", duration_text(Duration::from_nanos(self.amount))),
            Defect::LeaveOrphan => format!(" for {}", duration_text(Duration::from_secs(self.amount))),
            _ => String::new(),
        };
        let per = match (amount_of(self.defect), self.per) {
            (Some((_, true)), Per::Hour) => " an hour",
            (Some((_, true)), Per::Task) => " a task",
            _ => "",
        };
        let nth = if self.nth > 1 { format!(", 1 in {} tasks", self.nth) } else { String::new() };
        let many = match self.many {
            None => String::new(),
            Some(Many::Count(1)) => ", in 1 worker".to_owned(),
            Some(Many::Count(count)) => format!(", in {count} workers"),
            Some(Many::Share(share)) => format!(", in {} % of the workers", share * 100.0),
        };
        let when = |word: &str, at: Option<At>| at.map(|at| format!(", {word} {at}")).unwrap_or_default();
        format!(
            "saboteur, {}{amount}{per}{nth}{many}{}{}",
            name(self.defect),
            when("from", self.from),
            when("until", self.until)
        )
    }
}
