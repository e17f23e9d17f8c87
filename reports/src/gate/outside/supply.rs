//! Dependencies: the JSON of `cargo deny --format json check` and of `cargo audit --json`.

use serde_json::Value;

use super::{REMARKS_MAX, Reading};

/// One JSON object a line; the last but for blank lines is the summary of all checks that were asked for.
pub(super) fn cargo_deny(text: &str) -> Result<Reading, String> {
    let mut reading = Reading::default();
    let mut summary = None;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|error| {
            format!(
                "line {} is not JSON ({error}): is it the output of `cargo deny --format json check`?",
                index + 1
            )
        })?;
        match value.get("type").and_then(Value::as_str) {
            Some("summary") => summary = value.get("fields").cloned(),
            Some("diagnostic") => {
                let of = |key| value.pointer(key).and_then(Value::as_str);
                let is_error = of("/fields/severity") == Some("error");
                if let (true, Some(message)) = (is_error, of("/fields/message")) {
                    reading.remarks.push(message.to_owned());
                }
            }
            _ => {}
        }
    }
    reading.remarks.truncate(REMARKS_MAX);
    let summary = summary.ok_or("it has no summary: the check did not get to its end")?;
    let checks =
        [("advisories", "advisories"), ("bans", "bans"), ("licences", "licenses"), ("sources", "sources")];
    for (figure, check) in checks {
        if let Some(errors) = summary.get(check).and_then(|check| check.get("errors")).and_then(Value::as_u64)
        {
            reading.figures.insert(figure, errors as f64);
        }
    }
    if reading.figures.is_empty() { Err("its summary holds no check".to_owned()) } else { Ok(reading) }
}

/// Vulnerabilities; its warnings are remarks.
pub(super) fn cargo_audit(text: &str) -> Result<Reading, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let count = value.pointer("/vulnerabilities/count").and_then(Value::as_u64);
    let list = value.pointer("/vulnerabilities/list").and_then(Value::as_array);
    let (Some(count), Some(list)) = (count, list) else {
        return Err("it has no `vulnerabilities`: is it the output of `cargo audit --json`?".to_owned());
    };
    if count != list.len() as u64 {
        return Err(format!("it says that there are {count} vulnerabilities, and lists {}", list.len()));
    }
    let id = |found: &Value| found.pointer("/advisory/id").and_then(Value::as_str).map(ToOwned::to_owned);
    let mut reading = Reading::default();
    reading.figures.insert("advisories", count as f64);
    reading.remarks = list.iter().filter_map(id).take(REMARKS_MAX).collect();
    Ok(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_cargo_deny_is_read() {
        let text = r#"{"type":"diagnostic","fields":{"severity":"error","code":"vulnerability","message":"Use after free"}}
{"type":"summary","fields":{"advisories":{"errors":1,"warnings":0},"bans":{"errors":0},"licenses":{"errors":2},"sources":{"errors":0}}}
"#;
        let reading = cargo_deny(text).unwrap();
        assert_eq!((reading.figures["advisories"], reading.figures["licences"]), (1.0, 2.0));
        assert_eq!(reading.remarks, ["Use after free"]);
    }

    #[test]
    fn a_check_without_its_end_is_no_clean_one() {
        let cut = r#"{"type":"diagnostic","fields":{"severity":"warning","message":"x"}}"#;
        assert!(cargo_deny(cut).unwrap_err().contains("no summary"));
        assert!(cargo_deny("advisories ok").unwrap_err().contains("not JSON"));
    }

    #[test]
    fn what_cargo_audit_counts_it_must_list() {
        let clean = r#"{"vulnerabilities":{"found":false,"count":0,"list":[]},"warnings":{}}"#;
        assert_eq!(cargo_audit(clean).unwrap().figures.get("advisories"), Some(&0.0));
        let bad = r#"{"vulnerabilities":{"count":1,"list":[{"advisory":{"id":"RUSTSEC-2024-0001"}}]}}"#;
        assert_eq!(cargo_audit(bad).unwrap().remarks, ["RUSTSEC-2024-0001"]);
        let emptied = r#"{"vulnerabilities":{"count":1,"list":[]}}"#;
        assert!(cargo_audit(emptied).unwrap_err().contains("lists 0"));
    }
}
