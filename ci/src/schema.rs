//! `cargo xtask schema`: the committed JSON Schema of scenario files is the one of the types.

use crate::workspace::{Outcome, Workspace};

const FILE: &str = "scenarios/scenario.schema.json";
/// The program has the only copy of the types.
const SAYS: [&str; 7] = ["cargo", "run", "--quiet", "--package", "harness", "--", "schema"];

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask schema --check")]
pub(crate) struct Args {
    /// Write nothing; fail if the committed file is another one
    #[arg(long)]
    check: bool,
}

pub(crate) fn schema(workspace: &Workspace, args: &Args) -> Outcome {
    if args.check { check(workspace) } else { write(workspace) }
}

fn write(workspace: &Workspace) -> Outcome {
    let text = workspace.read(&SAYS)?;
    std::fs::write(workspace.root().join(FILE), text).map_err(|error| format!("{FILE}: {error}"))?;
    eprintln!("wrote {FILE}");
    Ok(())
}

pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let wanted = workspace.read(&SAYS)?;
    let found =
        std::fs::read_to_string(workspace.root().join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    compare(&found, &wanted)
}

fn compare(found: &str, wanted: &str) -> Outcome {
    if found == wanted {
        return Ok(());
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(found, wanted)| found == wanted).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end of the file)").trim().to_owned();
    Err(format!(
        "{FILE}:{}: is `{}`, and the types say `{}`\nhint: cargo xtask schema writes it anew",
        same + 1,
        line(found),
        line(wanted)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_schema_passes() {
        assert_eq!(compare("{\n}\n", "{\n}\n"), Ok(()));
    }

    #[test]
    fn drift_is_told_with_its_line() {
        let error = compare("{\n  \"a\": 1\n}\n", "{\n  \"a\": 2\n}\n").unwrap_err();
        assert!(error.starts_with("scenarios/scenario.schema.json:2: is `\"a\": 1`"), "{error}");
        assert!(error.contains("the types say `\"a\": 2`"), "{error}");
    }

    #[test]
    fn a_schema_that_is_cut_off_is_drift() {
        let error = compare("{\n", "{\n}\n").unwrap_err();
        assert!(error.contains(":2: is `(the end of the file)`"), "{error}");
        // Differs in its last line break alone.
        assert!(compare("{\n}", "{\n}\n").is_err());
    }
}
