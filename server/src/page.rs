//! Everything people see: files, and pages rendered on the server from the visitor's state.

use std::str::FromStr;

use app::boot::{Boot, Place};
use app::visitor::{ClientAddress, Visitor};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use chat::{Part, Room};
use http::{Method, StatusCode};
use leptos::nonce::Nonce;
use leptos::prelude::provide_context;
use protocol::{Code, Fault, SessionId, Snapshot};

use crate::answer;
use crate::forms::door;
use crate::refusal::{Asker, refusal};
use crate::state::AppState;

/// Answers a path that is no endpoint: with a file, a page, or the "not found" page.
pub(crate) async fn page(State(state): State<AppState>, visitor: Visitor, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if let Some(file) = state.files.answer(request.uri(), request.headers()) {
        return file;
    }
    let asker = Asker::of(&request);
    match draw(&state, &visitor, request).await {
        Ok(response) => response,
        Err(error) => asker.refuse(error.into_fault()),
    }
}

async fn draw(state: &AppState, visitor: &Visitor, mut request: Request) -> chat::Result<Response> {
    let path = request.uri().path().to_owned();
    let actor = visitor.known(&state.chat).await?;
    let open = path.strip_prefix("/chat/");
    match (&actor, path.as_str()) {
        (Some(_), "/login" | "/register") => return Ok(Redirect::to("/").into_response()),
        (None, _) if open.is_some() => return Ok(Redirect::to("/login").into_response()),
        _ => {}
    }
    let open = open.map(SessionId::from_str).and_then(Result::ok);
    let snapshot = match &actor {
        Some(actor) => Some(state.chat.snapshot(actor, open).await?),
        None => None,
    };
    let is_theirs = |id: &SessionId| snapshot.as_ref().is_some_and(|all| all.sessions.contains_key(id));
    let place = match (path.as_str(), open.filter(is_theirs)) {
        ("/", _) => Place::Home,
        ("/login", _) => Place::SignIn(door(state, &request)),
        ("/register", _) => Place::Register(door(state, &request)),
        (_, Some(id)) => Place::Chat(id),
        (_, None) => Place::Missing,
    };
    let status = if place == Place::Missing { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let open_registration = state.config.open_registration;
    let address = request.extensions().get::<ClientAddress>().map(|address| address.0);
    let room = match (&actor, &snapshot) {
        (Some(actor), Some(snapshot)) => Some(state.chat.room(actor, address, size(snapshot)).await),
        _ => None, // the same for every visitor, and small
    };
    request.extensions_mut().insert(Boot { snapshot, place, open_registration });
    let response = render(state, request).await;
    let response = match room {
        Some(room) => counted(response, room).await,
        None => response,
    };
    Ok(if response.status() == StatusCode::OK { (status, response).into_response() } else { response })
}

/// Estimates the size of the page rendered from a snapshot: each conversation is in it as a line and a value, each text
/// twice, and characters that HTML and scripts escape take up to six times as much.
fn size(snapshot: &Snapshot) -> usize {
    const PAGE: usize = 16 * 1024;
    const LINE: usize = 1_600;
    const MESSAGE: usize = 1_024;
    let messages = snapshot.sessions.values().flat_map(|session| &session.messages);
    let drawn: usize = messages.map(|message| MESSAGE + 3 * message.data.len()).sum();
    let waiting = snapshot.invited.len() + snapshot.asked.len();
    PAGE + LINE * (snapshot.sessions.len() + waiting) + drawn
}

/// Keeps the page's share of the budget until the page is written.
async fn counted(response: Response, mut room: Room) -> Response {
    let (parts, body) = response.into_parts();
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            room.shrink_to(bytes.len());
            Response::from_parts(parts, answer::whole(Part { bytes, room }))
        }
        Err(_) => refusal(Fault::of(Code::Internal)).into_response(),
    }
}

async fn render(state: &AppState, request: Request) -> Response {
    let Some(nonce) = request.extensions().get::<Nonce>().cloned() else {
        return refusal(Fault::of(Code::Internal)).into_response();
    };
    let (chat, assets) = (state.chat.clone(), state.files.assets());
    let context = move || {
        // Ours, which the header names, instead of the one that leptos generates.
        provide_context(nonce.clone());
        provide_context(chat.clone());
    };
    leptos_axum::render_app_async_with_context(context, move || app::shell(assets.clone()))(request).await
}
