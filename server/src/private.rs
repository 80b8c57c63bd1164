//! The private listener: how the server is, for whoever runs it. Never reachable from where users come from: it has an
//! address of its own, answers under the same names, and answers nothing else.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chat::Chat;
use http::{StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::host::{self, Hosts};
use crate::telemetry;

/// How often the histograms take in what was measured, when nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Private {
    chat: Chat,
    stopping: CancellationToken,
    metrics: PrometheusHandle,
}

/// The routes. `stopping` is cancelled as soon as the server is told to stop.
pub(crate) fn router(chat: Chat, hosts: Hosts, stopping: CancellationToken) -> Router {
    let state = Private { chat, stopping, metrics: telemetry::count() };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(hosts, host::guard))
        .with_state(state)
}

/// Keeps the histograms small. Never ends.
pub(crate) async fn upkeep() {
    let metrics = telemetry::count();
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// 200 while the process lives and takes commits.
async fn healthz(State(private): State<Private>) -> Response {
    private.health()
}

/// 200 while new users may be sent here: until the server is told to stop, or takes no commits.
async fn readyz(State(private): State<Private>) -> Response {
    if private.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "The server is stopping.\n").into_response();
    }
    private.health()
}

async fn metrics(State(private): State<Private>) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, private.metrics.render()).into_response()
}

impl Private {
    fn health(&self) -> Response {
        match self.chat.takes_commits() {
            true => "ok\n".into_response(),
            false => {
                (StatusCode::SERVICE_UNAVAILABLE, "The database takes no commits just now.\n").into_response()
            }
        }
    }
}
