//! `coordinator floor`: how long as many bare forks take as a fleet has processes, in nanoseconds. For programs.

use super::number::number;
use super::{OK, UNFIT, print};
use crate::process::floor::bare_forks;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Forks, one after the other
    #[arg(long, value_name = "N", value_parser = number(1_u32, 2_000_000))]
    processes: u32,
}

pub(super) fn main(args: &Args) -> u8 {
    match bare_forks(args.processes) {
        Ok(took) => print::output(format!("{}\n", took.as_nanos()).as_bytes()).err().unwrap_or(OK),
        Err(errno) => {
            print::error(
                format!("{} forks: {errno}", args.processes),
                "`coordinator capacity` shows the limits",
            );
            UNFIT
        }
    }
}
