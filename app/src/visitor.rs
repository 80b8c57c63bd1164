//! Identifies who sent a request. The only file that knows tower-sessions' `Session`, which manages the login's cookie.
//!
//! The cookie holds a token; the table of logins holds its SHA-256 (see `server::logins`). What a session holds besides
//! the user is for the list of logins: where and with what somebody signed in.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use chat::{Actor, Caller, Chat, Device, Error, LoginId, SignedIn};
use http::request::Parts;
use http::{StatusCode, header};
use protocol::{Code, Fault, Me, UserId};
use tower_sessions::Session;

/// Keys of a session's data.
pub mod key {
    /// Who is signed in.
    pub const USER: &str = "UserID";
    /// The browser's or program's user agent.
    pub const AGENT: &str = "UserAgent";
    /// Where it signed in from.
    pub const ADDRESS: &str = "Address";
    /// The account and password that were checked, until the login is created.
    pub const LOCK: &str = "Lock";
    /// When the cookie was last sent, in milliseconds since 1970.
    pub const SEEN: &str = "Seen";
}

/// A login lasts this long from its last use.
pub const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How often, at most, the cookie is resent and the login extended.
const RENEW: Duration = Duration::from_secs(24 * 60 * 60);

/// The address a request came from, according to the trusted proxies. The server puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

/// What accompanies a name and a password, and what accompanies the response. The server puts it into the request's
/// extensions; only the server deals with cookies and headers.
#[derive(Debug, Clone, Default)]
pub struct Slip {
    /// The client's address, and the device cookie from an earlier login.
    pub caller: Caller,
    answer: Arc<Mutex<Reply>>,
}

/// What accompanies a response.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The device cookie to set.
    pub device: Option<Device>,
    /// When to retry.
    pub wait: Option<Duration>,
}

impl Slip {
    /// Creates the slip of a request from this caller.
    #[must_use]
    pub fn of(caller: Caller) -> Self {
        Self { caller, answer: Arc::default() }
    }

    /// Returns what accompanies the response, once there is one.
    #[must_use]
    pub fn answer(&self) -> Reply {
        self.lock().clone()
    }

    fn note<T>(&self, done: chat::Result<T>) -> chat::Result<T> {
        if let Err(Error::TooMany { wait, .. }) = &done {
            self.lock().wait = Some(*wait);
        }
        done
    }

    fn lock(&self) -> MutexGuard<'_, Reply> {
        self.answer.lock().expect("nothing panics under this lock")
    }
}

/// Somebody who sent a request, signed in or not.
#[derive(Debug, Clone)]
pub struct Visitor {
    session: Session,
    agent: String,
    address: String,
    slip: Slip,
}

impl Visitor {
    /// Returns who sent the request of the running server function.
    ///
    /// # Errors
    /// Called outside of a server function.
    pub fn asking() -> Result<Self, Fault> {
        let parts = leptos::prelude::use_context::<Parts>();
        parts.and_then(|parts| Self::of(&parts)).ok_or_else(|| Fault::of(Code::Internal))
    }

    fn of(parts: &Parts) -> Option<Self> {
        let session = parts.extensions.get::<Session>()?.clone();
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<ClientAddress>();
        Some(Self {
            session,
            agent: agent.unwrap_or_default().chars().take(256).collect(),
            address: address.map(|address| address.0.to_string()).unwrap_or_default(),
            slip: parts.extensions.get::<Slip>().cloned().unwrap_or_default(),
        })
    }

    /// Returns the proof that they are signed in.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`]; the database failed.
    pub async fn actor(&self, chat: &Chat) -> chat::Result<Actor> {
        self.known(chat).await?.ok_or_else(|| Fault::of(Code::Unauthenticated).into())
    }

    /// Returns the proof that they are signed in, if they are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn known(&self, chat: &Chat) -> chat::Result<Option<Actor>> {
        let Some(login) = self.login() else { return Ok(None) };
        let Some(actor) = chat.actor(login).await? else { return Ok(None) };
        // The session's data is read only here: most requests cost a single lookup in the table of logins.
        let renewed = u64::try_from(actor.renewed_at().0).unwrap_or_default();
        if renewed + millis(RENEW) < now() {
            self.session.insert(key::SEEN, now()).await.map_err(failed)?;
        }
        Ok(Some(actor))
    }

    /// Creates an account for them.
    ///
    /// # Errors
    /// As for [`Chat::register`].
    pub async fn register(&self, chat: &Chat, username: &str, password: String) -> chat::Result<UserId> {
        self.slip.note(chat.register(&self.slip.caller, username, password).await)
    }

    /// Signs them in if the password is right, under a new token, so that a token planted before is worthless (session
    /// fixation).
    ///
    /// # Errors
    /// As for [`Chat::login`].
    pub async fn sign_in(&self, chat: &Chat, username: &str, password: String) -> chat::Result<Me> {
        let caller = self.slip.caller.clone();
        let SignedIn { me, device, lock } = self.slip.note(chat.login(caller, username, password).await)?;
        if self.session.id().is_some() {
            self.session.cycle_id().await.map_err(failed)?;
        }
        self.session.insert(key::LOCK, lock).await.map_err(failed)?;
        self.session.insert(key::USER, me.user_id).await.map_err(failed)?;
        self.session.insert(key::AGENT, &self.agent).await.map_err(failed)?;
        self.session.insert(key::ADDRESS, &self.address).await.map_err(failed)?;
        self.session.insert(key::SEEN, now()).await.map_err(failed)?;
        self.slip.lock().device = Some(device);
        Ok(me)
    }

    /// Ends their login for good and closes its sockets.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sign_out(&self, chat: &Chat) -> chat::Result<()> {
        let actor = match self.login() {
            Some(login) => chat.actor(login).await.ok().flatten(),
            None => None,
        };
        self.session.flush().await.map_err(failed)?; // our store revokes the login
        if let Some(actor) = actor {
            chat::audit::signed_out(&self.slip.caller, actor.user_id());
        }
        Ok(())
    }

    fn login(&self) -> Option<LoginId> {
        self.session.id().map(|id| LoginId::of_token(&id.0.to_le_bytes()))
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(parts).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// tower-sessions passes on its store's failures as text only; the store has logged them.
fn failed(_: tower_sessions::session::Error) -> Error {
    Error::Unavailable("the login could not be read or written")
}

fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
