//! Throttles floods: logins and registrations by rate per address, requests and sockets by how many are open.

mod crowd;
mod doors;
pub(crate) mod log;

use std::sync::Arc;

use app::visitor::ClientAddress;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chat::household;
use http::{HeaderValue, Method, header};
use protocol::{Code, Fault};

use crate::forms;
use crate::refusal::{Asker, refusal};
use crate::state::AppState;
pub(crate) use crowd::{Crowd, Share};
pub(crate) use doors::Doors;

/// Queues POSTs where waiting takes little memory. Their bodies have been read already, so no client can hold a turn by
/// being slow.
pub(crate) async fn take_turns(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let turn = match *request.method() {
        Method::POST => Some(state.doors.turns.acquire().await),
        _ => None,
    };
    let response = next.run(request).await;
    drop(turn);
    response
}

/// Rate-limits the doors: a flood gets 429 with `Retry-After`, or is redirected back to the form.
pub(crate) async fn hold_back(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let path = request.uri().path();
    let wait = match address {
        Some(ClientAddress(address)) if request.method() == Method::POST => state.doors.wait(path, address),
        _ => None,
    };
    let Some(wait) = wait else { return next.run(request).await };
    if let Some(ClientAddress(address)) = address {
        log::held_back("attempts a minute", address);
    }
    let seconds = wait.as_secs() + 1;
    let reason = format!("Too many attempts. Please try again in {seconds} seconds.");
    let fault = Fault::new(Code::TooMany, reason);
    let response = match request.uri().path().starts_with("/api/") {
        true => refusal(fault).into_response(),
        false => forms::turned_back(&state, request, &fault).await,
    };
    ([(header::RETRY_AFTER, HeaderValue::from(seconds))], response).into_response()
}

/// Counts the requests in progress of an address, even behind a trusted proxy, whose connections do not tell whose they
/// are.
pub(crate) async fn count(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let (Some(addresses), Some(ClientAddress(address))) = (&state.crowd.addresses, address) else {
        return next.run(request).await;
    };
    let Some(place) = addresses.take(household(address)) else {
        log::held_back("requests at once", address);
        return too_many(&Asker::of(&request));
    };
    let share = Share { _place: Arc::new(place) };
    request.extensions_mut().insert(share.clone());
    let response = next.run(request).await;
    drop(share); // unless a socket has kept it
    response
}

fn too_many(asker: &Asker) -> Response {
    const SECONDS: u16 = 5; // until somebody closes something; then soon
    let reason = "Too much at once from your address. Please close some windows and try again.";
    let refused = asker.refuse(Fault::new(Code::TooMany, reason));
    ([(header::RETRY_AFTER, HeaderValue::from(SECONDS))], refused).into_response()
}
