//! `coordinator completions SHELL`: a script for the shell.

use super::{Cli, OK, print};
use clap::CommandFactory as _;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator completions fish > ~/.config/fish/completions/coordinator.fish"
)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn main(args: &Args) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "coordinator", &mut script);
    print::output(&script).err().unwrap_or(OK)
}
