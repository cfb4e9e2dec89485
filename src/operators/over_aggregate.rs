//! stub
pub struct OverAggregateOperator;
