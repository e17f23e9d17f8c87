//! `cargo xtask schema`: what the repository holds of the scenario format is what the program declares.
//!
//! Three files: the JSON Schemas of scenario files and of plans, and the tables of keys and metrics in their guide.

use crate::workspace::{Outcome, Workspace};

const SCHEMA: &str = "scenarios/scenario.schema.json";
const PLANS: &str = "scenarios/phases.schema.json";
const GUIDE: &str = "docs/scenarios.md";
/// All that is written.
#[cfg(test)]
pub(crate) const FILES: [&str; 3] = [SCHEMA, PLANS, GUIDE];
/// The program has the only declarations.
const PRINT_SCHEMA: [&str; 7] = ["cargo", "run", "--quiet", "--package", "harness", "--", "schema"];
const PRINT_PLANS: [&str; 8] =
    ["cargo", "run", "--quiet", "--package", "harness", "--", "schema", "--phases"];
const PRINT_TABLES: [&str; 8] =
    ["cargo", "run", "--quiet", "--package", "harness", "--", "schema", "--guide"];

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask schema --check")]
pub(crate) struct Args {
    /// Write nothing; fail if a committed file differs
    #[arg(long)]
    check: bool,
}

pub(crate) fn schema(workspace: &Workspace, args: &Args) -> Outcome {
    if args.check { check(workspace) } else { write(workspace) }
}

fn write(workspace: &Workspace) -> Outcome {
    for (file, text) in wanted(workspace)? {
        std::fs::write(workspace.root().join(file), text).map_err(|error| format!("{file}: {error}"))?;
        eprintln!("wrote {file}");
    }
    Ok(())
}

pub(crate) fn check(workspace: &Workspace) -> Outcome {
    wanted(workspace)?
        .into_iter()
        .try_for_each(|(file, wanted)| compare(file, &committed(workspace, file)?, &wanted))
}

/// Each file and what it should be.
fn wanted(workspace: &Workspace) -> Outcome<[(&'static str, String); 3]> {
    let schema = workspace.read(&PRINT_SCHEMA)?;
    let tables = workspace.read(&PRINT_TABLES)?;
    let plans = workspace.read(&PRINT_PLANS)?;
    Ok([(SCHEMA, schema), (PLANS, plans), (GUIDE, with_tables(&committed(workspace, GUIDE)?, &tables)?)])
}

fn committed(workspace: &Workspace, file: &str) -> Outcome<String> {
    std::fs::read_to_string(workspace.root().join(file)).map_err(|error| format!("{file}: {error}"))
}

/// The guide with each generated block of `tables` in the place of the old one. A block begins and ends with a
/// marker, which is a comment on a line of its own.
fn with_tables(guide: &str, tables: &str) -> Outcome<String> {
    let mut guide = guide.to_owned();
    let mut rest = tables;
    while let Some((first, _)) = rest.split_once('\n') {
        let name =
            first.strip_prefix("<!-- begin ").and_then(|marker| marker.split_once(':')).map(|(name, _)| name);
        let name = name.ok_or_else(|| format!("`{first}` does not begin a block of the guide"))?;
        let last = format!("<!-- end {name} -->\n");
        let end = rest.find(&last).ok_or_else(|| format!("the block `{name}` of the guide has no end"))?;
        let (block, after) = rest.split_at(end + last.len());
        let old = guide
            .find(&format!("{first}\n"))
            .and_then(|from| Some(from..from + guide[from..].find(&last)? + last.len()))
            .ok_or_else(|| {
                format!("{GUIDE}: has no place for `{name}`\nhint: write `{first}` and `{}`", last.trim_end())
            })?;
        guide.replace_range(old, block);
        rest = after;
    }
    Ok(guide)
}

fn compare(file: &str, found: &str, wanted: &str) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(found, wanted)| found == wanted).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end of the file)").trim().to_owned();
    Err(format!(
        "{file}:{}: is `{}`, but the declarations give `{}`\nhint: run cargo xtask schema",
        same + 1,
        line(found),
        line(wanted)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    #[test]
    fn what_is_written_is_what_the_program_declares_and_a_committed_file_that_differs_is_named() {
        let tree = Tree::new(&[(GUIDE, "one\n<!-- begin a: x -->\n<!-- end a -->\ntwo\n")]);
        let tables = "printf '<!-- begin a: x -->\\n1\\n<!-- end a -->\\n'";
        tree.program(
            "cargo",
            &format!(
                "case \"$*\" in *--phases) echo plans;; *--guide) {tables};; *schema) echo schema;; esac"
            ),
        );
        let run = |check| schema(&tree.workspace, &Args { check });
        assert!(
            run(true).unwrap_err().starts_with("scenarios/scenario.schema.json: "),
            "it is not there yet"
        );
        std::fs::create_dir(tree.path("scenarios")).unwrap();
        assert_eq!(run(false), Ok(()));
        assert_eq!(run(true), Ok(()));
        assert_eq!((tree.read(SCHEMA), tree.read(PLANS)), ("schema\n".to_owned(), "plans\n".to_owned()));
        assert_eq!(tree.read(GUIDE), "one\n<!-- begin a: x -->\n1\n<!-- end a -->\ntwo\n");
        for file in FILES {
            let before = tree.read(file);
            let bent = before.replacen(['s', 'p', '1'], "other", 1);
            tree.write(file, &bent);
            assert!(run(true).unwrap_err().starts_with(&format!("{file}:")), "{file}");
            assert_eq!(tree.read(file), bent, "a check writes nothing");
            tree.write(file, &before);
        }
        tree.program("cargo", "exit 101");
        assert!(run(false).unwrap_err().ends_with("failed: exit status: 101"));
    }

    #[test]
    fn the_same_schema_passes() {
        assert_eq!(compare(SCHEMA, "{\n}\n", "{\n}\n"), Ok(()));
    }

    #[test]
    fn drift_is_reported_with_its_line() {
        let error = compare(SCHEMA, "{\n  \"a\": 1\n}\n", "{\n  \"a\": 2\n}\n").unwrap_err();
        assert!(error.starts_with("scenarios/scenario.schema.json:2: is `\"a\": 1`"), "{error}");
        assert!(error.contains("the declarations give `\"a\": 2`"), "{error}");
    }

    #[test]
    fn a_schema_that_is_cut_off_is_drift() {
        let error = compare(SCHEMA, "{\n", "{\n}\n").unwrap_err();
        assert!(error.contains(":2: is `(the end of the file)`"), "{error}");
        // Differs in its last line break alone.
        assert!(compare(SCHEMA, "{\n}", "{\n}\n").is_err());
    }

    const BLOCKS: &str = "<!-- begin a: x -->\n1\n<!-- end a -->\n<!-- begin b: x -->\n2\n<!-- end b -->\n";

    #[test]
    fn tables_replace_the_blocks_of_the_guide_and_nothing_else() {
        let guide =
            "one\n<!-- begin b: x -->\n<!-- end b -->\ntwo\n<!-- begin a: x -->\nold\n<!-- end a -->\n";
        let wanted =
            "one\n<!-- begin b: x -->\n2\n<!-- end b -->\ntwo\n<!-- begin a: x -->\n1\n<!-- end a -->\n";
        assert_eq!(with_tables(guide, BLOCKS).as_deref(), Ok(wanted));
        assert_eq!(with_tables(wanted, BLOCKS).as_deref(), Ok(wanted));
    }

    #[test]
    fn a_guide_without_a_block_is_met_with_its_markers() {
        let error = with_tables("<!-- begin b: x -->\n<!-- end b -->\n", BLOCKS).unwrap_err();
        assert!(error.contains("`<!-- begin a: x -->` and `<!-- end a -->`"), "{error}");
        assert!(with_tables("", "1\n").is_err());
    }
}
