//! The program `coordinator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    coordinator::cli::main(std::env::args_os(), &[])
}
