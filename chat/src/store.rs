//! What is stored: SQLite in WAL mode, one connection that writes, a few that read.
//!
//! Every method is one unit of work and at most one transaction. Units that write are queued for the one writer
//! (`writer`), which commits whatever has queued together, and only then answers; what the units announce goes
//! out as [`Event`]s in the order of the commits. A caller that goes away cancels nothing.
//!
//! Called by the rest of `chat` only; it knows no sockets.

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
#[cfg(test)]
mod trouble;
mod users;
mod vacuum;
mod wipe;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;

pub use backup::{BackupError, Contents, backup};
pub(crate) use event::Event;
pub(crate) use health::Health;
pub(crate) use invites::{AskResult, NewInvite};
pub(crate) use messages::Changes;
pub(crate) use names::Taken;
pub use open::MIN_SQLITE;
pub(crate) use posting::Post;
pub use restore::{Restored, restore};
pub(crate) use sessions::SessionRow;
pub(crate) use users::UserRow;

use crate::quota::Quota;
use crate::{Error, Result};
use folder::Folder;
#[cfg(test)]
use tokio::sync::mpsc;
#[cfg(test)]
pub(crate) use writer::Engine;
use writer::Writer;

/// No read lasts longer: while one does, the log cannot be emptied, and what was deleted since is still in it.
const READ: Duration = Duration::from_secs(2);

/// Does something with a connection that reads, in the time that a read may take. Neither a client nor a connection is to
/// be waited for in it.
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
    /// Held as long as the database is open, so that a second process finds it taken.
    folder: Option<Arc<Folder>>,
}

impl Store {
    /// Finishes what is queued and closes the files. Only where all of it came to the disk, and nothing failed since the
    /// start, need the next start not look whether the database is whole.
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

    /// Whether the database takes commits.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// How much is taken.
    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What another process would begin with, had this one ended here. Opening the files again would take long.
    #[cfg(test)]
    pub(crate) fn crashed(&self, engine: &mut Engine) -> (Self, Engine, mpsc::Receiver<Vec<Event>>) {
        let (writer, engine, events) = engine.crashed();
        let (read, health, quota) = (self.read.clone(), self.health.clone(), engine.quota().clone());
        (Self { read, writer, health, quota, folder: None }, engine, events)
    }

    /// Hands in a message. Its answer is an [`Event`].
    pub(crate) async fn post(&self, post: Post) -> Result<()> {
        self.writer.post(post).await
    }
}
