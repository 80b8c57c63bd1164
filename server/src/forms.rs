//! The plain forms: what the page posts before its WASM has arrived, and without JavaScript. Each calls the same
//! method of the chat as its server function and answers 303 (RFC 9110 15.4.4).

mod sentence;

use app::login::Visitor;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use protocol::api::Credentials;
use protocol::{Code, Fault};

use crate::refusal::Asker;
use crate::state::AppState;

pub(crate) use sentence::checked;

type Posted = Result<Form<Credentials>, FormRejection>;

/// `POST /register`: on to the login.
pub(crate) async fn register(State(state): State<AppState>, visitor: Visitor, form: Posted) -> Response {
    let Credentials { username, password } = match read(form, "/register") {
        Ok(credentials) => credentials,
        Err(back) => return back.into_response(),
    };
    match visitor.register(&state.chat, &username, password).await {
        Ok(_) => Redirect::to(&format!("/login?{}", query(&[("Registered", "1"), ("Username", &username)]))),
        Err(error) => back("/register", &error.into_fault(), &username),
    }
    .into_response()
}

/// `POST /login`: on to the chat.
pub(crate) async fn login(State(state): State<AppState>, visitor: Visitor, form: Posted) -> Response {
    let Credentials { username, password } = match read(form, "/login") {
        Ok(credentials) => credentials,
        Err(back) => return back.into_response(),
    };
    match visitor.sign_in(&state.chat, &username, password).await {
        // Where somebody whose browser has kept the login is sent on to the chat, and anybody else told that it has not.
        Ok(_) => Redirect::to(&format!("/login?{}", query(&[("SignedIn", "1"), ("Username", &username)]))),
        Err(error) => back("/login", &error.into_fault(), &username),
    }
    .into_response()
}

/// `POST /logout`: on to the welcome.
pub(crate) async fn logout(visitor: Visitor, request: Request) -> Response {
    match visitor.sign_out().await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(error) => Asker::of(&request).refuse(error.into_fault()),
    }
}

/// Back to the form, for a request that no handler has seen. Its body is here already, and bounded.
pub(crate) async fn turned_back(request: Request, fault: &Fault) -> Response {
    let path = request.uri().path().to_owned();
    let form = Form::<Credentials>::from_request(request, &()).await;
    let username = form.map(|Form(credentials)| credentials.username).unwrap_or_default();
    back(&path, fault, &username).into_response()
}

/// Back to the form, which says why and keeps the name.
pub(crate) fn back(path: &str, fault: &Fault, username: &str) -> Redirect {
    let mut fields = vec![("Error", fault.error.name()), ("Username", username)];
    let seal = sentence::seal(fault);
    if let Some(seal) = &seal {
        fields.extend([("Reason", fault.reason.as_str()), ("Seal", seal)]);
    }
    Redirect::to(&format!("{path}?{}", query(&fields)))
}

fn read(form: Posted, path: &str) -> Result<Credentials, Redirect> {
    form.map(|Form(credentials)| credentials).map_err(|_| back(path, &Fault::of(Code::Malformed), ""))
}

fn query(fields: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(fields).expect("pairs of texts")
}
