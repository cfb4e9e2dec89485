//! All tests that see the project from outside, as one binary: linking DataFusion once is enough.

mod architecture;
mod cli;
mod files;
mod main_job;
mod recovery;
mod support;
