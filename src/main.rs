//! Parses the command line, runs the verb, exits with its code. Nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(streamer::cli::main(std::env::args_os()))
}
