//! Parses the command line, runs the verb, exits with its code. Nothing else.

use std::process::ExitCode;

/// Rows are made in one thread and freed in another; the system's allocator keeps what each thread freed in
/// arenas of its own, which doubled the resident memory of the main job (278 MB against 136 MB with one arena).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(streamer::cli::main(std::env::args_os()))
}
