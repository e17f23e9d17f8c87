//! The program `harness`.

use harness::exit::ExitCode;

fn main() -> ExitCode {
    harness::cli::main()
}
