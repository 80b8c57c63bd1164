//! The connection that writes, used in two ways: through sqlx for rare work that should stay portable, and through its
//! raw handle for messages, which must be cheap.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use super::super::posting::Known;

/// Page cache in KiB (negative, as SQLite expects). It should fit the ends of the active sessions, so that a commit
/// reads nothing.
const CACHE: &str = "-8192";

/// The connection that writes.
pub(in crate::store) struct WriteConnection {
    /// The same connection, for statements stepped on the caller's thread. Declared first: they must be dropped before
    /// the connection is.
    direct: rusqlite::Connection,
    sqlx: SqliteConnection,
    known: Known,
}

/// Runs a statement without parameters or results.
pub(super) fn run(db: &rusqlite::Connection, sql: &'static str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

impl WriteConnection {
    /// Opens it.
    ///
    /// # Errors
    /// Whatever sqlx reports.
    pub(in crate::store) async fn open(options: &SqliteConnectOptions) -> sqlx::Result<Self> {
        // "Serialized" (sqlite.org/threadsafe.html): either way may be used no matter what the other is doing.
        let options = options.clone().serialized(true).pragma("cache_size", CACHE);
        let mut sqlx = options.connect().await?;
        let handle = sqlx.lock_handle().await?.as_raw_handle();
        #[expect(unsafe_code, reason = "rusqlite cannot know how long a handle lives")]
        // SAFETY: the handle is open as long as `sqlx` is, and `Self` drops `direct`, which does not close it, first.
        // SQLite itself guards a serialized connection against use by several threads concurrently.
        let direct = unsafe { rusqlite::Connection::from_handle(handle.as_ptr()) };
        let direct = direct.map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Ok(Self { direct, sqlx, known: Known::default() })
    }

    /// Returns it for direct SQLite calls.
    pub(in crate::store) fn direct(&self) -> &rusqlite::Connection {
        &self.direct
    }

    /// Returns it for sqlx.
    pub(in crate::store) fn sqlx(&mut self) -> &mut SqliteConnection {
        &mut self.sqlx
    }

    /// Returns both, for a transaction that uses both, and what is known of the tables.
    pub(super) fn parts(&mut self) -> (&rusqlite::Connection, &mut SqliteConnection, &mut Known) {
        (&self.direct, &mut self.sqlx, &mut self.known)
    }

    /// Closes it.
    ///
    /// # Errors
    /// Whatever sqlx reports; the connection is gone anyway.
    pub(super) async fn close(self) -> sqlx::Result<()> {
        let Self { direct, sqlx, .. } = self;
        drop(direct);
        sqlx::Connection::close(sqlx).await
    }
}
