//! stub
use crate::error::{Error,Result};
use super::feed::Feed; use super::Config;
pub fn series(_f:&[std::path::PathBuf],_w:Option<&std::path::Path>,_s:u16)->Result<Vec<(i32,Box<dyn Feed>)>>{Err(Error::internal("stub"))}
pub fn devices(_f:&std::path::Path,_w:&Config)->Result<Vec<(i32,Box<dyn Feed>)>>{Err(Error::internal("stub"))}
