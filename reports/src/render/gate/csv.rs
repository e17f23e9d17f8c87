//! `evidence.csv`: a row for each criterion of each run and file.

use crate::gate::decision::Decision;

const HEAD: [&str; 13] = [
    "gate",
    "outcome",
    "demo",
    "evidence",
    "evidence_verdict",
    "source",
    "criterion",
    "asked",
    "measured",
    "value",
    "threshold",
    "verdict",
    "strictly",
];

pub(super) fn render(decision: &Decision) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    // Writing to memory fails only if memory does.
    let _ = out.write_record(HEAD);
    for weighed in &decision.evidence {
        let row = |rest: [String; 8]| {
            let first = [
                decision.gate.clone(),
                decision.outcome.to_owned(),
                decision.demo.to_string(),
                weighed.name.clone(),
                weighed.verdict.word().to_owned(),
            ];
            first.into_iter().chain(rest).collect::<Vec<String>>()
        };
        if weighed.findings.is_empty() {
            let nothing =
                std::array::from_fn(|column| if column == 3 { weighed.found.clone() } else { String::new() });
            let _ = out.write_record(row(nothing));
        }
        for finding in &weighed.findings {
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let _ = out.write_record(row([
                finding.source.clone(),
                finding.criterion.clone(),
                finding.asked.clone(),
                finding.measured.clone(),
                number(finding.value),
                number(finding.threshold),
                finding.verdict.word().to_owned(),
                finding.strictly.map_or_else(String::new, |verdict| verdict.word().to_owned()),
            ]));
        }
    }
    String::from_utf8(out.into_inner().unwrap_or_default()).unwrap_or_default()
}
