//! The private listener: health and metrics for the operator, and nothing else. It has an address of its own, which
//! users must not be able to reach, and answers under the same names.

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

use crate::hosts::{self, Hosts};
use crate::telemetry;

/// How often the histograms are compacted when nobody scrapes them.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Private {
    chat: Chat,
    stopping: CancellationToken,
    metrics: PrometheusHandle,
}

/// Builds the routes. `stopping` is cancelled as soon as the server begins to stop.
pub(crate) fn router(chat: Chat, hosts: Hosts, stopping: CancellationToken) -> Router {
    let state = Private { chat, stopping, metrics: telemetry::count() };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(hosts, hosts::guard))
        .with_state(state)
}

/// Keeps the histograms small. Never returns.
pub(crate) async fn upkeep() {
    let metrics = telemetry::count();
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Answers 200 while the process is alive and can commit.
async fn healthz(State(private): State<Private>) -> Response {
    private.health()
}

/// Answers 200 while new users may be sent here: until the server begins to stop, or cannot commit.
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
