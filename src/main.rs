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

fn main() -> ExitCode {
    bound_allocator();
    ExitCode::from(streamer::cli::main(std::env::args_os()))
}
