//! `[[evidence]]`: what a gate asks for. Runs of a scenario, or a file of another program.

use super::form::{Hash, Selected, SomeNames};
use super::keys::{NAME, OF, SAYS};
use super::{entries, place, refer, reject_duplicates};
use crate::scenario::Source as File;
use crate::scenario::cursor::{Fields, Given, Sited};
use crate::scenario::form::{Count, Line, Name, Span, Text, Word, Words};
use crate::scenario::mistake::{Mistake, Origin};
use crate::scenario::table::{Key, Presence, Preset, Table};
use crate::scenario::unit::nanos;
use reports::criterion::CriterionError;
use reports::gate::ask::Asked;
use reports::gate::plan::{Evidence, Format, OutsideFile, Quorum, Runs, Select, Source, Whose};

pub(super) static EVIDENCE: Table = Table {
    name: "evidence",
    definition: "Evidence",
    says: "One thing that a gate asks for: runs of a scenario, or a file of another program.",
    required: true,
    repeated: true,
    keys: &[
        &NAME,
        &OF,
        &SAYS,
        &FRESH,
        &SCENARIO,
        &SHA256,
        &PROFILE,
        &RUNS,
        &SELECT,
        &HOST,
        &BUILD,
        &ENVIRONMENTS,
        &ENVIRONMENTS_CONDITIONAL,
        &SIGNED_BY,
        &CRITERIA,
        &FILE,
        &FORMAT,
        &ABOUT,
        &PASS,
        &CONDITIONAL,
        &COMMAND,
        &TAKES,
    ],
    anew: None,
    rules: None,
};

static FRESH: Key<Span> = Key {
    name: "fresh",
    form: Span::POSITIVE,
    presence: Presence::Optional("its age does not matter"),
    says: "How old it may be. All runs in that time count.",
};

pub(super) static SCENARIO: Key<Text> = Key {
    name: "scenario",
    form: Text {
        words: "path of a scenario file, from the directory of this one",
        examples: &["load-500.toml"],
    },
    presence: Presence::Optional("the evidence is a `file`"),
    says: "The scenario whose runs are asked for, as its file stands.",
};

pub(super) static SHA256: Key<Hash> = Key {
    name: "sha256",
    form: Hash,
    presence: Presence::Optional("the file as it stands"),
    says: "The SHA-256 of the scenario's text, with what it extends, as `harness plan FILE --json` prints it and `harness phases --pin` writes it. Neither the file nor a run may have another.",
};

static PROFILE: Key<Name> = Key {
    name: "profile",
    form: Name,
    presence: Presence::Optional("the file as it stands"),
    says: "The profile that the runs must have.",
};

static RUNS: Key<Count> = Key {
    name: "runs",
    form: Count { max: 1000, things: "runs that are asked for" },
    presence: Presence::Default(Preset::Count(1)),
    says: "At least so many; with `environments`, in each of them.",
};

static SELECT: Key<Selected> = Key {
    name: "select",
    form: Selected,
    presence: Presence::Optional("`\"all\"`"),
    says: "Which runs count of those that may. The worst of them decides.",
};

static WHOSE_HOST: &[Word<Whose>] =
    &[Word { text: "any", value: Whose::Any, says: "" }, Word { text: "this", value: Whose::This, says: "" }];

static HOST: Key<Words<Whose>> = Key {
    name: "host",
    form: Words { definition: "Whose", words: WHOSE_HOST },
    presence: Presence::Optional("`\"any\"`"),
    says: "Whether runs of hosts with another fingerprint than the one that decides count.",
};

static BUILD: Key<Words<Whose>> = Key {
    name: "build",
    form: Words { definition: "Whose", words: WHOSE_HOST },
    presence: Presence::Optional("`\"any\"`"),
    says: "Whether runs of builds of another commit than the one that decides count, or a statement that is for another.",
};

static ENVIRONMENTS: Key<Count> = Key {
    name: "environments",
    form: Count { max: 20, things: "environments in which it has to work" },
    presence: Presence::Optional("one is enough"),
    says: "In how many environments it has to work.",
};

static ENVIRONMENTS_CONDITIONAL: Key<Count> = Key {
    name: "environments_conditional",
    form: Count { max: 20, things: "environments that are enough for CONDITIONAL" },
    presence: Presence::Optional("fewer than `environments` fail"),
    says: "In how many environments it has to work for CONDITIONAL or PIVOT.",
};

static SIGNED_BY: Key<SomeNames> = Key {
    name: "signed_by",
    form: SomeNames { example: "[\"keys/ci.pub.pem\"]" },
    presence: Presence::Optional("no signature is asked for"),
    says: "Public keys in PEM, from the directory of this file. A run counts only if it is in a seal that one of them has signed, a statement only if one of them has signed it.",
};

pub(super) static CRITERIA: Key<SomeNames> = Key {
    name: "criteria",
    form: SomeNames { example: "[\"delivery-seed\"]" },
    presence: Presence::Optional("all"),
    says: "The criteria of the scenario that the gate asks. If another fails, there is no PASS, but CONDITIONAL.",
};

static FILE: Key<Text> = Key {
    name: "file",
    form: Text { words: "path of a file", examples: &["target/coverage/lcov.info"] },
    presence: Presence::Optional("the evidence is runs of a `scenario`"),
    says: "The file that another program writes, from the working directory.",
};

static FORMAT: Key<Words<Format>> = Key {
    name: "format",
    form: Words {
        definition: "Format",
        words: &[
            Word { text: "lcov", value: Format::Lcov, says: "a tracefile of lcov" },
            Word { text: "llvm-cov", value: Format::LlvmCov, says: "the output of `cargo llvm-cov --json`" },
            Word { text: "junit", value: Format::Junit, says: "JUnit XML" },
            Word {
                text: "cargo-deny",
                value: Format::CargoDeny,
                says: "the output of `cargo deny --format json check`",
            },
            Word {
                text: "cargo-audit",
                value: Format::CargoAudit,
                says: "the output of `cargo audit --json`",
            },
            Word {
                text: "comparison",
                value: Format::Comparison,
                says: "the output of `harness compare --json`",
            },
            Word { text: "statement", value: Format::Statement, says: "a text with name, date and approval" },
        ],
    },
    presence: Presence::RequiredBy { example: "\"lcov\"", who: "`file`" },
    says: "What the file is.",
};

static ABOUT: Key<Text> = Key {
    name: "about",
    form: Text {
        words: "path of a scenario file, from the directory of this one",
        examples: &["load-500.toml"],
    },
    presence: Presence::Optional("no scenario"),
    says: "The scenario that a statement must be about, as its file stands.",
};

static PASS: Key<Text> = Key {
    name: "pass",
    form: Text { words: "criterion", examples: &["coverage.lines >= 75%"] },
    presence: Presence::RequiredBy { example: "\"coverage.lines >= 75%\"", who: "`file`" },
    says: "What a figure of the file must hold.",
};

static CONDITIONAL: Key<Text> = Key {
    name: "conditional",
    form: Text { words: "criterion", examples: &["coverage.lines >= 70%"] },
    presence: Presence::Optional("what does not pass fails"),
    says: "What is enough for CONDITIONAL or PIVOT.",
};

static COMMAND: Key<Line> = Key {
    name: "command",
    form: Line { max: 400, hint: "write the command line that makes the file" },
    presence: Presence::RequiredBy { example: "\"cargo xtask coverage\"", who: "`file`" },
    says: "The command line that makes the file, for a shell. `{runs}` in it is the directory of the runs.",
};

static TAKES: Key<Span> = Key {
    name: "takes",
    form: Span::POSITIVE,
    presence: Presence::Optional("not known"),
    says: "How long that takes.",
};

/// A piece of evidence, and where it says of which gate it is.
pub(super) struct Read {
    pub(super) gate: Sited<String>,
    pub(super) evidence: Evidence,
}

pub(super) fn read(root: &Fields<'_>, source: &File, gates: &[&str], found: &mut Vec<Mistake>) -> Vec<Read> {
    let (mut all, mut names) = (Vec::new(), Vec::new());
    for fields in entries(root, &EVIDENCE, found) {
        let (name, gate) = (fields.value(&NAME, found), fields.value(&OF, found));
        if let Some(gate) = &gate {
            refer("gate", gate, gates, found);
        }
        let says = fields.value(&SAYS, found);
        let fresh = fields.value(&FRESH, found);
        let body = body(&fields, source, found);
        if let (Some(name), Some(gate), Some(says), Some(body)) = (name, gate, says, body) {
            let evidence = Evidence {
                name: name.value.clone(),
                says: says.value,
                fresh_ns: fresh.map(|at| nanos(at.value)),
                source: body,
                place: place(name.origin, source),
            };
            names.push((gate.value.clone(), name));
            all.push(Read { gate, evidence });
        }
    }
    for gate in gates {
        reject_duplicates("evidence", names.iter().filter(|(of, _)| of == gate).map(|(_, name)| name), found);
    }
    all
}

fn body(fields: &Fields<'_>, source: &File, found: &mut Vec<Mistake>) -> Option<Source> {
    let scenario = fields.given(&SCENARIO, found);
    let file = fields.given(&FILE, found);
    match (scenario.is_absent(), file.is_absent()) {
        (false, true) => runs(fields, scenario, found),
        (true, false) => outside(fields, file, source, found),
        (false, false) => {
            let origin = file.key.unwrap_or(Origin::CommandLine);
            found.push(Mistake::new(
                origin,
                "the evidence is of a `scenario` and of a `file`",
                "make two of it",
            ));
            None
        }
        (true, true) if scenario.is_misspelt() || file.is_misspelt() => None,
        (true, true) => {
            scenario.require("the evidence asks for nothing", ", or `file = …`", found);
            None
        }
    }
}

/// Refuses the keys that the other kind of evidence has.
fn refuse(fields: &Fields<'_>, keys: &[&'static str], kind: &str, found: &mut Vec<Mistake>) {
    for key in keys {
        if let Some((_, origin)) = fields.node(key) {
            let message = format!("`{key}` has no meaning for evidence that is {kind}");
            found.push(Mistake::new(origin, message, "leave it out"));
        }
    }
}

fn runs(fields: &Fields<'_>, scenario: Given<String>, found: &mut Vec<Mistake>) -> Option<Source> {
    let of_files = ["format", "about", "pass", "conditional", "command", "takes"];
    refuse(fields, &of_files, "runs of a scenario", found);
    let sha256 = fields.value(&SHA256, found);
    let profile = fields.value(&PROFILE, found);
    let runs = fields.value(&RUNS, found).map_or(1, |at| at.value);
    let select = fields.value(&SELECT, found);
    let host = fields.value(&HOST, found).map_or(Whose::Any, |at| at.value);
    let build = fields.value(&BUILD, found).map_or(Whose::Any, |at| at.value);
    let pass = fields.value(&ENVIRONMENTS, found);
    let fewer = fields.value(&ENVIRONMENTS_CONDITIONAL, found);
    let signed_by = fields.value(&SIGNED_BY, found).map(|at| at.value).unwrap_or_default();
    let criteria = fields.value(&CRITERIA, found).map(|at| at.value).unwrap_or_default();
    if let Some(select) = &select
        && let Select::Latest(latest) = select.value
        && latest < runs
    {
        let hint = format!("write \"latest {runs}\", or ask for fewer runs");
        select.reject(found, format!("only the latest {latest} count, and {runs} runs are asked for"), hint);
    }
    if let Some(fewer) = &fewer
        && pass.as_ref().is_none_or(|pass| fewer.value >= pass.value)
    {
        let message = "`environments_conditional` must be less than `environments`";
        fewer.reject(found, message, "lower it, or write how many environments a PASS takes");
    }
    Some(Source::Runs(Runs {
        scenario: scenario.value?.value,
        sha256: sha256.map(|at| at.value),
        profile: profile.map(|at| at.value),
        runs,
        select: select.map_or(Select::All, |at| at.value),
        host,
        build,
        environments: pass.map(|pass| Quorum { pass: pass.value, conditional: fewer.map(|at| at.value) }),
        signed_by,
        criteria,
    }))
}

fn outside(
    fields: &Fields<'_>,
    file: Given<String>,
    source: &File,
    found: &mut Vec<Mistake>,
) -> Option<Source> {
    let of_runs = [
        "sha256",
        "profile",
        "runs",
        "select",
        "host",
        "environments",
        "environments_conditional",
        "criteria",
    ];
    refuse(fields, &of_runs, "a file", found);
    let format = fields.given(&FORMAT, found);
    if format.value.as_ref().is_some_and(|format| format.value != Format::Statement) {
        refuse(fields, &["build", "about", "signed_by"], "a file other than a statement", found);
    }
    let build = fields.value(&BUILD, found).map_or(Whose::Any, |at| at.value);
    let about = fields.value(&ABOUT, found);
    let signed_by = fields.value(&SIGNED_BY, found).map(|at| at.value).unwrap_or_default();
    let pass = fields.given(&PASS, found);
    let command = fields.given(&COMMAND, found);
    format.require("a file has one", "", found);
    pass.require("it says what the file must show", "", found);
    command.require("a gate names the command that makes what is missing", "", found);
    let conditional = fields.value(&CONDITIONAL, found);
    let takes = fields.value(&TAKES, found);
    let format = format.value?.value;
    let pass = asked(&pass.value?, format, source, found);
    let weaker = conditional.as_ref().and_then(|text| asked(text, format, source, found));
    let pass = pass?;
    if let (Some(text), Some(weaker)) = (&conditional, &weaker)
        && !weaker.is_weaker_than(&pass)
    {
        let hint = "give it the same figure with a weaker threshold, or leave it out";
        text.reject(found, format!("`conditional` is not weaker than `pass` (`{pass}`)"), hint);
    }
    Some(Source::File(OutsideFile {
        path: file.value?.value,
        format,
        build,
        about: about.map(|at| at.value),
        signed_by,
        pass,
        conditional: weaker,
        command: command.value?.value,
        takes_ns: takes.map(|at| nanos(at.value)),
    }))
}

fn asked(text: &Sited<String>, format: Format, source: &File, found: &mut Vec<Mistake>) -> Option<Asked> {
    match Asked::parse(&text.value, format) {
        Ok(asked) => Some(asked),
        Err(CriterionError { span, message, hint, .. }) => {
            let origin = within(text.origin, &text.value, span, source);
            found.push(Mistake::new(origin, format!("`{}`: {message}", text.path), hint.unwrap_or_default()));
            None
        }
    }
}

/// The part of a string that is wrong, if the string stands in the file as it reads.
fn within(origin: Origin, value: &str, span: std::ops::Range<usize>, source: &File) -> Origin {
    let Origin::File { start, end } = origin else { return origin };
    let is_plain = source.text.get(start + 1..end.saturating_sub(1)) == Some(value);
    if is_plain { Origin::File { start: start + 1 + span.start, end: start + 1 + span.end } } else { origin }
}
