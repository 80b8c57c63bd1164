//! Storage: SQLite in WAL mode, with one connection that writes and a few that read.
//!
//! A method of [`Store`] reads, or is one unit of work. Units of the domain come through [`Store::run`] and use the
//! methods of [`Tx`]. All are queued for the single writer (`writer`), which commits everything queued together, and only
//! then answers; what the units announce goes out as [`Event`]s in commit order. A caller that goes away cancels nothing.
//!
//! Only the rest of `chat` calls it. It knows rows: no sockets, no frames, no sentences, and not who may do what.

mod backup;
#[cfg(test)]
mod contract;
mod event;
mod failure;
mod folder;
#[cfg(test)]
mod gone;
mod health;
mod invites;
mod logins;
mod members;
mod messages;
mod names;
mod open;
#[cfg(test)]
mod plans;
mod posting;
mod reading;
mod restore;
mod sessions;
#[cfg(test)]
mod speed;
mod sql;
#[cfg(test)]
mod trouble;
mod upgrade;
mod users;
mod vacuum;
mod wipe;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;

pub use backup::{BackupError, Contents, backup};
pub(crate) use event::{Event, NotStored};
pub(crate) use health::Health;
pub(crate) use messages::{Beginning, Changes};
pub(crate) use names::Taken;
pub(crate) use posting::Post;
pub use restore::{Restored, restore};
pub(crate) use sessions::SessionRow;
pub(crate) use users::UserRow;
pub(crate) use writer::{Tx, Work};

use crate::quota::Quota;
use crate::{Error, Result};
use folder::Folder;
#[cfg(test)]
use tokio::sync::mpsc;
#[cfg(test)]
pub(crate) use writer::Engine;
use writer::Writer;

/// Longest time a read may take: until it ends the log cannot be emptied, and still holds what was deleted since.
const READ: Duration = Duration::from_secs(2);

/// Runs a read on a connection, within the time limit. The read must not wait for a client or for a connection.
async fn brief<T, E>(read: impl Future<Output = std::result::Result<T, E>>) -> Result<T>
where
    Error: From<E>,
{
    match tokio::time::timeout(READ, read).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Error::Unavailable("a read took too long")),
    }
}

/// The database. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Store {
    read: SqlitePool,
    writer: Writer,
    health: Health,
    quota: Quota,
    /// Held while the database is open, so that a second process finds it in use.
    folder: Option<Arc<Folder>>,
}

impl Store {
    /// Finishes what is queued and closes the files. The next start may skip the integrity check only if everything
    /// reached the disk and nothing has failed since the start.
    pub(crate) async fn close(&self) {
        let is_whole = self.writer.close().await;
        self.read.close().await;
        if let Some(folder) = &self.folder
            && is_whole
            && folder.has_no_log()
        {
            folder.mark_clean();
        }
    }

    /// Removes what an upgrade has kept, once it is a week old.
    pub(crate) fn forget_copies(&self) {
        if let Some(folder) = &self.folder {
            upgrade::forget_copies(&folder.database());
        }
    }

    /// Returns whether the database accepts commits.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Returns the quota.
    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns what another process would start with if this one ended here. Reopening the files would take long.
    #[cfg(test)]
    pub(crate) fn crashed(&self, engine: &mut Engine) -> (Self, Engine, mpsc::Receiver<Vec<Event>>) {
        let (writer, engine, events) = Writer::after_crash(engine);
        let (read, health, quota) = (self.read.clone(), self.health.clone(), engine.quota().clone());
        (Self { read, writer, health, quota, folder: None }, engine, events)
    }

    /// Runs a unit of work in a transaction and answers once it is committed and synced. The unit may be run more than
    /// once: its only effects are its transaction and what it announces.
    ///
    /// # Errors
    /// The unit's own; the database failed.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        self.writer.run(work).await
    }

    /// Hands in a message. Its answer is an [`Event`].
    pub(crate) async fn post(&self, post: Post) -> Result<()> {
        self.writer.post(post).await
    }
}
