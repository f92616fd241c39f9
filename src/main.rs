//! The binary: arguments to command.

use std::process::ExitCode;

fn main() -> ExitCode {
    keygate::commands::main()
}
