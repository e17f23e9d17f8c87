//! Dependencies: the JSON of `cargo deny --format json check` and of `cargo audit --json`.

use serde_json::Value;

use super::{REMARKS_MAX, Reading, not_json};

/// One JSON object a line: diagnostics, and one summary of all checks that were asked for.
pub(super) fn cargo_deny(text: &str) -> Result<Reading, String> {
    let mut reading = Reading::default();
    let (mut summaries, mut errors) = (Vec::new(), 0_u64);
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|_| {
            format!("line {} is {}", index + 1, not_json(line, "cargo deny --format json check"))
        })?;
        let of = |key| value.pointer(key).and_then(Value::as_str);
        let message = of("/fields/message").unwrap_or_default();
        match of("/type") {
            Some("summary") => summaries.push(value["fields"].clone()),
            Some("diagnostic") if of("/fields/severity") == Some("error") => {
                errors += 1;
                reading.remarks.push(message.to_owned());
            }
            Some("log") if is_broken(of("/fields/level").unwrap_or_default(), message) => {
                return Err(format!("the check did not see everything: {message}"));
            }
            _ => {}
        }
    }
    reading.remarks.truncate(REMARKS_MAX);
    let [summary] = summaries.as_slice() else {
        let why = if summaries.is_empty() {
            "it has no summary: the check did not get to its end"
        } else {
            "it has two summaries: it is the output of two checks"
        };
        return Err(why.to_owned());
    };
    let checks =
        [("advisories", "advisories"), ("bans", "bans"), ("licences", "licenses"), ("sources", "sources")];
    let mut counted = 0_u64;
    for (figure, check) in checks {
        if let Some(errors) = summary.get(check).and_then(|check| check.get("errors")).and_then(Value::as_u64)
        {
            counted = counted.saturating_add(errors);
            reading.figures.insert(figure, errors as f64);
        }
    }
    // An error that the summary leaves out may be of any check.
    if let Some(beside) = errors.checked_sub(counted).filter(|beside| *beside > 0) {
        reading.figures.values_mut().for_each(|figure| *figure += beside as f64);
        reading.remarks.push(format!("it reports {errors} errors, and its summary counts {counted}"));
    }
    if reading.figures.is_empty() { Err("its summary holds no check".to_owned()) } else { Ok(reading) }
}

/// A check that could not read its own sources says so in its log, and sums up what is left.
fn is_broken(level: &str, message: &str) -> bool {
    level.eq_ignore_ascii_case("error") || message.to_ascii_lowercase().contains("failed to fetch")
}

/// Vulnerabilities; what they were looked up in, and what was ignored, are remarks.
pub(super) fn cargo_audit(text: &str) -> Result<Reading, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|_| format!("it is {}", not_json(text, "cargo audit --json")))?;
    let number = |key| value.pointer(key).and_then(Value::as_u64);
    let list = value.pointer("/vulnerabilities/list").and_then(Value::as_array);
    let (Some(count), Some(list)) = (number("/vulnerabilities/count"), list) else {
        return Err("it has no `vulnerabilities`: is it the output of `cargo audit --json`?".to_owned());
    };
    if count != list.len() as u64 {
        return Err(format!("it says that there are {count} vulnerabilities, and lists {}", list.len()));
    }
    let found = value.pointer("/vulnerabilities/found").and_then(Value::as_bool);
    if found.is_some_and(|found| found != (count > 0)) {
        return Err(format!("`found` contradicts the {count} vulnerabilities that it counts"));
    }
    let (Some(known), Some(dependencies)) =
        (number("/database/advisory-count"), number("/lockfile/dependency-count"))
    else {
        return Err("it does not say which advisories and which dependencies it has read".to_owned());
    };
    if known == 0 || dependencies == 0 {
        return Err(format!(
            "it has looked up {dependencies} dependencies in {known} advisories: that shows nothing"
        ));
    }
    let id = |found: &Value| found.pointer("/advisory/id").and_then(Value::as_str).map(ToOwned::to_owned);
    let mut reading = Reading::default();
    reading.figures.insert("advisories", count as f64);
    reading.remarks = list.iter().filter_map(id).take(REMARKS_MAX).collect();
    reading.remarks.push(format!("it has looked up {dependencies} dependencies in {known} advisories"));
    let ignored = value.pointer("/settings/ignore").and_then(Value::as_array);
    let ignored: Vec<&str> = ignored.into_iter().flatten().filter_map(Value::as_str).collect();
    if !ignored.is_empty() {
        reading.remarks.push(format!("it ignores {}", ignored.join(", ")));
    }
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

    /// A shell has made the file, and what could not be started has written into it.
    #[test]
    fn a_tool_that_is_not_installed_is_named_with_what_installs_it() {
        let said =
            "error: no such command: `deny`\n\nhelp: view all installed commands with `cargo --list`\n";
        let why = cargo_deny(said).unwrap_err();
        assert!(why.contains("line 1 is not JSON, but `error: no such command: `deny``"), "{why}");
        assert!(why.ends_with("install it with `cargo install --locked cargo-deny`"), "{why}");
        let why = cargo_audit(&said.replace("deny", "audit")).unwrap_err();
        assert!(why.ends_with("install it with `cargo install --locked cargo-audit`"), "{why}");
        let why = cargo_deny(&format!("error: {}", "x".repeat(500))).unwrap_err();
        assert!(why.contains("xxx…`: is it the output of `cargo deny --format json check`?"), "{why}");
    }

    #[test]
    fn an_error_of_cargo_deny_counts_whatever_its_summary_says() {
        let text = r#"{"type":"diagnostic","fields":{"severity":"error","message":"Use after free"}}
{"type":"summary","fields":{"advisories":{"errors":0},"bans":{"errors":0}}}"#;
        let reading = cargo_deny(text).unwrap();
        assert_eq!((reading.figures["advisories"], reading.figures["bans"]), (1.0, 1.0));
        assert!(reading.remarks[1].contains("1 errors, and its summary counts 0"), "{reading:?}");
    }

    #[test]
    fn two_checks_in_one_file_and_a_check_that_saw_nothing_are_no_evidence() {
        let summary = r#"{"type":"summary","fields":{"advisories":{"errors":0}}}"#;
        assert!(cargo_deny(&format!("{summary}\n{summary}\n")).unwrap_err().contains("two summaries"));
        let log = |level, message| {
            format!(r#"{{"type":"log","fields":{{"level":"{level}","message":"{message}"}}}}"#)
        };
        for said in [log("ERROR", "no database"), log("WARN", "Failed to fetch advisory database")] {
            assert!(cargo_deny(&format!("{said}\n{summary}")).unwrap_err().contains("see everything"));
        }
        assert!(cargo_deny(&format!("{}\n{summary}", log("INFO", "fetched"))).is_ok());
    }

    fn audited(advisories: u32, dependencies: u32, vulnerabilities: &str) -> String {
        format!(
            r#"{{"database":{{"advisory-count":{advisories}}},"lockfile":{{"dependency-count":{dependencies}}},
            "settings":{{"ignore":["RUSTSEC-2020-0001"]}},"vulnerabilities":{vulnerabilities}}}"#
        )
    }

    #[test]
    fn what_cargo_audit_counts_it_must_list() {
        let clean = cargo_audit(&audited(800, 90, r#"{"found":false,"count":0,"list":[]}"#)).unwrap();
        assert_eq!(clean.figures.get("advisories"), Some(&0.0));
        assert_eq!(
            clean.remarks,
            ["it has looked up 90 dependencies in 800 advisories", "it ignores RUSTSEC-2020-0001"]
        );
        let bad = audited(800, 90, r#"{"count":1,"list":[{"advisory":{"id":"RUSTSEC-2024-0001"}}]}"#);
        assert_eq!(cargo_audit(&bad).unwrap().remarks[0], "RUSTSEC-2024-0001");
        let emptied = audited(800, 90, r#"{"count":1,"list":[]}"#);
        assert!(cargo_audit(&emptied).unwrap_err().contains("lists 0"));
    }

    #[test]
    fn an_audit_against_nothing_or_that_contradicts_itself_is_no_evidence() {
        let clean = r#"{"found":false,"count":0,"list":[]}"#;
        for (advisories, dependencies) in [(0, 90), (800, 0)] {
            let error = cargo_audit(&audited(advisories, dependencies, clean)).unwrap_err();
            assert!(error.contains("shows nothing"), "{error}");
        }
        let nowhere = format!(r#"{{"vulnerabilities":{clean}}}"#);
        assert!(cargo_audit(&nowhere).unwrap_err().contains("does not say which"));
        let found = audited(800, 90, r#"{"found":true,"count":0,"list":[]}"#);
        assert!(cargo_audit(&found).unwrap_err().contains("contradicts"));
    }
}
