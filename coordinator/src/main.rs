//! The program `coordinator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(coordinator::cli::main(std::env::args_os(), &[]))
}
