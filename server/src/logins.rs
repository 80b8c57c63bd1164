//! The login store of tower-sessions, backed by the chat.
//!
//! We do not use the published store, because a request in progress can resurrect a revoked login there (its `save`
//! inserts), it stores tokens in the clear, and it pins another sqlx. See docs/ARCHITECTURE.md.

use app::visitor::{LIFETIME, key};
use async_trait::async_trait;
use chat::{Chat, Lock, Login, LoginId};
use http::{HeaderMap, header};
use protocol::{TimeStamp, UserId};
use serde_json::Value;
use time::OffsetDateTime;
use tower_sessions::cookie::SameSite;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use tower_sessions::{Expiry, SessionManagerLayer, SessionStore};

use crate::public_origin::PublicOrigin;

/// The seed's Authentication_Token.
const COOKIE: &str = "authentication_token";

/// The name on https: browsers let no other host and no plain http set it (RFC 6265bis 4.1.3).
const HOST_COOKIE: &str = "__Host-authentication_token";

/// Returns the layer that finds a request's login and sends its cookie.
pub(crate) fn layer(chat: Chat, public: Option<&PublicOrigin>) -> SessionManagerLayer<Logins> {
    let secure = public.is_some_and(PublicOrigin::is_secure);
    let lifetime = time::Duration::try_from(LIFETIME).expect("ninety days fit");
    SessionManagerLayer::new(Logins(chat))
        .with_name(cookie_name(public))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(lifetime))
}

/// Completes the header that removes the cookie: tower-sessions omits `Secure`, and without it browsers ignore every
/// header for a `__Host-` name.
pub(crate) fn complete_removal(headers: &mut HeaderMap) {
    if let http::header::Entry::Occupied(mut cookies) = headers.entry(header::SET_COOKIE) {
        for cookie in cookies.iter_mut() {
            let text = cookie.to_str().unwrap_or_default();
            if text.starts_with(HOST_COOKIE) && !text.contains("; Secure") {
                *cookie = format!("{text}; Secure").parse().expect("a header with a word more");
            }
        }
    }
}

/// Returns the cookie's name on this server.
fn cookie_name(public: Option<&PublicOrigin>) -> &'static str {
    if public.is_some_and(PublicOrigin::is_secure) { HOST_COOKIE } else { COOKIE }
}

/// The table of logins, as tower-sessions sees it.
#[derive(Clone)]
pub(crate) struct Logins(Chat);

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logins")
    }
}

#[async_trait]
impl SessionStore for Logins {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let Some(user_id) = record.data.get(key::USER) else {
            return Ok(()); // anonymous: nothing to store
        };
        let user_id: UserId = serde_json::from_value(user_id.clone()).map_err(encode)?;
        // Only passed through here, never stored.
        let lock = record.data.remove(key::LOCK).unwrap_or_default();
        let lock: Lock = serde_json::from_value(lock).map_err(encode)?;
        let text = |name| record.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let login = Login {
            user_id,
            user_agent: text(key::AGENT),
            ip: text(key::ADDRESS),
            expires_at: millis(record.expiry_date),
            data: serde_json::to_string(&record.data).map_err(encode)?,
        };
        while !self.0.create_login(id(record.id), login.clone(), lock).await.map_err(backend)? {
            record.id = Id::default();
        }
        Ok(())
    }

    /// Only extends a login, and the next request would do so again: no reason to refuse a page, which stays readable
    /// while the disk is full.
    async fn save(&self, record: &Record) -> Result<()> {
        let data = serde_json::to_string(&record.data).map_err(encode)?;
        if let Err(error) = self.0.save_login(id(record.id), data, millis(record.expiry_date)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a login was not renewed");
        }
        Ok(())
    }

    async fn load(&self, session: &Id) -> Result<Option<Record>> {
        let Some(login) = self.0.load_login(id(*session)).await.map_err(backend)? else { return Ok(None) };
        let data = serde_json::from_str(&login.data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = OffsetDateTime::from_unix_timestamp(login.expires_at.0 / 1000)
            .map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *session, data, expiry_date }))
    }

    async fn delete(&self, session: &Id) -> Result<()> {
        self.0.revoke_login(id(*session)).await.map_err(backend)
    }
}

fn id(session: Id) -> LoginId {
    LoginId::of_token(&session.0.to_le_bytes())
}

fn millis(at: OffsetDateTime) -> TimeStamp {
    TimeStamp(at.unix_timestamp().saturating_mul(1000))
}

fn encode(error: serde_json::Error) -> Error {
    Error::Encode(error.to_string())
}

fn backend(error: chat::Error) -> Error {
    Error::Backend(error.into_fault().reason) // `into_fault` logs it
}
