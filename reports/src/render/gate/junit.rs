//! `junit.xml`: a case for each piece of evidence, in the same terms as that of a run: CONDITIONAL is `skipped`, INCONCLUSIVE an error.

use quick_junit::{Property, Report, TestSuite};

use super::DEMO;
use crate::gate::decision::{Decision, Weighed, opens};
use crate::render::junit::case;
use crate::verdict::Verdict;
use notation::visible;

pub(super) fn render(decision: &Decision) -> String {
    let mut suite = TestSuite::new(decision.gate.as_str());
    let mut property = |name: &str, value: &str| {
        suite.add_property(Property::new(name, &*visible::text(value)));
    };
    property("outcome", &decision.headline());
    property("decided_utc", &decision.decided_utc);
    property("plan", &decision.plan.path);
    property("plan_sha256", &decision.plan.sha256);
    if decision.demo {
        property("demo", DEMO);
    }
    for waiver in &decision.waivers {
        let value = format!("{}: {} by {}", waiver.state, decision.waived(waiver), waiver.author);
        property("waiver", &value);
    }
    for before in &decision.before {
        let found = format!("{} is {}", before.gate, before.outcome);
        let verdict = if opens(before.verdict) { Verdict::Pass } else { Verdict::Inconclusive };
        suite.add_test_case(case("before", &decision.gate, &before.gate, verdict, &found));
    }
    for weighed in &decision.evidence {
        suite.add_test_case(case(
            "evidence",
            &decision.gate,
            &weighed.name,
            weighed.verdict,
            &message(weighed),
        ));
    }
    suite.set_system_out(&*visible::text(&decision.reasons.join("\n")));
    let mut report = Report::new(format!("{} {}", decision.gate, decision.headline()));
    report.add_test_suite(suite);
    // Writing to a string fails only if memory does.
    report.to_string().unwrap_or_default()
}

fn message(weighed: &Weighed) -> String {
    let mut message = format!("wanted: {}; found: {}", weighed.wanted, weighed.found);
    for note in &weighed.notes {
        message.extend(["; ", note]);
    }
    message
}
