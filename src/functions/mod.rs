//! Functions with Flink's names, types and results. `functions()` is the list; a name not on it is refused,
//! with the nearest one, even if DataFusion has a function of that name.

pub mod aggregate;
pub mod scalar;
pub mod text;
pub mod time;
