//! Natter's domain: who may do what, and what follows from it. It depends on neither HTTP nor Leptos.
//!
//! [`Chat`] is the only entry point, a cheap handle that every transport holds: server functions, the WebSocket and the
//! form routes each translate one request into one of its methods. A method that acts for a person takes the proof of
//! who acts, an [`Actor`], first.
//!
//! Inside, each noun has its file: `accounts`, `invites`, `sessions`, `messages` and `logins` hold the rules. What must
//! be decided in a transaction is a unit of work for the `store`, whose operations know no rules. `live` alone joins
//! `store`, `hub`, `tails` and `presence`: it makes frames of what was committed, in the order of the commits.

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
mod locks;
mod logins;
mod messages;
mod name;
mod network;
mod options;
mod origin;
mod page;
mod password;
#[cfg(feature = "planted")]
mod planted;
mod presence;
mod quota;
mod rank;
mod registrations;
mod sessions;
mod shards;
#[cfg(test)]
mod simulation;
mod snapshots;
mod store;
mod tails;
#[cfg(test)]
mod testing;
mod turns;
mod vital;

use std::path::Path;
use std::sync::{Arc, Mutex};

pub use accounts::SignedIn;
pub use actor::Actor;
pub use answers::{Room, UnderWay};
pub use caller::{Caller, Device, household};
pub use error::{Error, MIN_SQLITE, OpenError, Result};
pub use hub::Outgoing;
pub use live::{Connection, Ticket};
pub use logins::{Lock, Login, LoginId};
pub use name::Username;
pub use network::network;
pub use options::Options;
pub use origin::ConnId;
pub use rank::stand_back;
pub use snapshots::{Greeting, Part};
pub use store::{BackupError, Contents, Restored, backup, restore};
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
