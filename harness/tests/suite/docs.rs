//! What the documents say about the program is what the program says.

use harness::exit::ExitCode::{
    Bug, Conditional, Fail, HostUnfit, Inconclusive, Interrupted, Pass, Regression, Signal, Usage,
};
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

#[test]
fn the_guide_knows_every_metric_by_its_meaning() {
    let guide = read("docs/scenarios.md");
    for metric in reports::criterion::catalogue() {
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{}`", metric.name)));
        let row = row.unwrap_or_else(|| panic!("docs/scenarios.md does not list {}", metric.name));
        assert!(row.contains(metric.says), "{row}\nshould say: {}", metric.says);
        for aggregation in metric.aggregations.iter().filter(|aggregation| !aggregation.name().is_empty()) {
            assert!(row.contains(&format!("`{}`", aggregation.name())), "{row}: {}", aggregation.name());
        }
    }
}

#[test]
fn the_guide_knows_every_key() {
    let guide = read("docs/scenarios.md");
    let schema: serde_json::Value = serde_json::from_str(&read("scenarios/scenario.schema.json")).unwrap();
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 25, "{keys:?}");
    for key in keys {
        let spellings = [format!("`{key}`"), format!(".{key}`"), format!("`{key}."), format!("[{key}")];
        assert!(spellings.iter().any(|spelling| guide.contains(spelling)), "{key}");
    }
}

/// The names of all properties, wherever they are.
fn collect_keys(value: &serde_json::Value, keys: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        if let Some(properties) = object.get("properties").and_then(|properties| properties.as_object()) {
            keys.extend(properties.keys().cloned());
        }
        for value in object.values() {
            collect_keys(value, keys);
        }
    } else if let Some(array) = value.as_array() {
        for value in array {
            collect_keys(value, keys);
        }
    }
}

#[test]
fn the_table_of_severities_is_the_one_that_judges() {
    use reports::runlog::event::{IncidentKind, Severity};
    let page = read("docs/incidents.md");
    for kind in IncidentKind::ALL {
        let severity = match kind.severity() {
            Severity::Critical => "critical",
            Severity::Minor => "minor",
            Severity::Info => "info",
        };
        let row = format!("| `{}` | {severity} | {} |", kind.name(), kind.says());
        assert!(page.lines().any(|line| line == row), "docs/incidents.md lacks: {row}");
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
    let rows = page.lines().filter(|line| line.starts_with("| `") && line.contains(" | minor | "));
    let minor = IncidentKind::ALL.into_iter().filter(|kind| kind.severity() == Severity::Minor);
    assert_eq!(rows.count(), minor.count(), "the page has a row that the program does not have");
}

#[test]
fn every_criterion_on_the_page_can_be_read() {
    let guide = read("docs/scenarios.md");
    let quoted = |line: &str| line.split('"').nth(1).map(|text| text.replace("{workers}", "8"));
    let is_criterion = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        line.starts_with("    ") && (key.ends_with("pass") || key == "conditional")
    };
    let mut read = 0;
    for line in guide.lines().filter(is_criterion) {
        let text = quoted(line).unwrap_or_else(|| panic!("no string in: {line}"));
        if let Err(error) = reports::criterion::Criterion::parse(&text) {
            panic!("{line}: {error}");
        }
        read += 1;
    }
    assert!(read >= 5, "{read}");
}

#[test]
fn every_exit_code_is_documented() {
    let page = read("docs/exit-codes.md");
    for code in
        [Pass, Fail, Conditional, Inconclusive, Regression, HostUnfit, Interrupted, Usage, Bug, Signal(2)]
    {
        assert!(page.contains(&format!("| {} |", code.code())), "{}", code.code());
    }
}
