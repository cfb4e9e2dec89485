//! HTTP on loopback: `/metrics` (Prometheus text), `/livez`, `/readyz`. Reads counters, changes nothing.

mod connections;
mod exposition;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use self::connections::Bounded;
use crate::error::{Error, Result};
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_CONNECTION_TIME_MAX, HTTP_CONNECTIONS_MAX};
use crate::metrics::Metrics;
use crate::time::Clock;

/// What the handlers read.
#[derive(Clone)]
struct Watched {
    metrics: Arc<Metrics>,
    clock: Clock,
    /// A checkpoint older than this is no longer fresh.
    checkpoint_age_max: Duration,
}

/// The server's task and address; dropping it stops the server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on `address`. `checkpoint_interval` decides how old a checkpoint may be for `/readyz`: three of it.
///
/// # Errors
/// `Config` if the address is not loopback and `exposed` is false, or cannot be bound.
pub async fn start(
    address: SocketAddr,
    exposed: bool,
    metrics: Arc<Metrics>,
    clock: Clock,
    checkpoint_interval: Duration,
) -> Result<Server> {
    if !address.ip().is_loopback() && !exposed {
        return Err(Error::config(format!("metrics address \"{address}\" can be reached from other machines"))
            .hint("use 127.0.0.1, or add --expose-metrics if that is wanted: there is no password"));
    }
    let listener = TcpListener::bind(address).await.map_err(|e| {
        Error::config(format!("cannot listen on \"{address}\": {e}"))
            .hint("give another address with --metrics-addr, or turn it off with --metrics-addr none")
    })?;
    let address = listener.local_addr()?;
    // A slow store must not make the job look dead: the floor covers long intervals' jitter.
    let checkpoint_age_max = (checkpoint_interval * 3).max(Duration::from_secs(10));
    let watched = Watched { metrics, clock, checkpoint_age_max };
    let router = Router::new()
        .route("/metrics", get(exposition))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .layer(middleware::from_fn(bounded_body))
        .with_state(watched);
    let listener = Bounded::new(listener, HTTP_CONNECTIONS_MAX, HTTP_CONNECTION_TIME_MAX);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics server stopped");
        }
    });
    Ok(Server { address, task })
}

/// Refuses requests with a large body, or one of unknown size. Nobody here reads one.
async fn bounded_body(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return StatusCode::LENGTH_REQUIRED.into_response();
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > HTTP_BODY_BYTES_MAX) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    next.run(request).await
}

async fn exposition(State(watched): State<Watched>) -> Response {
    match exposition::text(&watched.metrics) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(watched): State<Watched>) -> Response {
    let reasons = not_ready(&watched);
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))).into_response()
}

/// Why the job is not ready; empty if it is.
fn not_ready(watched: &Watched) -> Vec<String> {
    let mut reasons = Vec::new();
    if !watched.metrics.ready.load(Ordering::Acquire) {
        reasons.push("not every source and sink is open".to_owned());
    }
    let committed = watched.metrics.checkpoints.committed_ms.load(Ordering::Relaxed);
    let age = watched.clock.now_ms().saturating_sub(committed);
    if committed == 0 {
        reasons.push("no checkpoint yet".to_owned());
    } else if age > watched.checkpoint_age_max.as_millis() as i64 {
        reasons.push(format!("the last checkpoint is {} s old", age / 1000));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::time::system_clock;

    /// First line of the answer to `head` and a body of so many bytes; empty if there is none.
    async fn asked(address: SocketAddr, head: &str, body: usize) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that has answered need not read to the end.
        let _sent = stream.write_all(format!("{head}\r\n{}", "x".repeat(body)).as_bytes()).await;
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    }

    async fn server() -> Server {
        start("127.0.0.1:0".parse().unwrap(), false, Arc::default(), system_clock(), Duration::from_secs(1))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn large_bodies_and_heads_are_refused() {
        let server = server().await;
        let get = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
        assert_eq!(asked(server.address, get, 0).await, "HTTP/1.1 200 OK");
        let sized = |size: usize| format!("{get}Content-Length: {size}\r\n");
        let most = asked(server.address, &sized(HTTP_BODY_BYTES_MAX), HTTP_BODY_BYTES_MAX).await;
        assert_eq!(most, "HTTP/1.1 200 OK");
        // Told by the head: the body is not waited for.
        let more = asked(server.address, &sized(HTTP_BODY_BYTES_MAX + 1), 0).await;
        assert_eq!(more, "HTTP/1.1 413 Payload Too Large");
        let unknown = asked(server.address, &format!("{get}Transfer-Encoding: chunked\r\n"), 0).await;
        assert_eq!(unknown, "HTTP/1.1 411 Length Required");
        let head = asked(server.address, &format!("{get}X: {}\r\n", "x".repeat(1 << 20)), 0).await;
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 431"), "{head}");
        let headers = asked(server.address, &format!("{get}{}", "X: y\r\n".repeat(1000)), 0).await;
        assert!(headers.starts_with("HTTP/1.1 431"), "{headers}");
    }

    #[tokio::test]
    async fn no_more_connections_than_places_are_served_and_the_next_waits() {
        let server = server().await;
        let mut silent = Vec::new();
        for _ in 0..HTTP_CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            // An answer shows that it has its place.
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
            silent.push(stream);
        }
        let mut next = TcpStream::connect(server.address).await.unwrap();
        next.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        assert!(tokio::time::timeout(Duration::from_millis(100), next.read(&mut answer)).await.is_err());
        silent.pop();
        assert!(next.read(&mut answer).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_ends_and_makes_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Bounded::new(listener, 1, Duration::from_millis(50));
        let router = Router::new().route("/livez", get(async || "alive\n"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
        let answer = asked(address, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", 0).await;
        assert_eq!(answer, "HTTP/1.1 200 OK");
        assert!(matches!(silent.read(&mut [0; 16]).await, Ok(0) | Err(_)));
        server.abort();
    }

    #[tokio::test]
    async fn refuses_to_be_reached_from_outside() {
        let address = "0.0.0.0:0".parse().unwrap();
        let result = start(address, false, Arc::default(), system_clock(), Duration::from_secs(1)).await;
        assert!(result.is_err_and(|e| e.hint_text().is_some_and(|h| h.contains("--expose-metrics"))));
    }

    #[test]
    fn ready_needs_open_connectors_and_a_fresh_checkpoint() {
        let metrics = Arc::new(Metrics::default());
        let clock = system_clock();
        let watched = Watched {
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            checkpoint_age_max: Duration::from_secs(10),
        };
        assert_eq!(not_ready(&watched).len(), 2);
        metrics.ready.store(true, Ordering::Release);
        metrics.checkpoints.committed_ms.store(clock.now_ms(), Ordering::Relaxed);
        assert_eq!(not_ready(&watched), Vec::<String>::new());
        metrics.checkpoints.committed_ms.store(clock.now_ms() - 60_000, Ordering::Relaxed);
        assert!(not_ready(&watched)[0].contains("60 s old"));
    }
}
