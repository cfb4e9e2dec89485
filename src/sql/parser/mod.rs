//! The script layer: text of a Flink SQL script to statements.
pub mod ast;
