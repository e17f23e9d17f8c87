//! The plan of the project is read, and mistakes are all found at once.

use super::*;

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
