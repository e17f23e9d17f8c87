//! `harness schema` and `harness completions SHELL`: files that other programs read.

use super::args::{Cli, CompletionsArgs, SchemaArgs};
use super::output;
use crate::exit::ExitCode;
use crate::scenario::{guide_tables, phases, schema_json};
use clap::CommandFactory as _;

/// With `guide`, the generated tables of `docs/scenarios.md` instead.
pub(super) fn schema(args: &SchemaArgs) -> ExitCode {
    match args {
        SchemaArgs { guide: true, json: true, .. } => object("guide", &guide_tables()),
        SchemaArgs { guide: true, .. } => output::file_only(&guide_tables()),
        SchemaArgs { phases: true, .. } => output::data_only(&phases::schema_json()),
        SchemaArgs { .. } => output::data_only(&schema_json()),
    }
}

/// A text as the only value of a JSON object.
fn object(key: &str, text: &str) -> ExitCode {
    output::data_only(&format!("{:#}\n", serde_json::json!({ key: text })))
}

pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "harness", &mut script);
    let script = String::from_utf8_lossy(&script);
    if args.json { object("script", &script) } else { output::file_only(&script) }
}
