//! The map names what there is, and every scenario says what it asks.

use super::{Finding, has_extension};

pub(super) const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
/// Plans lie beside the scenarios and are none: `phases.toml`, `phases-demo.toml`.
const PLANS: &str = "scenarios/phases";

pub(super) fn is_scenario_folder(path: &str) -> bool {
    path.strip_prefix("scenarios/").is_some_and(|name| has_extension(name, "toml") && !name.contains('/'))
}

pub(crate) fn is_scenario(path: &str) -> bool {
    is_scenario_folder(path) && !path.starts_with(PLANS)
}

/// Editors find the schema, and readers the question.
pub(super) fn scenarios_are_complete(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("#:schema ") {
        let what = "does not begin with its schema; make `#:schema scenario.schema.json` the first line";
        findings.push(Finding::error(path, 1, what));
    }
    if !is_scenario(path) {
        return findings;
    }
    match text.parse::<toml::Table>() {
        Ok(table) => {
            let asks = table.get("asks").and_then(toml::Value::as_str).unwrap_or_default();
            if asks.trim().is_empty() {
                let what = "does not say what it asks; add asks = \"a question that its verdict answers\"";
                findings.push(Finding::error(path, 1, what));
            }
        }
        Err(error) => {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let what = format!("is no TOML ({}); `harness validate` shows where", error.message());
            findings.push(Finding::error(path, line, what));
        }
    }
    findings
}

/// Every crate and every top folder has a line on the map.
pub(super) fn the_map_is_complete(map: &str, crates: &[&str], files: &[String]) -> Vec<Finding> {
    let mut names: Vec<&str> = files
        .iter()
        .filter_map(|file| file.split_once('/'))
        .map(|(folder, _)| folder)
        .filter(|folder| !folder.starts_with('.'))
        .chain(crates.iter().copied())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| !is_named(map, name))
        .map(|name| {
            Finding::error(ARCHITECTURE, 1, format!("does not name `{name}`; say in a line what it is for"))
        })
        .collect()
}

/// As a word of its own: `name`, or `name/`.
fn is_named(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_part)
            && !text[..at].ends_with('/')
            && !text[at + name.len()..].starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#:schema scenario.schema.json\nasks = \"Does it?\"\n";

    fn whats(path: &str, text: &str) -> Vec<String> {
        scenarios_are_complete(path, text).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_whole_scenario_passes() {
        assert!(whats("scenarios/a.toml", GOOD).is_empty());
    }

    #[test]
    fn a_scenario_without_schema_or_question_is_caught() {
        let found = whats("scenarios/a.toml", "# first a comment\n#:schema x\nasks = \" \"\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("schema") && found[1].contains("asks"), "{found:?}");
        assert_eq!(whats("scenarios/a.toml", "#:schema x\nname = \"a\"\n").len(), 1);
    }

    #[test]
    fn a_question_in_a_table_is_not_the_scenarios() {
        assert_eq!(whats("scenarios/a.toml", "#:schema x\n[fleet]\nasks = \"a\"\n").len(), 1);
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let found = scenarios_are_complete("scenarios/a.toml", "#:schema x\n\nasks = \n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 3);
    }

    #[test]
    fn the_plan_of_the_phases_is_no_scenario() {
        assert!(is_scenario("scenarios/a.toml"));
        assert!(!is_scenario("scenarios/phases-demo.toml"));
        assert!(!is_scenario("scenarios/phases.toml") && !is_scenario("scenarios/scenario.schema.json"));
        assert!(!is_scenario("harness/scenarios/a.toml") && !is_scenario("scenarios/old/a.toml"));
        assert!(whats("scenarios/phases.toml", "#:schema phases.schema.json\n").is_empty());
    }

    #[test]
    fn a_folder_that_the_map_does_not_name_is_caught() {
        let files = ["ci/a", "docs/b", "old-docs/c", ".ci/run", "README.md"].map(str::to_owned);
        let map = "- `docs/`: the words\n- `ci/`: checks\n- `harness`: asks";
        let found = the_map_is_complete(map, &["ci", "harness", "reports"], &files);
        let whats: Vec<_> =
            found.iter().map(|finding| finding.what.split(';').next().unwrap_or("")).collect();
        assert_eq!(whats, ["does not name `old-docs`", "does not name `reports`"]);
    }

    #[test]
    fn a_part_of_a_word_names_nothing() {
        assert!(!is_named("decides", "ci") && !is_named("src/reports", "reports") && !is_named("ci-x", "ci"));
        assert!(is_named("`ci`", "ci") && is_named("ci/ is", "ci") && is_named("decides ci", "ci"));
    }
}
