//! What SQLite's failures mean (sqlite.org/rescode.html).

use std::path::Path;

use crate::{Error, OpenError};

/// Why the database failed: an error of sqlx or of SQLite.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Another connection holds a lock on the database, or on a table.
pub(super) const BUSY: u32 = 5;
pub(super) const LOCKED: u32 = 6;

/// Returns the primary result code, if the failure is SQLite's own.
pub(super) fn code(error: &(dyn std::error::Error + 'static)) -> Option<u32> {
    let extended = match error.downcast_ref::<rusqlite::Error>() {
        Some(error) => u32::try_from(error.sqlite_error()?.extended_code).ok()?,
        None => error.downcast_ref::<sqlx::Error>()?.as_database_error()?.code()?.parse().ok()?,
    };
    Some(extended & 0xff)
}

/// Whether the database is at fault, not the statement: then nothing more that this connection reports can be trusted.
pub(super) fn of_the_disk(error: &Error) -> bool {
    const NO_MEMORY: u32 = 7;
    const READ_ONLY: u32 = 8;
    const IO: u32 = 10;
    const CORRUPT: u32 = 11;
    const FULL: u32 = 13;
    const CANNOT_OPEN: u32 = 14;
    const NO_DATABASE: u32 = 26;
    match error {
        Error::Database(error) => match code(error) {
            Some(code) => {
                matches!(code, NO_MEMORY | READ_ONLY | IO | CORRUPT | FULL | CANNOT_OPEN | NO_DATABASE)
            }
            // Not SQLite's: a row that cannot be decoded is our fault, the rest is the connection's.
            None => !matches!(
                error,
                sqlx::Error::RowNotFound
                    | sqlx::Error::ColumnDecode { .. }
                    | sqlx::Error::ColumnNotFound(_)
                    | sqlx::Error::Decode(_)
                    | sqlx::Error::Encode(_)
            ),
        },
        _ => false,
    }
}

/// Turns SQLite's failures into sentences.
pub(super) fn explain(path: &Path, error: impl Into<Failure>) -> OpenError {
    let error = error.into();
    match code(&*error) {
        Some(BUSY | LOCKED) => OpenError::Locked(path.to_owned()),
        Some(11 | 26) => OpenError::Damaged(path.to_owned(), said(&*error)), // CORRUPT, NOTADB
        _ => OpenError::Database(path.to_owned(), error),
    }
}

/// Returns SQLite's own message.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let database = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    database.map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_that_is_taken_is_a_statements_failure_and_a_full_disk_is_the_databases() {
        use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
        let mut db = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        let mut run = async |sql: &'static str| sqlx::raw_sql(sql).execute(&mut db).await.map(|_| ());
        run("create table t (k primary key); insert into t values (1)").await.unwrap();
        let taken = run("insert into t values (1)").await.unwrap_err();
        assert_eq!(code(&taken), Some(19));
        assert!(!of_the_disk(&Error::Database(taken)));
        run("pragma max_page_count = 3").await.unwrap();
        let full = run("insert into t values (zeroblob(100000))").await.unwrap_err();
        assert!(of_the_disk(&Error::Database(full)));
        assert!(!of_the_disk(&Error::Unavailable("")));
        assert!(!of_the_disk(&Error::Database(sqlx::Error::RowNotFound)));
        assert!(of_the_disk(&Error::Database(sqlx::Error::WorkerCrashed)));
    }
}
