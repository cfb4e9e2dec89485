//! Parses the command line, runs the verb, exits with its code. Nothing else.

use std::process::ExitCode;

/// Keeps the system's allocator from holding memory it does not use.
///
/// Rows are made in one thread and freed in another. glibc gives each thread an arena and lets the bound above
/// which it returns memory grow to 32 MiB: the main job then holds 278 MB instead of 136 MB.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "mallopt is a C function; it is called before any thread is started")]
fn bound_allocator() {
    const RETURN_ABOVE_BYTES: libc::c_int = 128 << 10;
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, RETURN_ABOVE_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, RETURN_ABOVE_BYTES);
    }
}

#[cfg(not(target_env = "gnu"))]
fn bound_allocator() {}

/// Lets a write beyond `ulimit -f` fail like any other, with its error, instead of ending the process without a word.
#[cfg(unix)]
#[expect(unsafe_code, reason = "signal is a C function; to ignore a signal runs no code of ours in it")]
fn ignore_size_limit() {
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

#[cfg(not(unix))]
fn ignore_size_limit() {}

fn main() -> ExitCode {
    bound_allocator();
    ignore_size_limit();
    ExitCode::from(streamer::cli::main(std::env::args_os()))
}
