//! Whether the commands before and after the run did what they should.

use super::{check, n, shorten};
use crate::facts::Facts;
use crate::runlog::event::When;
use crate::units;
use crate::verdict::{Check, EvidenceResult, Verdict};

/// One check for each of the two that the scenario has.
pub(super) fn all(facts: &Facts) -> Vec<EvidenceResult> {
    let plan = &facts.header.plan;
    [(When::SetUp, &plan.setup), (When::TearDown, &plan.teardown)]
        .into_iter()
        .filter(|(_, planned)| !planned.is_empty())
        .map(|(when, planned)| of(when, planned.len() as u64, facts))
        .collect()
}

fn of(when: When, planned: u64, facts: &Facts) -> EvidenceResult {
    let ended = || facts.commands.items.iter().filter(|command| command.when == when);
    let (mut done, mut failed) = (0, Vec::new());
    for command in ended() {
        if command.failed {
            let last = command.output.last().map_or_else(String::new, |line| format!(": {line}"));
            failed.push(format!("{} {}{last}", command.command, command.how));
        } else {
            done += 1;
        }
    }
    let good = failed.is_empty() && done >= planned;
    let verdict = if good { Verdict::Pass } else { Verdict::Inconclusive };
    let wanted = format!("{} with exit status 0", units::things(planned, "command"));
    let mut result = check(of_command(when), verdict, wanted, n(done));
    if !failed.is_empty() {
        result.note = Some(shorten(&failed));
    } else if !good {
        result.note = Some("the log does not say how all of them ended".to_owned());
    }
    result
}

fn of_command(when: When) -> Check {
    match when {
        When::SetUp => Check::SetUp,
        When::TearDown => Check::TearDown,
    }
}
