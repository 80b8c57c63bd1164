//! Natter's domain: who may do what, and what follows from it. It depends on neither HTTP nor Leptos.
//!
//! [`Chat`] is the only entry point, a cheap handle that every transport holds: server functions, the WebSocket and the
//! form routes each translate one request into one of its methods. A method that acts for a person takes the proof of
//! who acts, an [`Actor`], first.
//!
//! Inside, `accounts`, `invites`, `messages` and `sessions` hold the rules and call `store`; `live` alone joins
//! `store`, `hub`, `tails` and `presence`: it fans committed events out to the sockets, in commit order.

mod accounts;
mod actor;
mod answers;
pub mod audit;
mod budgets;
mod caller;
mod clock;
mod error;
mod guesses;
mod hub;
mod invites;
mod live;
mod logins;
mod messages;
mod name;
mod network;
mod password;
#[cfg(feature = "planted")]
mod planted;
mod presence;
mod quota;
mod rank;
mod registrations;
mod sessions;
#[cfg(test)]
mod simulation;
mod store;
mod tails;
mod turns;
mod vital;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use accounts::SignedIn;
pub use actor::Actor;
pub use answers::{Room, UnderWay};
pub use caller::{Caller, Device, household};
pub use error::{Error, OpenError, Result};
pub use hub::{ConnId, Outgoing};
pub use live::{Connection, Ticket};
pub use logins::{Lock, Login, LoginId};
pub use name::Username;
pub use network::network;
pub use rank::stand_back;
pub use sessions::{Greeting, Part};
pub use store::{BackupError, Contents, MIN_SQLITE, Restored, backup, restore};
pub use turns::Pace;

use guesses::Guesses;
use live::Live;
use password::Passwords;
use registrations::Registrations;
use store::Store;

/// Natter's whole domain. Clones are handles to the same chat.
#[derive(Clone)]
pub struct Chat(Arc<Inner>);

struct Inner {
    store: Store,
    live: Live,
    passwords: Passwords,
    /// `None` if nothing is throttled. A std mutex: nothing awaits under it.
    guesses: Option<Mutex<Guesses>>,
    /// As above.
    registrations: Option<Mutex<Registrations>>,
    options: Options,
}

/// How a chat behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether new users may register themselves.
    pub open_registration: bool,
    /// Most accounts created in a day from one network; `None` for no limit.
    pub registrations_per_day: Option<u32>,
    /// Whether to throttle guessing of passwords and names.
    pub hold_back_guesses: bool,
    /// Whether to refuse inviting too many people, or one person too often.
    pub hold_back_invitations: bool,
    /// Most logins of one user. One more ends the least recently used.
    pub logins_per_user: u32,
    /// Most messages per second from one user, once the burst is used up; `None` for no limit.
    pub messages_per_second: Option<u32>,
    /// How many messages one user may send in a burst.
    pub message_burst: u32,
    /// How fast one user may read; `None` for no limit.
    pub reading_pace: Option<Pace>,
    /// How many bytes of answers may be in flight at a time; `None` for no limit.
    pub under_way: Option<UnderWay>,
    /// Most conversations of one user; `None` for no limit.
    pub conversations: Option<u32>,
    /// Most bytes of text per second from one user, once the burst is used up; `None` for no limit.
    pub text_per_second: Option<u32>,
    /// How many bytes of text one user may send in a burst.
    pub text_burst: u32,
    /// Most bytes of text from one user in 24 hours; `None` for no limit.
    pub text_per_day: Option<u64>,
    /// Free disk space below which no new messages are accepted: this many bytes, or a twentieth of the disk if that is
    /// less; `None` for no such floor.
    pub disk_floor: Option<u64>,
    /// How long a user stays Online after the last connection ended.
    pub offline_after: Duration,
    /// How long a user is Online after signing in, without a connection.
    pub login_lease: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            open_registration: true,
            registrations_per_day: Some(50),
            hold_back_guesses: true,
            hold_back_invitations: true,
            logins_per_user: 50,
            messages_per_second: Some(30),
            message_burst: 300,
            reading_pace: Some(Pace { per_second: 1536 * 1024, burst: 16 * 1024 * 1024 }),
            under_way: Some(UnderWay { user: 4 * 1024 * 1024, address: 16 * 1024 * 1024 }),
            conversations: Some(5_000),
            text_per_second: Some(64 << 10),
            text_burst: 2 << 20,
            text_per_day: Some(256 << 20),
            disk_floor: Some(512 << 20),
            offline_after: Duration::from_secs(5),
            login_lease: Duration::from_secs(30),
        }
    }
}

impl Chat {
    fn of(store: Store, live: Live, options: Options) -> Self {
        let guesses = options.hold_back_guesses.then(Mutex::default);
        store.quota().set(&options);
        let registrations = options.registrations_per_day.map(|most| Mutex::new(Registrations::new(most)));
        let passwords = Passwords::new();
        Self(Arc::new(Inner { store, live, passwords, guesses, registrations, options }))
    }

    /// Opens the chat stored in the folder `data`, creating the folder if it is missing. Must be called on a Tokio
    /// runtime: the chat's tasks run there until every handle is gone or [`Chat::close`].
    ///
    /// # Errors
    /// A sentence for the person who runs the server: the folder cannot be used, another process uses it, or its
    /// database is damaged.
    pub async fn open(data: &Path, options: Options) -> std::result::Result<Self, OpenError> {
        let (store, events) = Store::open(data).await?;
        let live = Live::start(store.clone(), events, &options);
        Ok(Self::of(store, live, options))
    }

    /// Opens the chat's database alongside a server that may be using it, for one short command-line task.
    ///
    /// # Errors
    /// As for [`Chat::open`].
    pub async fn open_beside(data: &Path) -> std::result::Result<Self, OpenError> {
        let (store, events) = Store::open_beside(data).await?;
        let options = Options::default();
        let live = Live::start(store.clone(), events, &options);
        Ok(Self::of(store, live, options))
    }

    /// Whether messages can be stored. False while the disk is full or fails, and while a commit hangs; reading
    /// continues meanwhile, and it turns true again automatically.
    #[must_use]
    pub fn takes_commits(&self) -> bool {
        self.0.store.health().takes_commits()
    }

    /// Finishes the work already handed in, and closes the database. Later requests fail.
    pub async fn close(&self) {
        self.0.store.close().await;
    }
}
