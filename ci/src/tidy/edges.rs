//! Which crate may know which.

use super::Finding;
use crate::workspace::Outcome;
use cargo_metadata::Metadata;

/// The only edges between members, beside those of `benches`.
const EDGES: [(&str, &str); 6] = [
    ("coordinator", GROUND_FLOOR),
    ("harness", "coordinator"),
    ("harness", GROUND_FLOOR),
    ("harness", "reports"),
    ("harness", "trap"),
    ("reports", GROUND_FLOOR),
];
/// Knows none of the others.
const GROUND_FLOOR: &str = "notation";
/// Measures anything.
const OUTSIDER: &str = "benches";

/// Every edge between members, of any kind: a dev-dependency is knowledge too.
pub(super) fn edges(metadata: &Metadata, read: &dyn Fn(&str) -> Outcome<String>) -> Outcome<Vec<Finding>> {
    let members = metadata.workspace_packages();
    let mut findings = Vec::new();
    for from in &members {
        for to in &from.dependencies {
            if !members.iter().any(|member| *member.name == to.name) || is_allowed(&from.name, &to.name) {
                continue;
            }
            let manifest = from.manifest_path.strip_prefix(&metadata.workspace_root);
            let path = manifest.map_or_else(|_| from.manifest_path.to_string(), ToString::to_string);
            findings.push(Finding::error(
                &path,
                line_of(&read(&path)?, &to.name),
                what(&from.name, &to.name),
            ));
        }
    }
    Ok(findings)
}

fn is_allowed(from: &str, to: &str) -> bool {
    from == OUTSIDER || EDGES.contains(&(from, to))
}

fn what(from: &str, to: &str) -> String {
    let instead = match from {
        "reports" => "a fact that a report needs belongs in the run log",
        "coordinator" => "the coordinator is of use on its own; let the harness ask it",
        "ci" => "ask its program, as a user would",
        _ => {
            "the edges are harness -> coordinator, harness -> reports, all three -> notation, harness -> trap, benches -> anything"
        }
    };
    format!("`{from}` may not depend on `{to}`; {instead}")
}

/// The line of a manifest that names a dependency, or the first.
fn line_of(manifest: &str, dependency: &str) -> usize {
    let names =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    manifest.lines().position(names).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [&str; 7] = ["coordinator", "harness", "notation", "reports", "trap", "benches", "ci"];

    #[test]
    fn the_edges_are_those_of_the_map() {
        let mut allowed = Vec::new();
        for from in MEMBERS.into_iter().filter(|from| *from != OUTSIDER) {
            allowed.extend(MEMBERS.into_iter().filter(|to| is_allowed(from, to)).map(|to| (from, to)));
        }
        assert_eq!(allowed, EDGES);
        assert!(MEMBERS.iter().all(|to| is_allowed("benches", to)));
    }

    /// What `cargo metadata` says of two members, one of which depends on the other.
    fn metadata(from: &str, to: &str, kind: &str) -> Metadata {
        let package = |name: &str, dependencies: &str| {
            format!(
                r#"{{"name": "{name}", "version": "0.1.0", "id": "path+file:///w/{name}#0.1.0", "targets": [],
                    "features": {{}}, "manifest_path": "/w/{name}/Cargo.toml", "dependencies": [{dependencies}]}}"#
            )
        };
        let dependency = format!(
            r#"{{"name": "{to}", "req": "*", "kind": {kind}, "optional": false, "uses_default_features": true,
                "features": []}}"#
        );
        let json = format!(
            r#"{{"packages": [{}, {}], "version": 1, "workspace_root": "/w", "target_directory": "/w/target",
                "workspace_members": ["path+file:///w/{from}#0.1.0", "path+file:///w/{to}#0.1.0"]}}"#,
            package(from, &dependency),
            package(to, "")
        );
        cargo_metadata::MetadataCommand::parse(json).expect("the fixture is metadata")
    }

    #[test]
    fn a_forbidden_edge_of_any_kind_is_caught_where_it_is_written() {
        let read = |path: &str| {
            assert_eq!(path, "reports/Cargo.toml");
            Ok("[dependencies]\nharness.workspace = true\n".to_owned())
        };
        for kind in ["null", "\"dev\"", "\"build\""] {
            let found = edges(&metadata("reports", "harness", kind), &read).expect("the manifest is read");
            assert_eq!(found.len(), 1, "{kind}");
            assert_eq!((found[0].path.as_str(), found[0].line), ("reports/Cargo.toml", 2));
            assert!(found[0].what.contains("run log"), "{}", found[0].what);
        }
    }

    #[test]
    fn an_edge_of_the_map_is_fine() {
        let read = |_: &str| Err("not read".to_owned());
        assert_eq!(edges(&metadata("harness", "reports", "null"), &read), Ok(Vec::new()));
    }
}
