//! All tests that see the project from outside, as one binary: linking DataFusion once is enough.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, says on standard output what was not run, and waits by the clock"
)]

mod architecture;
mod bad_input;
mod cli;
mod crash;
mod files;
mod fuzz;
mod ground_truth;
mod kafka_security;
mod kafka_tables;
mod main_job;
mod postgres;
mod protocol;
mod recovery;
mod standby;
mod state;
mod support;
