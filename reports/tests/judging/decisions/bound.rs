//! Evidence that is bound: statements to a build and a scenario, and the scenarios of a matrix to each other.

use reports::gate::ask::Asked;
use reports::gate::decide::decide;
use reports::gate::exhibit::{Exhibit, Found, Inputs, Recipe};
use reports::gate::outside;
use reports::gate::plan::*;
use reports::render::gate::text;

use super::plans::{alone, plan};
use super::{History, evidence, gate, ran};
use crate::synthetic::{Run, SCENARIO, sha256_of};

const PATH: &str = "statements/api.txt";
const STATED: &str = "Statement: All is documented.\nName: Jane Doe\nDate: 2026-01-31\nApproves: yes\n";

fn statement() -> OutsideFile {
    OutsideFile {
        path: PATH.into(),
        format: Format::Statement,
        build: Whose::Any,
        about: None,
        signed_by: Vec::new(),
        pass: Asked::parse("statement.approved == 1", Format::Statement).unwrap(),
        conditional: None,
        command: "write it".into(),
        takes_ns: None,
    }
}

/// The outcome of a gate that asks for this statement, and what its evidence was found to be.
fn asking(bend: impl FnOnce(&mut OutsideFile), text: &str, signers: &[&str]) -> (&'static str, String) {
    let decision = alone(&asked_for(bend), &inputs(text, signers));
    (decision.outcome, decision.evidence[0].found.clone())
}

fn asked_for(bend: impl FnOnce(&mut OutsideFile)) -> Gate {
    let mut file = statement();
    bend(&mut file);
    gate(Outcomes::Pass, vec![evidence(Source::File(file))])
}

fn inputs(text: &str, signers: &[&str]) -> Inputs {
    let mut inputs = History::of(Vec::new()).inputs();
    let found = Found {
        changed: inputs.circumstances.now,
        signers: signers.iter().map(|key| (*key).to_owned()).collect(),
        reading: outside::read(Format::Statement, text.as_bytes()),
    };
    inputs.files.insert((PATH.to_owned(), Format::Statement), found);
    inputs
}

#[track_caller]
fn refused((outcome, found): (&str, String), why: &str) {
    assert_eq!(outcome, "INCONCLUSIVE", "{found}");
    assert!(found.contains(why), "{found}");
}

#[test]
fn a_statement_for_another_build_does_not_count_where_this_one_is_asked() {
    let this = |file: &mut OutsideFile| file.build = Whose::This;
    let of = |build: &str| asking(this, &format!("{STATED}{build}"), &[]);
    assert_eq!(of("Build: 1234567\n").0, "PASS");
    assert_eq!(of("Build: 1234567890abcdef\n").0, "PASS", "more digits of the same commit");
    refused(of("Build: 7654321\n"), "for another build: its `Build` is 7654321, and this one is 1234567");
    refused(of(""), "does not say for which build it is: have `Build: 1234567` stated in it");
    assert_eq!(asking(|_| (), &format!("{STATED}Build: 7654321\n"), &[]).0, "PASS", "any build is asked");
}

#[test]
fn a_statement_about_another_text_of_the_scenario_does_not_count() {
    let about = |file: &mut OutsideFile| file.about = Some("synthetic.toml".into());
    let (asked, other) = (sha256_of(SCENARIO), sha256_of("another"));
    let of = |sha256: &str| asking(about, &format!("{STATED}Scenario: {sha256}\n"), &[]);
    assert_eq!(of(&asked).0, "PASS");
    refused(of(&other), &format!("its `Scenario` is {other}, and the SHA-256 of synthetic.toml is {asked}"));
    refused(asking(about, STATED, &[]), "does not say which text of synthetic.toml it is about");
}

#[test]
fn a_statement_holds_until_the_end_of_its_last_day() {
    assert_eq!(asking(|_| (), &format!("{STATED}Expires: 2026-02-01\n"), &[]).0, "PASS");
    refused(
        asking(|_| (), &format!("{STATED}Expires: 2026-01-31\n"), &[]),
        "expired at the end of 2026-01-31",
    );
}

#[test]
fn a_statement_counts_by_its_signature_where_one_is_asked() {
    let signed = |file: &mut OutsideFile| file.signed_by = vec!["lead.pub.pem".into()];
    assert_eq!(asking(signed, STATED, &["lead.pub.pem"]).0, "PASS");
    for signers in [&[][..], &["another.pub.pem"]] {
        refused(asking(signed, STATED, signers), "is not signed by lead.pub.pem: statements/api.txt.sig");
    }
}

/// Passed by the build that it was stated for, the gate stays passed for those that wait for it; not beyond its last day.
#[test]
fn a_gate_that_rests_on_a_statement_for_an_older_build_stays_passed_until_that_expires() {
    let first = asked_for(|file| file.build = Whose::This);
    let second = asked_for(|_| ());
    let second = Gate { name: "second".into(), phase: "second".into(), ..second };
    let plan = plan(vec![first, second.clone()]);
    for (expires, outcome) in [("2026-02-01", "PASS"), ("2026-01-31", "INCONCLUSIVE")] {
        let inputs = inputs(&format!("{STATED}Build: 7654321\nExpires: {expires}\n"), &[]);
        let decision = decide(&plan, &second, &inputs);
        assert_eq!(decision.before[0].outcome, outcome, "until {expires}: {}", text(&decision));
    }
}

/// The cells of a matrix of three, as a plan finds them.
fn matrix(exhibits: Vec<Exhibit>) -> History {
    let mut history = History::of(exhibits).asking(|runs| runs.scenario = "synthetic.toml".into());
    let cell = |workers: u32| Recipe {
        name: format!("synthetic-{workers}"),
        command: format!("harness run scenarios/synthetic.toml --filter synthetic-{workers}"),
        ..history.recipes[0].clone()
    };
    history.recipes = [100, 300, 500].map(cell).into();
    history
}

fn of_cell(day: u32, workers: u32, run: &Run) -> Exhibit {
    ran(day, run, |header| header.scenario.name = format!("synthetic-{workers}"))
}

#[test]
fn each_scenario_of_a_matrix_counts_and_one_without_a_run_is_named_with_its_command() {
    let good = Run::default();
    let [a, b, c] = [(10, 100), (11, 300), (12, 500)].map(|(day, workers)| of_cell(day, workers, &good));
    let all = matrix(vec![a.clone(), b.clone(), c.clone()]).decide();
    assert_eq!((all.outcome, all.evidence[0].runs.len()), ("PASS", 3));
    assert!(
        all.evidence[0].found.contains("3 of 3 scenarios of the matrix pass"),
        "{}",
        all.evidence[0].found
    );
    // Two runs of one are none of another.
    let again = of_cell(13, 500, &good);
    let missing = matrix(vec![a.clone(), c.clone(), again]).decide();
    assert_eq!(missing.outcome, "INCONCLUSIVE");
    let commands: Vec<&str> = missing.next.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["harness run scenarios/synthetic.toml --filter synthetic-300"]);
    let found = &missing.evidence[0].found;
    assert!(
        found.contains("2 of 3") && found.contains("synthetic-300 is INCONCLUSIVE: no run counts"),
        "{found}"
    );
    // The worst decides, though another one is missing.
    let failed = of_cell(14, 100, &Run { failed: |_| 3, ..Run::default() });
    assert_eq!(matrix(vec![failed, c]).decide().outcome, "FAIL");
    let none = matrix(Vec::new()).decide();
    assert_eq!((none.outcome, none.next.len()), ("INCONCLUSIVE", 3), "{}", text(&none));
}
