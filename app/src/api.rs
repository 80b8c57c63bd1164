//! The server functions: each identifies the caller, calls one method of the chat and maps the error. Any program may
//! call them as plain JSON endpoints; `docs/PROTOCOL.md` documents them. The forms that work without WASM have their
//! own routes.

use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use protocol::Me;
use protocol::api::{Credentials, HistoryPart, Nothing, Registered};

use crate::error::ApiError;
use crate::json::Json;

#[cfg(feature = "ssr")]
use crate::visitor::Visitor;

/// `POST /api/register`: creates an account.
///
/// # Errors
/// 409 name taken; 422 unusable name or password; 403 registration closed; 429; 503 busy, or nothing can be stored.
#[server(endpoint = "register", input = Json, output = Json)]
pub async fn register(
    /// The name and the password, side by side.
    #[server(flatten)]
    credentials: Credentials,
) -> Result<Registered, ApiError> {
    let chat = expect_context::<chat::Chat>();
    let Credentials { username, password } = credentials;
    let user_id = Visitor::asking()?.register(&chat, &username, password).await?;
    Ok(Registered { user_id })
}

/// `POST /api/login`: signs in; the response carries the cookie.
///
/// # Errors
/// 400 no such user; 401 wrong password; 422 malformed; 429; 503 busy, or nothing can be stored.
#[server(endpoint = "login", input = Json, output = Json)]
pub async fn login(
    /// The name and the password, side by side.
    #[server(flatten)]
    credentials: Credentials,
) -> Result<Me, ApiError> {
    let chat = expect_context::<chat::Chat>();
    let Credentials { username, password } = credentials;
    Ok(Visitor::asking()?.sign_in(&chat, &username, password).await?)
}

/// `POST /api/logout`: ends the login and closes its sockets.
///
/// # Errors
/// 500 when the database failed.
#[server(endpoint = "logout", input = Json, output = Json)]
pub async fn logout(
    /// No arguments.
    #[server(flatten)]
    nothing: Nothing,
) -> Result<(), ApiError> {
    let Nothing {} = nothing;
    let chat = expect_context::<chat::Chat>();
    Ok(Visitor::asking()?.sign_out(&chat).await?)
}

/// `GET /api/history`: returns at most 50 messages before a position, or the newest.
///
/// # Errors
/// 401; 404 if the user is not in the session.
#[server(endpoint = "history", input = GetUrl, output = Json)]
pub async fn history(
    /// Which session, and before which position.
    #[server(flatten)]
    part: HistoryPart,
) -> Result<protocol::api::History, ApiError> {
    let chat = expect_context::<chat::Chat>();
    let actor = Visitor::asking()?.actor(&chat).await?;
    Ok(chat.history(&actor, part.session_id, part.before).await?)
}
