//! `streamer healthcheck`: the container's question whether its job is ready, without curl or a shell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::cli::Failure;
use crate::error::{Error, Result};

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct HealthArguments {
    /// Where the job serves /readyz.
    #[arg(long, default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    metrics_addr: SocketAddr,
}

const PATIENCE: Duration = Duration::from_secs(3);
/// An answer is a line of status and a few reasons.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Asks `/readyz`; anything but 200 is an error with its reasons.
pub(super) fn healthcheck(arguments: &HealthArguments) -> Result<u8, Failure> {
    let address = arguments.metrics_addr;
    let answer = ask(address).map_err(|e| Error::unavailable(format!("no job answers at \"{address}\": {e}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        return Ok(0);
    }
    Err(Error::unavailable(format!("the job is not ready: {}", body.trim().replace('\n', "; "))).into())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
