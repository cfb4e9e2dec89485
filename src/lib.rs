//! `streamer`: one binary that runs Flink SQL over Kafka without Flink.
//!
//! Modules in reading order; arrows only go down (`tests/architecture.rs`). A batch walks one way:
//! `connectors` (bytes) → `formats` (rows) → `operators` (watermark, windows) → `connectors` (sinks),
//! wired by `runtime` from the plan that `sql` made of the script.

// foundation: words everyone may use
mod durable;
pub mod error;
pub mod failpoint;
pub mod limits;
pub mod metrics;
pub mod stream;
pub mod table;
pub mod time;

// the waist: what a script means
pub mod plan;

// leaves: each knows one craft
pub mod broker;
pub mod formats;
pub mod functions;
pub mod protocol;
pub mod state;

// the work
pub mod connectors;
pub mod operators;

// the two halves of the hourglass, and the device simulator
pub mod runtime;
pub mod simulator;
pub mod sql;

// the outside
pub mod cli;
pub mod server;
