//! All routes and layers on one screen.

use any_spawner::Executor;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::{HeaderValue, Method, StatusCode, header};
use leptos::prelude::provide_context;
use protocol::{Code, Fault};
use tower_http::catch_panic::CatchPanicLayer;

use crate::refusal::{Asker, refusal};
use crate::state::AppState;
use crate::{
    answer, client, cookies, device, forms, headers, hosts, limits, logins, origin, page, plain, ws,
};

/// Most bytes of a request body.
const BODY: usize = 16 * 1024;

/// Builds the whole server. The last layer runs first.
pub(crate) fn router(state: AppState) -> Router {
    // Leptos spawns tasks while it renders. A second server in this process finds it done.
    let _ = Executor::init_tokio();
    let layer = logins::layer(state.chat.clone(), state.config.public_origin.as_ref());
    let router = Router::new();
    #[cfg(feature = "echo")]
    let router = router.route("/echo", get(ws::echo::upgrade));
    router
        .route("/ws", get(ws::upgrade))
        .route("/api/load", any(answer::load))
        .route("/api/{*function}", any(server_function))
        .route("/register", get(page::page).post(forms::register))
        .route("/login", get(page::page).post(forms::login))
        .route("/logout", post(forms::logout))
        .route("/about", get(plain::about))
        .fallback(page::page)
        .layer(layer)
        .layer(middleware::from_fn_with_state(state.clone(), device::slip))
        .layer(middleware::from_fn_with_state(state.clone(), limits::hold_back))
        .layer(middleware::from_fn_with_state(state.clone(), limits::take_turns))
        .layer(middleware::from_fn_with_state(state.clone(), bound_body))
        .layer(middleware::from_fn_with_state(state.clone(), origin::guard))
        .layer(middleware::from_fn_with_state(state.clone(), limits::count))
        .layer(middleware::from_fn_with_state(state.clone(), client::find))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(cookies::single))
        .layer(middleware::from_fn_with_state(state.hosts.clone(), hosts::guard))
        .layer(middleware::from_fn_with_state(state.clone(), headers::add))
        .with_state(state)
}

/// Runs the server function of this path. Always answers JSON, regardless of `Accept`: for `text/html` leptos would
/// redirect to the `Referer`, with the error in the URL.
async fn server_function(State(state): State<AppState>, mut request: Request) -> Response {
    let exists = server_fn_exists(request.method(), request.uri().path());
    if !exists {
        return refusal(Fault::of(Code::NotFound)).into_response();
    }
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let signs_out = request.uri().path() == "/api/logout";
    let context = move || provide_context(state.chat.clone());
    let mut response = leptos_axum::handle_server_fns_with_context(context, request).await.into_response();
    if signs_out && response.status() == StatusCode::OK {
        response.headers_mut().insert(headers::CLEAR_SITE_DATA, HeaderValue::from_static(headers::FORGET));
    }
    response
}

fn server_fn_exists(method: &Method, path: &str) -> bool {
    leptos::server_fn::axum::server_fn_paths().any(|(known, takes)| known == path && takes == *method)
}

/// Reads the whole body, within its size and time limits, before any handler sees it.
async fn bound_body(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let asker = Asker::of(&request);
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(state.config.body_patience, axum::body::to_bytes(body, BODY)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => {
            let reason = format!("The server takes at most {} KiB at once.", BODY / 1024);
            asker.refuse(Fault::new(Code::TooLarge, reason))
        }
        Err(_) => {
            let fault = Fault::new(Code::Malformed, "The request did not arrive in time.");
            asker.refuse_with(StatusCode::REQUEST_TIMEOUT, fault)
        }
    }
}

/// Answers for a bug of ours. The panic itself is on standard error.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    refusal(Fault::of(Code::Internal)).into_response()
}
