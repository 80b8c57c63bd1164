//! The plain forms: what the page posts before its WASM has loaded, and without JavaScript. Each calls the same method
//! of the chat as its server function and answers 303 (RFC 9110 15.4.4).

use app::visitor::{ClientAddress, Visitor};
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, RequestExt};
use chat::household;
use protocol::api::Credentials;
use protocol::text::clean_name;
use protocol::{Code, Fault};

use crate::flash::{self, Where};
use crate::headers::{CLEAR_SITE_DATA, FORGET};
use crate::refusal::Asker;
use crate::state::AppState;

type Posted = Result<Form<Credentials>, FormRejection>;
type Address = Option<Extension<ClientAddress>>;

/// `POST /register`: redirects to the sign-in.
pub(crate) async fn register(
    State(state): State<AppState>,
    visitor: Visitor,
    from: Address,
    form: Posted,
) -> Response {
    let to = place("/register", from.as_deref());
    let Credentials { username, password } = match read(&state, to, form) {
        Ok(credentials) => credentials,
        Err(back) => return back.into_response(),
    };
    let username = clean_name(&username);
    match visitor.register(&state.chat, &username, password).await {
        Ok(_) => Redirect::to(&flash::registered(&username)),
        Err(error) => back(&state, to, &error.into_fault(), &username),
    }
    .into_response()
}

/// `POST /login`: redirects to the chat.
pub(crate) async fn login(
    State(state): State<AppState>,
    visitor: Visitor,
    from: Address,
    form: Posted,
) -> Response {
    let to = place("/login", from.as_deref());
    let Credentials { username, password } = match read(&state, to, form) {
        Ok(credentials) => credentials,
        Err(back) => return back.into_response(),
    };
    match visitor.sign_in(&state.chat, &username, password).await {
        Ok(_) => Redirect::to(&flash::signed_in(&username)),
        Err(error) => back(&state, to, &error.into_fault(), &username),
    }
    .into_response()
}

/// `POST /logout`: redirects to the welcome page.
pub(crate) async fn logout(State(state): State<AppState>, visitor: Visitor, request: Request) -> Response {
    match visitor.sign_out(&state.chat).await {
        Ok(()) => ([(CLEAR_SITE_DATA, FORGET)], Redirect::to("/")).into_response(),
        Err(error) => Asker::of(&request).refuse(error.into_fault()),
    }
}

/// Redirects back to the form a request that no handler has seen. Its body has been read already, and is bounded.
pub(crate) async fn turned_back(state: &AppState, request: Request, fault: &Fault) -> Response {
    let from = request.extensions().get::<ClientAddress>().copied();
    let path = request.uri().path().to_owned();
    let form = request.extract::<Form<Credentials>, _>().await;
    let username = form.map(|Form(credentials)| credentials.username).unwrap_or_default();
    back(state, place(&path, from.as_ref()), fault, &username).into_response()
}

/// Reads what a form's URL says.
pub(crate) fn door(state: &AppState, request: &Request) -> app::boot::Door {
    let to = place(request.uri().path(), request.extensions().get());
    state.flash.read(to, request.uri().query().unwrap_or_default())
}

fn place<'a>(path: &'a str, from: Option<&ClientAddress>) -> Where<'a> {
    Where { path, network: from.map(|ClientAddress(address)| household(*address)) }
}

/// Redirects back to the form, which says why and keeps the name.
fn back(state: &AppState, to: Where<'_>, fault: &Fault, username: &str) -> Redirect {
    Redirect::to(&state.flash.back(to, fault, username))
}

fn read(state: &AppState, to: Where<'_>, form: Posted) -> Result<Credentials, Redirect> {
    form.map(|Form(credentials)| credentials).map_err(|_| back(state, to, &Fault::of(Code::Malformed), ""))
}
