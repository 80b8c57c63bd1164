//! Opening the database: one process at a time, a safe SQLite, an intact file.

use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::sync::mpsc;

use super::failure::explain;
use super::folder::{DATABASE, Folder, create_database};
use super::upgrade::{forget_copies, is_older, upgrade};
use super::vacuum::{self, Vacuum};
use super::writer::{Engine, Erasing, WriteConnection, log};
use super::{Event, Health, Store, Writer};
use crate::error::{MIN_SQLITE, OpenError};
use crate::quota::Quota;

/// Connections that read.
const READERS: u32 = 4;

/// Page cache of each of them, in KiB (negative, as SQLite expects): room for what a `Page` touches, which is 60 KiB of
/// messages and their index. SQLite discards it whenever somebody else has written, which is all the time once people
/// talk, so a larger one would only be memory.
const READERS_CACHE: &str = "-512";

type Result<T> = std::result::Result<T, OpenError>;

impl Store {
    /// Opens the database in this folder for serving: no other process may have it.
    pub(crate) async fn open(data: &Path) -> Result<(Self, mpsc::Receiver<Vec<Event>>)> {
        let mut folder = Folder::take(data)?;
        let is_unclean = folder.mark_running()?;
        folder.clear();
        forget_copies(&data.join(DATABASE));
        let (mut store, mut engine, events) = Self::connect(data, is_unclean).await?;
        let no_room = vacuum(engine.options(), &data.join(DATABASE)).await;
        engine.erase(no_room);
        engine.start().map_err(|error| OpenError::Folder(data.to_owned(), error))?;
        store.folder = Some(Arc::new(folder));
        let explain = |error| explain(&data.join(DATABASE), error);
        store.renew_names().await.map_err(explain)?;
        store.everybody_offline().await.map_err(explain)?;
        Ok((store, events))
    }

    /// Opens the database alongside a server that may have it, for one task. It never changes the tables under a
    /// server, and no server can start while it does.
    pub(crate) async fn open_beside(data: &Path) -> Result<(Self, mpsc::Receiver<Vec<Event>>)> {
        let alone = match Folder::take(data) {
            Err(OpenError::InUse(_)) if is_older(&data.join(DATABASE)).await? => {
                return Err(OpenError::Older(data.join(DATABASE)));
            }
            Err(OpenError::InUse(_)) => None,
            taken => Some(taken?),
        };
        let is_unclean = alone.as_ref().map_or(Ok(false), Folder::is_unclean)?;
        let (store, engine, events) = Self::connect(data, is_unclean).await?;
        engine.start().map_err(|error| OpenError::Folder(data.to_owned(), error))?;
        if alone.is_some() {
            store.renew_names().await.map_err(|error| explain(&data.join(DATABASE), error))?;
        }
        Ok((store, events))
    }

    /// Opens the database and makes the writer's engine, which nobody drives yet.
    pub(crate) async fn connect(
        data: &Path,
        check: bool,
    ) -> Result<(Self, Engine, mpsc::Receiver<Vec<Event>>)> {
        let path = data.join(DATABASE);
        let explain = |error: sqlx::Error| explain(&path, error);
        create_database(&path).map_err(|error| OpenError::Folder(data.to_owned(), error))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(log::BUSY)
            .foreign_keys(true)
            // The writer does that itself, after it has answered.
            .pragma("wal_autocheckpoint", "0")
            // For what undoes a statement or a savepoint: a file of its own would cost more than the statement.
            .pragma("temp_store", "memory")
            // Overwrites what is deleted; `wipe` handles what that leaves out.
            .pragma("secure_delete", "on")
            // A message changes seven pages, and whole pages are written: half the usual size writes two thirds of the
            // bytes. Only a new file takes the setting. Never mmap: a read error would be a signal.
            .page_size(2048)
            .disable_statement_logging(); // statements would clutter the sentences for people
        #[cfg(feature = "planted")]
        let options = crate::planted::options(options);
        let mut db = WriteConnection::open(&options).await.map_err(explain)?;
        let version: String =
            sqlx::query_scalar("select sqlite_version()").fetch_one(db.sqlx()).await.map_err(explain)?;
        if older(&version, MIN_SQLITE) {
            return Err(OpenError::OldSqlite(version));
        }
        let can_wipe = sqlx::query_scalar("select sqlite_compileoption_used('ENABLE_DBPAGE_VTAB')");
        let can_wipe: bool = can_wipe.fetch_one(db.sqlx()).await.map_err(explain)?;
        if !can_wipe {
            return Err(OpenError::Build("SQLITE_ENABLE_DBPAGE_VTAB"));
        }
        if check {
            quick_check(db.sqlx(), &path).await?;
            log::prove(db.direct()).map_err(|error| self::explain(&path, error))?;
        }
        upgrade(&options, &path).await?;
        #[cfg(feature = "planted")]
        crate::planted::drop_unique_key(db.sqlx()).await.map_err(explain)?;
        // All from the start and for good: each connection has a thread, with the priority of the one that opened it.
        let readers = SqlitePoolOptions::new().max_connections(READERS).min_connections(READERS);
        let readers = readers.idle_timeout(None).max_lifetime(None);
        let reading = options.clone().pragma("query_only", "on").pragma("cache_size", READERS_CACHE);
        let read = readers.connect_with(reading).await.map_err(explain)?;
        let health = Health::new();
        let (quota, erasing) = (Quota::new(data), Erasing::new(read.clone()));
        let (writer, engine, events) = Writer::new(db, options, health.clone(), quota.clone(), erasing);
        Ok((Self { read, writer, health, quota, folder: None }, engine, events))
    }
}

/// Removes what earlier versions have left of deleted texts. Returns how many bytes must be free for that, if they are
/// not. The chat works without it: a failure is logged, and the next start retries.
async fn vacuum(options: &SqliteConnectOptions, path: &Path) -> Option<u64> {
    match vacuum::once(options, path).await {
        Ok(Vacuum::Done) => None,
        Ok(Vacuum::NoRoom(needed)) => Some(needed),
        Err(error) => {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "the database may hold texts that were deleted before this version: it could not be written anew"
            );
            None
        }
    }
}

/// A file that was in use when its process ended may be torn if the disk lied about a sync.
async fn quick_check(db: &mut SqliteConnection, path: &Path) -> Result<()> {
    let found: String = sqlx::query_scalar("pragma quick_check(1)")
        .fetch_one(db)
        .await
        .map_err(|error| explain(path, error))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Damaged(path.to_owned(), one_line(&found))) }
}

/// Joins the lines of SQLite's report into a part of a sentence.
pub(super) fn one_line(found: &str) -> String {
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn older(version: &str, than: &str) -> bool {
    let parts = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    parts(version) < parts(than)
}

#[cfg(test)]
mod tests {
    use protocol::{MessageId, Rev, SessionId, UserId};
    use sqlx::migrate::Migrator;

    use super::*;
    use crate::store::upgrade::MIGRATIONS;
    use crate::testing::undisturbed;

    #[tokio::test]
    async fn a_database_of_the_first_version_is_brought_up_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("natter.sqlite"));
        let old = SqlitePoolOptions::new().connect_with(options.create_if_missing(true)).await.unwrap();
        Migrator::with_migrations(MIGRATIONS.migrations[..1].to_vec()).run(&old).await.unwrap();
        let (user, session) = (UserId::new(), SessionId::new());
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "insert into users values (x'{user}', 'Ada', 'ada', '', 'Offline', 0, 0);
             insert into sessions values (x'{session}', null, null, 3, 4, x'{session}', 0);
             insert into session_users values (x'{session}', x'{user}', 0, 0, null);
             insert into messages values (x'{session}', 1, x'{one}', x'{user}', 'first', 5, 1, null, null),
                 (x'{session}', 2, x'{two}', x'{user}', 'edited', 6, 4, 9, null),
                 (x'{session}', 3, x'{three}', x'{user}', 'third', 7, 3, null, null);",
            user = user.0.simple(),
            session = session.0.simple(),
            one = MessageId::new().0.simple(),
            two = MessageId::new().0.simple(),
            three = MessageId::new().0.simple(),
        )))
        .execute(&old)
        .await
        .unwrap();
        old.close().await;

        let (store, _events) = Store::open(folder.path()).await.unwrap();
        let changes = store.changes(user, session, Rev(1), 9, usize::MAX).await.unwrap().unwrap();
        let found: Vec<_> = changes.messages.iter().map(|m| (m.seq.0, m.rev.0, m.data.as_str())).collect();
        assert_eq!(found, [(3, 3, "third"), (2, 4, "edited")]);
        let history = store.history(user, session, None, 9, usize::MAX).await.unwrap().unwrap();
        assert_eq!(history.messages.len(), 3);
    }

    #[tokio::test]
    async fn a_database_in_use_is_not_brought_up_by_a_newer_program_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("natter.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = SqlitePoolOptions::new().connect_with(options.clone()).await.unwrap();
        Migrator::with_migrations(MIGRATIONS.migrations[..1].to_vec()).run(&old).await.unwrap();
        let serving = Folder::take(folder.path()).unwrap();
        let refused = Store::open_beside(folder.path()).await.err().expect("refused");
        assert!(matches!(refused, OpenError::Older(_)), "{refused}");
        assert!(is_older(&path).await.unwrap(), "it was left as it is");
        drop(serving);
        let (store, _events) = undisturbed(async || Store::open_beside(folder.path()).await).await.unwrap();
        store.close().await;
        assert!(!is_older(&path).await.unwrap(), "nobody has it: it was brought up");
        let _serving =
            undisturbed(async || Folder::take(folder.path())).await.expect("nobody holds it any more");
        let (store, _events) = Store::open_beside(folder.path()).await.unwrap();
        store.close().await;
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(older("3.51.1", MIN_SQLITE));
        assert!(older("3.9.0", MIN_SQLITE));
        assert!(!older("3.51.3", MIN_SQLITE));
        assert!(!older("3.100.0", MIN_SQLITE));
    }
}
