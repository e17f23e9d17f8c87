//! `harness schema` and `harness completions SHELL`: files that other programs read.

use super::args::{Cli, CompletionsArgs};
use super::output;
use crate::exit::ExitCode;
use crate::scenario::{guide_tables, schema_json};
use clap::CommandFactory as _;

/// With `guide`, the generated tables of `docs/scenarios.md` instead.
pub(super) fn schema(guide: bool) -> ExitCode {
    output::data_only(&if guide { guide_tables() } else { schema_json() })
}

pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "harness", &mut script);
    output::data_only(&String::from_utf8_lossy(&script))
}
