//! `cargo xtask tidy`: the walls of docs/ARCHITECTURE.md and the habits of the code, as far as a
//! program can see them.
//!
//! A rule is a small function from one thing (a source file, a list of edges, a scenario) to
//! findings, with tests that show it a bad one. What the tree does not keep everywhere yet is counted, and
//! the count may only fall (`ratchets`). Compilers and clippy are asked first: nothing is here that
//! a lint of the workspace already refuses everywhere.

mod commits;
mod documents;
mod edges;
mod figures;
mod habits;
mod measures;
mod modules;
mod pairs;
mod ratchets;
mod source;
mod terms;
mod walls;

pub(crate) use documents::is_scenario;
pub(crate) use figures::figures;

use crate::workspace::{Outcome, Workspace, is_ci};
use ratchets::{Measure, Ratchets, Table};
use source::Source;
use std::fmt;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask tidy --tighten")]
pub(crate) struct Args {
    /// Lower each number of ci/ratchets.toml to what the tree has now
    #[arg(long)]
    tighten: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Error,
    Warning,
}

/// Something that is not as it should be: where, what, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    weight: Weight,
    what: String,
}

impl Finding {
    fn error(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, weight: Weight::Error, what: what.into() }
    }

    fn warning(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, ..Self::error(path, line, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.weight == Weight::Warning { "warning: " } else { "" };
        write!(f, "{}:{}: {note}{}", self.path, self.line, self.what)
    }
}

/// What is asked of every Rust file.
const RULES: [fn(&Source) -> Vec<Finding>; 15] = [
    walls::plans_are_pure,
    walls::the_harness_knows_little_of_the_coordinator,
    walls::lower_floors_know_nothing_above,
    walls::unsafe_stays_in_its_two_places,
    walls::only_command_lines_talk,
    walls::atomics_come_through_one_door,
    walls::files_are_made_anew,
    habits::no_test_is_ignored,
    habits::nothing_is_left_to_do,
    habits::no_comment_is_a_promise,
    habits::exceptions_have_reasons,
    habits::tests_do_not_sleep,
    habits::files_are_short,
    habits::modules_have_names,
    habits::docs_are_tested,
];

/// As a step of the check.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    tidy(workspace, &Args { tighten: false })
}

pub(crate) fn tidy(workspace: &Workspace, args: &Args) -> Outcome {
    let files = workspace.files()?;
    let (sources, mut findings) = sources(workspace, &files)?;
    findings.extend(edges::edges(&workspace.metadata, &|path| read(workspace, path))?);
    findings.extend(sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))));
    for file in files.iter().filter(|file| habits::is_script(file)) {
        findings.extend(habits::no_comment_in_a_script_is_a_promise(file, &read(workspace, file)?));
    }
    for file in files.iter().filter(|file| documents::is_scenario_folder(file)) {
        findings.extend(documents::scenarios_are_complete(file, &read(workspace, file)?));
    }
    if files.iter().any(|file| file == documents::ARCHITECTURE) {
        let text = read(workspace, documents::ARCHITECTURE)?;
        let crates: Vec<&str> =
            workspace.metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
        findings.extend(documents::the_map_is_complete(&text, &crates, &files));
    } else {
        eprintln!("tidy: skipped: there is no {} to hold the tree against", documents::ARCHITECTURE);
    }
    findings.extend(ratchets(workspace, &files, &sources, args)?);
    report(findings, files.len())
}

/// Whether any count has grown; with `--tighten`, writes those that have fallen.
fn ratchets(
    workspace: &Workspace,
    files: &[String],
    sources: &[Source],
    args: &Args,
) -> Outcome<Vec<Finding>> {
    let text = read(workspace, ratchets::FILE)?;
    let mut ratchets = match Ratchets::parse(&text) {
        Ok(ratchets) => ratchets,
        Err(finding) => return Ok(vec![finding]),
    };
    let mut measures = measures::of(sources);
    measures.extend(subjects(workspace, &ratchets.commits_after));
    match terms::retired(&read(workspace, terms::GLOSSARY)?) {
        Ok(retired) => measures.extend(terms_in(workspace, files, &retired)?),
        Err(finding) => return Ok(vec![finding]),
    }
    if !args.tighten {
        let strict = is_ci(std::env::var("CI").ok().as_deref());
        return Ok(ratchets.hold(&text, &measures, strict));
    }
    ratchets.tighten(&measures);
    let text = ratchets.to_text();
    std::fs::write(workspace.root().join(ratchets::FILE), &text)
        .map_err(|error| format!("{}: {error}", ratchets::FILE))?;
    eprintln!("wrote {}", ratchets::FILE);
    Ok(ratchets.hold(&text, &measures, false))
}

/// `None` in a shallow clone.
fn subjects(workspace: &Workspace, base: &str) -> Option<Measure> {
    let Some(long) = commits::long_subjects(workspace, base) else {
        eprintln!(
            "tidy: skipped: this clone does not have {base}, so the subjects of commits are not looked at"
        );
        return None;
    };
    let site = |commit: &String| {
        let what = format!("{commit}: a subject has at most {} characters", commits::LONGEST);
        Finding::error(ratchets::FILE, 1, what)
    };
    Some(Measure::rule("commit-subjects-over-72", long.iter().map(site).collect()))
}

fn terms_in(workspace: &Workspace, files: &[String], retired: &[terms::Term]) -> Outcome<Vec<Measure>> {
    let mut found = vec![Vec::new(); retired.len()];
    for file in files.iter().filter(|file| terms::is_spoken(file)) {
        let text = read(workspace, file)?;
        let words = terms::Words::of(file, &text);
        for (term, found) in retired.iter().zip(&mut found) {
            found.extend(words.find(term));
        }
    }
    let measure = |(term, sites): (&terms::Term, Vec<Finding>)| Measure {
        table: Table::Terms,
        ..Measure::rule(term.name(), sites)
    };
    Ok(retired.iter().zip(found).map(measure).collect())
}

fn read(workspace: &Workspace, path: &str) -> Outcome<String> {
    std::fs::read_to_string(workspace.root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// `.RS` is not Rust's.
fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

/// Every Rust file, and what is wrong with those that are none.
fn sources(workspace: &Workspace, files: &[String]) -> Outcome<(Vec<Source>, Vec<Finding>)> {
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| has_extension(path, "rs")) {
        match Source::parse(path, &read(workspace, path)?) {
            Ok(source) => sources.push(source),
            Err(finding) => findings.push(finding),
        }
    }
    source::mark_outlined_tests(&mut sources);
    Ok((sources, findings))
}

fn report(mut findings: Vec<Finding>, files: usize) -> Outcome {
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        eprintln!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.weight == Weight::Error).count();
    let warnings = findings.len() - errors;
    let counts = format!("{files} files, {errors} errors, {warnings} warnings");
    if errors > 0 {
        return Err(format!("tidy: {counts}"));
    }
    eprintln!("tidy: {counts}");
    Ok(())
}

/// The lines that a rule finds in a file of that name and text.
#[cfg(test)]
fn lines(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    let source = Source::parse(path, text).expect("the fixture is Rust");
    rule(&source).iter().map(|finding| finding.line).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    const RUST: &str = "//! A file.\n\nfn f() {}\n";
    const GLOSSARY: &str =
        "# Glossary\n\n## Retired\n\n| retired | use instead |\n|---|---|\n| wight | ghost |\n";

    /// A checkout that keeps all rules, with one commit after the one from which on subjects are looked at.
    pub(crate) fn kept() -> Tree {
        let map = "- `harness/`, `coordinator/`: a\n- `docs/`: b\n- `ci/`: c\n- `scenarios/`: d\n";
        let tree = Tree::new(&[
            (documents::ARCHITECTURE, map),
            (terms::GLOSSARY, GLOSSARY),
            ("scenarios/a.toml", "#:schema scenario.schema.json\nasks = \"Does it?\"\n"),
            ("harness/src/lib.rs", RUST),
        ]);
        let base = tree.commit(&"x".repeat(100));
        tree.write(ratchets::FILE, &format!("[commits]\nafter = \"{base}\"\n[rules]\n[terms]\nwight = 0\n"));
        tree.commit("Short");
        tree
    }

    fn said(tree: &Tree) -> Outcome {
        tidy(&tree.workspace, &Args { tighten: false })
    }

    /// Errors while a file has this text.
    fn errors_with(tree: &Tree, path: &str, text: &str) -> usize {
        let before = std::fs::read_to_string(tree.path(path)).ok();
        tree.write(path, text);
        let error = said(tree).expect_err(path);
        match before {
            Some(before) => tree.write(path, &before),
            None => std::fs::remove_file(tree.path(path)).unwrap(),
        }
        let words: Vec<&str> = error.split(' ').collect();
        let at = words.iter().position(|word| *word == "errors,").unwrap();
        words[at - 1].parse().unwrap()
    }

    #[test]
    fn a_checkout_that_keeps_all_rules_passes() {
        let tree = kept();
        assert_eq!(said(&tree), Ok(()));
        assert_eq!(check(&tree.workspace), Ok(()));
        // A base that this clone does not have, as in a shallow one, is not an error.
        let ratchets = tree.read(ratchets::FILE);
        let base = ratchets.split('"').nth(1).unwrap();
        tree.write(ratchets::FILE, &ratchets.replace(base, &"1".repeat(40)));
        assert_eq!(said(&tree), Ok(()));
    }

    #[test]
    fn a_file_that_breaks_one_rule_is_found_and_no_other_rule_finds_it() {
        let tree = kept();
        for (path, text) in [
            ("harness/src/engine.rs", "use coordinator::bus::ring;\n"),
            ("coordinator/src/os/clock.rs", "use crate::client::Client;\n"),
            ("coordinator/src/plan/retry.rs", "use std::fs;\nconst _: () = assert!(true);\n"),
            ("coordinator/src/client.rs", "fn f() { unsafe { g() } }\n"),
            ("coordinator/src/client.rs", "use std::sync::atomic::AtomicU32;\n"),
            ("harness/src/engine.rs", "fn f() { println!(); }\n"),
            ("harness/src/engine.rs", "fn f() { File::create(a); }\n"),
            ("harness/src/engine.rs", "#[test]\n#[ignore]\nfn f() {}\n"),
            ("harness/src/engine.rs", "fn f() { todo!() }\n"),
            ("harness/src/engine.rs", "#[allow(a)]\nfn f() {}\n"),
            ("harness/tests/a.rs", "fn f() { std::thread::sleep(a); }\n"),
            ("harness/src/utils.rs", RUST),
            ("harness/src/engine.rs", "fn f() {\n"),
            ("scenarios/b.toml", "#:schema scenario.schema.json\n"),
            ("scenarios/c.sh", concat!("# FIX", "ME: later\n")),
            ("tools/a", ""),
            (terms::GLOSSARY, "## Retired\n| wight |\n"),
            (ratchets::FILE, "[rules]\n"),
        ] {
            assert_eq!(errors_with(&tree, path, text), 1, "{path}: {text}");
        }
        // What is counted is an error where it is, and in the file of the counts.
        for (path, text) in [
            ("harness/src/engine.rs", "fn f() { a.expect(\"set\"); }\n"),
            ("harness/src/engine.rs", "fn f() {} // a wight\n"),
            ("coordinator/src/plan/retry.rs", "fn f() {}\n"),
        ] {
            assert_eq!(errors_with(&tree, path, text), 2, "{path}: {text}");
        }
        assert_eq!(said(&tree), Ok(()));
    }

    #[test]
    fn a_subject_that_is_too_long_is_an_error_after_the_base_alone() {
        let tree = kept();
        tree.commit(&"x".repeat(73));
        // The commit, and the count that has grown.
        assert!(said(&tree).unwrap_err().ends_with(" 2 errors, 0 warnings"));
    }

    #[test]
    fn what_has_grown_is_listed_with_its_sites_and_what_has_become_less_can_be_tightened() {
        let tree = kept();
        let ratchets = tree.read(ratchets::FILE);
        tree.write(ratchets::FILE, &ratchets.replace("wight = 0", "wight = 3"));
        tree.write("harness/src/engine.rs", "// a wight\n");
        tidy(&tree.workspace, &Args { tighten: true }).unwrap();
        assert!(tree.read(ratchets::FILE).ends_with("[terms]\nwight = 1\n"));
        tree.write("harness/src/engine.rs", "// a wight, a wight\n");
        assert!(tidy(&tree.workspace, &Args { tighten: true }).is_err(), "a number never rises");
        assert!(tree.read(ratchets::FILE).ends_with("[terms]\nwight = 1\n"));
    }

    #[test]
    fn a_tree_without_a_map_has_none_to_keep_and_a_glossary_is_needed() {
        let tree = kept();
        tree.write("tools/a", "");
        std::fs::remove_file(tree.path(documents::ARCHITECTURE)).unwrap();
        assert_eq!(said(&tree), Ok(()));
        std::fs::remove_file(tree.path(terms::GLOSSARY)).unwrap();
        assert!(said(&tree).unwrap_err().starts_with("docs/glossary.md: "));
    }

    #[test]
    fn a_finding_reads_as_editors_expect() {
        let finding = Finding::error("a/b.rs", 3, "what");
        assert_eq!(finding.to_string(), "a/b.rs:3: what");
        assert_eq!(Finding::warning("a/b.rs", 3, "what").to_string(), "a/b.rs:3: warning: what");
    }

    #[test]
    fn warnings_alone_pass_and_one_error_does_not() {
        assert!(report(vec![Finding::warning("a", 1, "w")], 1).is_ok());
        assert!(report(vec![Finding::warning("a", 1, "w"), Finding::error("a", 1, "e")], 1).is_err());
    }
}
