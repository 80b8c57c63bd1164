//! The connection that writes, held in two ways: by sqlx, for what happens seldom and is to stay portable, and by its
//! handle, for messages, which have to cost little.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::super::posting::Known;

/// KiB of pages held in memory, as SQLite wants it told: negative. The ends of the sessions in which people talk just now
/// should fit, so that a commit reads nothing.
const CACHE: &str = "-8192";

/// The connection that writes.
pub(in crate::store) struct Connection {
    /// The same connection, for statements that are stepped on the caller's thread. Stands first: they have to be gone
    /// before the connection is.
    direct: rusqlite::Connection,
    sqlx: SqliteConnection,
    known: Known,
}

/// Runs a statement that neither takes nor gives anything.
pub(super) fn run(db: &rusqlite::Connection, sql: &'static str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

impl Connection {
    /// Opens it.
    ///
    /// # Errors
    /// As sqlx says.
    pub(in crate::store) async fn open(options: &SqliteConnectOptions) -> sqlx::Result<Self> {
        // "Serialized" (sqlite.org/threadsafe.html): both ways may be used whatever the other is doing.
        let options = options.clone().serialized(true).pragma("cache_size", CACHE);
        let mut sqlx = options.connect().await?;
        let handle = sqlx.lock_handle().await?.as_raw_handle();
        #[expect(unsafe_code, reason = "rusqlite cannot know how long a handle lives")]
        // SAFETY: the handle is open as long as `sqlx` is, and `Self` drops `direct`, which does not close it, first.
        // SQLite itself guards a serialized connection against use by several threads at once.
        let direct = unsafe { rusqlite::Connection::from_handle(handle.as_ptr()) };
        let direct = direct.map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { direct, sqlx, known: Known::default() })
    }

    /// By SQLite's own calls.
    pub(in crate::store) fn direct(&self) -> &rusqlite::Connection {
        &self.direct
    }

    /// By sqlx.
    pub(in crate::store) fn sqlx(&mut self) -> &mut SqliteConnection {
        &mut self.sqlx
    }

    /// Both ways, for a transaction in which both have a part, and what is known of the tables.
    pub(super) fn parts(&mut self) -> (&rusqlite::Connection, &mut SqliteConnection, &mut Known) {
        (&self.direct, &mut self.sqlx, &mut self.known)
    }

    /// Closes it.
    ///
    /// # Errors
    /// As sqlx says; it is gone all the same.
    pub(super) async fn close(self) -> sqlx::Result<()> {
        let Self { direct, sqlx, .. } = self;
        drop(direct);
        sqlx::Connection::close(sqlx).await
    }
}
