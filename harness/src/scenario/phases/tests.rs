//! The plan of the project is read, and mistakes are all found at once.

use super::*;
use std::collections::BTreeMap;

fn committed() -> String {
    include_str!("../../../../scenarios/phases.toml").to_owned()
}

fn said(text: &str) -> String {
    parse(&Source::new("phases.toml", text)).map_or_else(|found| found.to_string(), |_| String::new())
}

#[test]
fn the_plan_of_the_project_is_sound() {
    let plan =
        parse(&Source::new("scenarios/phases.toml", committed())).unwrap_or_else(|found| panic!("{found}"));
    let gates: Vec<&str> = plan.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(gates, ["sprint-0", "gate-1", "gate-2", "gate-3", "gate-4"]);
    assert!(plan.gates.iter().all(|gate| gate.risks.len() == 3), "the plan has three risks a phase");
    assert_eq!(plan.gate("sprint-0").unwrap().options.len(), 4);
    assert_eq!(plan.chain(plan.gate("gate-4").unwrap()).len(), 5);
}

#[test]
fn every_mistake_of_a_plan_is_found_with_its_place_and_a_hint() {
    let text = committed()
        .replacen("title = \"Fleets", "titel = \"Fleets", 1)
        .replacen("after = [\"sprint-0\"]", "after = [\"sprint-o\"]", 1)
        .replacen("gate = \"gate-1\"", "gate = \"gate-11\"", 1)
        .replacen("outcomes = \"go\"", "outcomes = \"goo\"", 1)
        .replacen("environments_conditional = 1", "environments_conditional = 3", 1)
        .replacen("select = \"latest 3\"", "select = \"latest 2\"", 1)
        .replacen("coverage.lines >= 70%", "coverage.lines >= 77%", 1)
        .replacen("advisories == 0", "advisory == 0", 1)
        .replacen("conditional_from = \"80%\"", "conditional_from = \"180%\"", 1);
    let said = said(&text);
    for (message, hint) in [
        ("`titel` is not a key of this file", "title"),
        ("there is no phase `sprint-o`", "did you mean `sprint-0`?"),
        ("there is no gate `gate-11`", "did you mean `gate-1`?"),
        ("cannot be \"goo\"", "did you mean \"go\"?"),
        ("`environments_conditional` must be less", "lower it"),
        ("only the latest 2 count, and 3 runs are asked for", "write \"latest 3\""),
        ("`conditional` is not weaker than `pass`", "weaker threshold"),
        ("there is no figure `advisory`", "did you mean `advisories`?"),
        ("cannot be \"180%\"", "between 0% and 100%"),
    ] {
        let block = said
            .split("\n\n")
            .find(|block| block.contains(message))
            .unwrap_or_else(|| panic!("{message}: {said}"));
        assert!(block.contains(hint) && block.contains("at phases.toml:"), "{block}");
    }
}

#[test]
fn nothing_comes_after_itself_and_no_gate_is_empty() {
    let circle =
        committed().replacen("title = \"Critical validation\"", "title = \"x\"\nafter = [\"phase-4\"]", 1);
    assert!(said(&circle).contains("the phase `sprint-0` comes after itself"), "{}", said(&circle));
    let empty = committed().replace("gate = \"gate-3\"", "gate = \"gate-2\"");
    assert!(said(&empty).contains("the gate `gate-3` asks for no evidence"), "{}", said(&empty));
    let twice =
        committed().replacen("phase = \"phase-3\"\nrequirements", "phase = \"phase-2\"\nrequirements", 1);
    assert!(said(&twice).contains("the phase `phase-2` ends in `gate-2` already"), "{}", said(&twice));
    assert!(said(&twice).contains("the phase `phase-3` has no gate"), "{}", said(&twice));
}

#[test]
fn evidence_is_runs_or_a_file_and_never_both() {
    let both = committed().replacen(
        "file = \"target/deny.json\"",
        "scenario = \"smoke.toml\"\nfile = \"target/deny.json\"",
        1,
    );
    assert!(said(&both).contains("of a `scenario` and of a `file`"), "{}", said(&both));
    let neither = committed().replacen("file = \"target/deny.json\"\n", "", 1);
    assert!(said(&neither).contains("asks for nothing"), "{}", said(&neither));
    let mixed =
        committed().replacen("file = \"target/deny.json\"", "runs = 2\nfile = \"target/deny.json\"", 1);
    assert!(said(&mixed).contains("`runs` has no meaning for evidence that is a file"), "{}", said(&mixed));
}

#[test]
fn a_waiver_names_what_it_waives() {
    let waiver = "\n[[waiver]]\ngate = \"gate-1\"\nevidence = \"coverage\"\ncriterion = \"coverage.line\"\nauthor = \"Jane Doe\"\nreason = \"The rest is generated.\"\nexpires = \"2026-13-01\"\n";
    let said = said(&(committed() + waiver));
    assert!(said.contains("there is no figure of this evidence `coverage.line`"), "{said}");
    assert!(said.contains("cannot be \"2026-13-01\""), "{said}");
}

const WAIVER: &str = "\n[[waiver]]\ngate = \"gate-1\"\nevidence = \"coverage\"\ncriterion = \"coverage.lines\"\nauthor = \"Jane Doe\"\nreason = \"The rest is generated.\"\nexpires = 2026-12-31\n";

/// Each mistake has a place in the file, and a hint.
#[track_caller]
fn refused(text: &str, message: &str, hint: &str) {
    let said = said(text);
    let block = said.split("\n\n").find(|block| block.contains(message));
    let block = block.unwrap_or_else(|| panic!("{message}: {said}"));
    assert!(block.contains(hint) && block.contains("at phases.toml:"), "{block}");
}

#[test]
fn a_waiver_ends_on_a_day_that_it_names() {
    assert_eq!(said(&(committed() + WAIVER)), "");
    let endless = committed() + &WAIVER.replace("expires = 2026-12-31\n", "");
    refused(&endless, "`waiver[0].expires` is missing", "write `expires = 2026-12-31`");
    // A time or an offset would be dropped.
    for day in [
        "2026-12-01T23:59:59-12:00",
        "2026-12-01T23:59:59Z",
        "2026-12-01T23:59:59",
        "\"20261201\"",
        "\"+002026-12-01\"",
    ] {
        let timed = committed() + &WAIVER.replace("2026-12-31", day);
        refused(&timed, "`waiver[0].expires` cannot be", "write a date, such as 2026-12-31");
    }
    let never = committed() + &WAIVER.replace("2026-12-31", "\"never\"");
    refused(&never, "cannot be \"never\"", "write a date, such as 2026-12-31");
}

#[test]
fn what_a_reader_does_not_see_is_refused_wherever_it_is_in_a_plan() {
    for (from, to, named) in [
        ("Jane Doe", "Jane\u{200b} Doe", "U+200B, which cannot be seen"),
        ("Jane Doe", "\u{202e}eoD enaJ", "U+202E, which changes the direction of text"),
        ("Jane Doe", "Jane\\u200b Doe", "U+200B"),
        ("coverage.lines", "coverage.lines\u{2060}", "U+2060"),
        ("gate-1", "gate-1\u{feff}", "U+FEFF"),
        ("[[waiver]]", "# \u{2066}no waiver\u{2069}\n[[waiver]]", "U+2066"),
    ] {
        let text = committed() + &WAIVER.replacen(from, to, 1);
        refused(&text, named, "take it out");
    }
    // What people write, and a mark that an editor sets.
    let written = WAIVER.replace("Jane Doe", "José 日本 👩‍🚀");
    assert_eq!(said(&format!("\u{feff}{}{written}", committed())), "");
}

#[test]
fn a_pinned_hash_is_a_sha_256() {
    let pin = |sha256: &str| {
        let evidence = "\n[[evidence]]\ngate = \"gate-1\"\nname = \"pinned\"\nsays = \"It works.\"\nscenario = \"load-500.toml\"";
        format!("{}{evidence}\nsha256 = \"{sha256}\"\n", committed())
    };
    assert_eq!(said(&pin(&"0a".repeat(32))), "");
    for wrong in ["", "0a0a", &"0A".repeat(32), &"0g".repeat(32)] {
        refused(&pin(wrong), &format!("cannot be \"{wrong}\""), "harness plan FILE --json");
    }
}

#[test]
fn only_statements_are_bound_to_a_build_or_a_scenario() {
    let bind = |format: &str| {
        committed().replacen(
            &format!("format = \"{format}\""),
            &format!(
                "format = \"{format}\"\nbuild = \"this\"\nabout = \"load-500.toml\"\nsigned_by = [\"k.pem\"]"
            ),
            1,
        )
    };
    assert_eq!(said(&bind("statement")), "");
    for key in ["build", "about", "signed_by"] {
        let message = format!("`{key}` has no meaning for evidence that is a file other than a statement");
        refused(&bind("lcov"), &message, "leave it out");
    }
}

#[test]
fn sprints_in_a_circle_are_each_named() {
    let circle = "\n[[sprint]]\nname = \"x\"\ntitle = \"X\"\nphase = \"phase-1\"\ntakes = \"1d\"\nafter = [\"y\"]\n\n[[sprint]]\nname = \"y\"\ntitle = \"Y\"\nphase = \"phase-1\"\ntakes = \"1d\"\nafter = [\"x\"]\n";
    for name in ["x", "y"] {
        let message = format!("the sprint `{name}` comes after itself");
        refused(&(committed() + circle), &message, "leave one of the names out of `after`");
    }
}

#[test]
fn the_schema_knows_the_plan() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    let plan: serde_json::Value = toml::from_str(&committed()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mistakes: Vec<String> = validator.iter_errors(&plan).map(|error| error.to_string()).collect();
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let bent = committed().replacen("outcomes = \"go\"", "outcomes = \"stay\"", 1);
    let bent: serde_json::Value = toml::from_str(&bent).unwrap();
    assert!(!validator.is_valid(&bent));
}

#[test]
fn a_pin_is_written_into_braces_as_well() {
    let hash = "0a".repeat(32);
    let hashes = BTreeMap::from([("a.toml".to_owned(), hash.clone())]);
    let pins = |text: &str| pinned(&Source::new("phases.toml", text), &hashes).0;
    let evidence = |entry: &str| format!("evidence = [{{ gate = \"g\", name = \"e\", {entry} }}]");
    let both = format!("scenario = \"a.toml\", sha256 = \"{hash}\", runs = 2");
    assert_eq!(pins(&evidence("scenario = \"a.toml\", runs = 2")), evidence(&both));
    assert_eq!(pins(&evidence(&both.replace("0a0a", "0b0b"))), evidence(&both));
    assert_eq!(pins(&evidence("scenario = \"b.toml\"")), evidence("scenario = \"b.toml\""));
    assert_eq!(
        pins("[[evidence]]\ngate = \"g\"\nname = \"e\"\nscenario = \"a.toml\""),
        format!("[[evidence]]\ngate = \"g\"\nname = \"e\"\nscenario = \"a.toml\"\nsha256 = \"{hash}\"")
    );
}
