//! Replacing the database with a backup.
//!
//! A restore brings back the past, and two things must not come back with it. Numbers: a client may hold messages whose
//! places are free again, so every session gets a new epoch, and clients start over. Logins: an ended one must stay
//! ended, so the logins come from the replaced database, not from the backup, if it can be read and their users are in
//! the backup; otherwise everybody signs in again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::backup::{BackupError, Contents, Result, count};
use super::folder::{DATABASE, Folder, create_new, is_link, sync_folder_of, with_ending};
use super::writer::log;
use super::{failure, open, upgrade};
use crate::{OpenError, clock};

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The contents now.
    pub contents: Contents,
    /// The database that was replaced, if there was one.
    pub replaced: Option<PathBuf>,
    /// Logins that were kept.
    pub logins: i64,
}

/// Replaces the database in the folder `data` with the backup `file`, and keeps the replaced one beside it, under a
/// name with the time. No server may be using the folder. The old database stays in place until the last moment, a
/// single rename; a crash leaves one or the other.
///
/// # Errors
/// A sentence for the person who asked; nothing was changed.
pub async fn restore(data: &Path, file: &Path) -> Result<Restored> {
    let fault = |error| BackupError::File(file.to_owned(), error);
    if !fs::metadata(file).map_err(fault)?.is_file() {
        return Err(fault(io::Error::other("it is no file")));
    }
    let log = with_ending(file, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(BackupError::NotWhole(file.to_owned(), log));
    }
    let folder = Folder::take(data)?; // held to the end
    folder.clear();
    let path = data.join(DATABASE);
    let new = with_ending(&path, ".restoring");
    let restored = prepare(&path, file, &new).await.and_then(|Prepared { contents, logins, date }| {
        let replaced =
            exchange(&path, &new, &date).map_err(|error| BackupError::File(path.clone(), error))?;
        Ok(Restored { contents, replaced, logins })
    });
    if restored.is_err() {
        folder.clear();
        folder.leave_as_it_was();
    }
    restored
}

struct Prepared {
    contents: Contents,
    logins: i64,
    /// The current time, for the name of what is replaced.
    date: String,
}

/// Makes a copy of the backup that is ready to be served, and closes the old database cleanly.
async fn prepare(path: &Path, file: &Path, new: &Path) -> Result<Prepared> {
    let fault = |error| BackupError::File(new.to_owned(), error);
    let no_backup = |error: sqlx::Error| {
        let what = error.as_database_error().map(|error| error.message().to_owned());
        BackupError::NoBackup(file.to_owned(), what.unwrap_or_else(|| error.to_string()))
    };
    let failed = |error| BackupError::Database(new.to_owned(), error);
    copy(file, new).map_err(fault)?;
    let options = SqliteConnectOptions::new()
        .filename(new)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Delete) // one file, consistent after every commit
        .synchronous(SqliteSynchronous::Full)
        .pragma("temp_store", "memory")
        .pragma("secure_delete", "on")
        .disable_statement_logging();
    let mut db = options.connect().await.map_err(no_backup)?;
    check(&mut db, file).await?;
    upgrade::migrate(&options, new).await.map_err(|error| match error {
        OpenError::Version(_, what) => BackupError::NoBackup(file.to_owned(), what),
        other => other.into(),
    })?;
    let is_readable = path.exists() && settle(path).await?;
    let logins = begin_anew(&mut db, is_readable.then_some(path)).await.map_err(failed)?;
    let (users, messages) = count(&mut db).await.map_err(failed)?;
    let date = sqlx::query_scalar("select strftime('%Y-%m-%dT%H-%M-%SZ', 'now')");
    let date = date.fetch_one(&mut db).await.map_err(failed)?;
    db.close().await.map_err(failed)?;
    let done = File::open(new).map_err(fault)?;
    done.sync_all().map_err(fault)?;
    let bytes = done.metadata().map_err(fault)?.len();
    Ok(Prepared { contents: Contents { bytes, users, messages }, logins, date })
}

/// Accepts an intact Natter database. `migrate` checks its version.
async fn check(db: &mut SqliteConnection, file: &Path) -> Result<()> {
    let no_backup = |what: String| Err(BackupError::NoBackup(file.to_owned(), what));
    let found = sqlx::query_scalar::<_, String>("pragma integrity_check(1)").fetch_one(&mut *db).await;
    match found {
        Ok(found) if found == "ok" => {}
        Ok(found) => return no_backup(open::one_line(&found)),
        Err(error) => {
            return no_backup(error.as_database_error().map_or("unreadable", |e| e.message()).into());
        }
    }
    let tables = "select count(*) from sqlite_schema
                  where type = 'table' and name in ('_sqlx_migrations', 'users', 'sessions', 'messages', 'logins')";
    match sqlx::query_scalar::<_, i64>(tables).fetch_one(db).await {
        Ok(5) => Ok(()),
        _ => no_backup("its tables are others".into()),
    }
}

/// Checkpoints the old database's log into it, so that it is one file that nobody else has open: a process that still
/// had it, and closed it after the swap, would remove the new one's log. Returns false if it cannot be read.
async fn settle(old: &Path) -> Result<bool> {
    let settle = async || {
        let options =
            SqliteConnectOptions::new().filename(old).busy_timeout(log::BUSY).disable_statement_logging();
        let mut whole = options.connect().await?;
        let mode: String = sqlx::query_scalar("pragma journal_mode = delete").fetch_one(&mut whole).await?;
        whole.close().await?;
        Ok::<_, sqlx::Error>(mode)
    };
    let in_use = || Err(OpenError::Locked(old.to_owned()).into());
    match settle().await {
        Ok(mode) if mode == "delete" => Ok(true),
        Ok(_) => in_use(),
        Err(error) if matches!(failure::code(&error), Some(failure::BUSY | failure::LOCKED)) => in_use(),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database that is replaced cannot be read: everybody signs in again"
            );
            Ok(false)
        }
    }
}

/// Sets new epochs, and takes the logins of the replaced database if it can be read. Returns how many there are.
async fn begin_anew(db: &mut SqliteConnection, old: Option<&Path>) -> sqlx::Result<i64> {
    let mut transaction = db.begin().await?;
    sqlx::raw_sql("update sessions set epoch = randomblob(16); delete from logins")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    // Best effort: the old one may be damaged, or of an older version.
    if let Some(old) = old
        && let Err(error) = take_logins(db, old).await
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the logins could not be kept: everybody signs in again"
        );
    }
    sqlx::query_scalar("select count(*) from logins").fetch_one(db).await
}

async fn take_logins(db: &mut SqliteConnection, old: &Path) -> sqlx::Result<()> {
    sqlx::query("attach $1 as old").bind(old.to_string_lossy().into_owned()).execute(&mut *db).await?;
    let columns = "token_hash, user_id, user_agent, ip, created_at, last_used_at, expires_at, data";
    let take = format!(
        "insert into logins ({columns}) select {columns} from old.logins
         where user_id in (select user_id from users) and expires_at > $1"
    );
    let taken = sqlx::query(sqlx::AssertSqlSafe(take)).bind(clock::now()).execute(&mut *db).await;
    sqlx::query("detach old").execute(db).await?;
    taken.map(drop)
}

/// Copies a file to a free name, readable by nobody else.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut create_new(to)?).map(drop)
}

/// Swaps in the new database. Returns where the old one is now.
fn exchange(path: &Path, new: &Path, date: &str) -> io::Result<Option<PathBuf>> {
    let replaced = path.exists().then(|| free_name(path, date));
    // A remaining log belongs to an old database that could not be opened. SQLite would replay it into the new one
    // beside it.
    let log = with_ending(path, "-wal");
    if log.exists() {
        let lost = with_ending(path, &format!(".replaced-{date}"));
        fs::rename(&log, with_ending(replaced.as_deref().unwrap_or(&lost), "-wal"))?;
    }
    let _ = fs::remove_file(with_ending(path, "-shm"));
    if let Some(replaced) = &replaced {
        // Both names exist for a moment, so that there is always one. Not every file system has hard links.
        fs::hard_link(path, replaced).or_else(|_| copy(path, replaced))?;
    }
    fs::rename(new, path)?;
    sync_folder_of(path)?;
    Ok(replaced)
}

/// `natter.sqlite.replaced-2026-11-23T04-30-00Z`, with a number appended if that second's name is taken.
fn free_name(path: &Path, date: &str) -> PathBuf {
    let first = with_ending(path, &format!(".replaced-{date}"));
    let later = (2..).map(|nth| with_ending(&first, &format!("-{nth}")));
    let is_free = |name: &PathBuf| !name.exists() && !is_link(name);
    std::iter::once(first.clone()).chain(later).find(is_free).expect("some number is free")
}
