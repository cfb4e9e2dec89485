//! HTTP on loopback: `/metrics` (Prometheus text), `/livez`, `/readyz`. Reads counters, changes nothing.

mod exposition;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::error::{Error, Result};
use crate::limits::HTTP_BODY_BYTES_MAX;
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
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX))
        .with_state(watched);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics server stopped");
        }
    });
    Ok(Server { address, task })
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
    use super::*;
    use crate::time::system_clock;

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
