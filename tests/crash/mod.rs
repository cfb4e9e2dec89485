//! The crash harness: one script writes the same results to every kind of sink while processes, brokers and steps of
//! the protocol are broken under it; at the end each sink is read by other means than the engine's and compared with
//! plain loops over the input.
//!
//! ```text
//!  load ─► input topic ─► streamer (killed, stopped, failing, taken over) ─► kafka · parquet · postgres
//!             └──────────► oracle: what must be there ◄── compared ◄──────────┘
//! ```
//! `tests/crash/main.rs` is the command; `slice.rs` is what the tests have time for.

pub(crate) mod cluster;
pub(crate) mod job;
pub(crate) mod load;
pub(crate) mod oracle;
pub(crate) mod plan;
pub(crate) mod round;
pub(crate) mod sinks;

#[cfg(test)]
mod slice;
