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
mod tests {
    use super::*;

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
