//! `/healthz`, `/readyz` and `/metrics`, over plain HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::source::SourceStatus;

#[derive(Clone)]
struct Shared {
    readiness: Readiness,
    registry: Arc<Registry>,
    source: Arc<OnceLock<SourceStatus>>,
}

/// Binds the listener; the returned future serves until `stop`.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    registry: Registry,
    source: Arc<OnceLock<SourceStatus>>,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    let app = router(readiness, registry, source);
    Ok(async move {
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the HTTP listener failed");
        }
    })
}

fn router(readiness: Readiness, registry: Registry, source: Arc<OnceLock<SourceStatus>>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shared {
            readiness,
            registry: Arc::new(registry),
            source,
        })
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let (status, mut text) = match shared.readiness.explain() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    };
    // What is wrong with the source does not keep the agent from serving.
    for problem in shared
        .source
        .get()
        .map(SourceStatus::problems)
        .unwrap_or_default()
    {
        text.push_str(&problem);
        text.push('\n');
    }
    (status, text)
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shared.registry) {
        Ok(()) => (
            StatusCode::OK,
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            error.to_string(),
        ),
    }
}
