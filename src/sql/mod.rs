//! stub
pub mod parser;
