//! CAST with Flink's rules.

pub(in crate::functions) mod number;
