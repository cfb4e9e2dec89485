//! stub
pub fn main(_args: std::env::ArgsOs) -> u8 { 0 }
