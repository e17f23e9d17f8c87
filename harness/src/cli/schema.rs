//! `harness schema` and `harness completions SHELL`: files that other programs read.

use super::args::{Cli, CompletionsArgs};
use super::talk;
use crate::exit::ExitCode;
use crate::scenario::schema_json;
use clap::CommandFactory as _;

pub(super) fn schema() -> ExitCode {
    talk::data_is_all(&schema_json())
}

pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "harness", &mut script);
    talk::data_is_all(&String::from_utf8_lossy(&script))
}
