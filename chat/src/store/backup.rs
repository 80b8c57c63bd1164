//! A copy of the whole database in one file, taken while a server uses it. For the way back see `restore`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::folder::{DATABASE, folder_of, is_link, is_same, sync_folder_of};
use super::open::one_line;
use super::writer::log;

/// The contents of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    /// The file's size in bytes.
    pub bytes: u64,
    /// Accounts in it.
    pub users: i64,
    /// Messages in it, including deleted ones.
    pub messages: i64,
}

/// Why a backup was not made or not restored: sentences for the person who runs the server.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to back up.
    #[error("There is no Natter in the folder {0}. Name it with --data.")]
    NoData(PathBuf),
    /// A backup never overwrites anything.
    #[error("There is a file {0} already. Name another one, or move it away.")]
    Exists(PathBuf),
    /// No such file, or it cannot be read or written.
    #[error("The file {0} cannot be used: {1}.")]
    File(PathBuf, io::Error),
    /// Not a Natter database, or not a database.
    #[error("{0} is no backup of Natter ({1}). Nothing was changed.")]
    NoBackup(PathBuf, String),
    /// A database copied while it was in use.
    #[error(
        "Beside {0} is {1}: it was copied while it was in use. Name a file that `natter backup` made. Nothing was changed."
    )]
    NotWhole(PathBuf, PathBuf),
    /// Another database took its place.
    #[error(
        "The database {0} was exchanged meanwhile, by a restore perhaps. Try again. Nothing was changed."
    )]
    Exchanged(PathBuf),
    /// The data folder is in use by another process, or unusable.
    #[error(transparent)]
    Open(#[from] crate::OpenError),
    /// The database failed midway.
    #[error("The database {0} failed: {1}. Nothing was changed.")]
    Database(PathBuf, sqlx::Error),
}

pub(super) type Result<T> = std::result::Result<T, BackupError>;

/// Writes everything committed in the folder `data` into one new file. Safe while a server uses the folder: the server
/// goes on reading and writing, and its log grows by what it writes meanwhile.
///
/// # Errors
/// A sentence for the person who asked; no file is left behind.
pub async fn backup(data: &Path, file: &Path) -> Result<Contents> {
    let path = data.join(DATABASE);
    if is_link(&path) {
        return Err(crate::OpenError::Link(path).into());
    }
    if !path.exists() {
        return Err(BackupError::NoData(data.to_owned()));
    }
    if file.exists() || is_link(file) {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let fault = |error| BackupError::File(file.to_owned(), error);
    // Under its own name, so as not to touch what another backup to the same file is writing.
    let mut partial = tempfile::Builder::new();
    partial.prefix(".natter-").suffix(".partial");
    // SQLite accepts an existing empty file. Nobody else may read this one, and it is deleted when the value is
    // dropped.
    let (made, partial) = partial.tempfile_in(folder_of(file)).map_err(fault)?.into_parts();
    let contents = copy(&path, file, &partial).await?;
    // If others may write to the folder, they could have replaced the file.
    if !is_same(&made, &partial).map_err(fault)? {
        return Err(fault(io::Error::other("another program exchanged it while it was written")));
    }
    partial.persist_noclobber(file).map_err(|failed| match failed.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
        _ => fault(failed.error),
    })?;
    sync_folder_of(file).map_err(fault)?;
    Ok(contents)
}

/// Copies the database into the empty file `partial`, and checks that it could be restored.
async fn copy(path: &Path, file: &Path, partial: &Path) -> Result<Contents> {
    let fault = |error| BackupError::File(file.to_owned(), error);
    let failed = |error| BackupError::Database(path.to_owned(), error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(log::BUSY)
        .pragma("wal_autocheckpoint", "0") // only the server's writer does that
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    let unseen = |error| BackupError::File(path.to_owned(), error);
    let before = fs::metadata(path).map_err(unseen)?;
    let mut db = options.connect().await.map_err(failed)?;
    let into = partial.to_str().ok_or_else(|| fault(io::Error::other("its name is not UTF-8")))?;
    sqlx::query("vacuum into $1").bind(into).execute(&mut db).await.map_err(failed)?;
    db.close().await.map_err(failed)?;
    let after = fs::metadata(path).map_err(unseen)?;
    if (before.dev(), before.ino()) != (after.dev(), after.ino()) {
        return Err(BackupError::Exchanged(path.to_owned()));
    }

    // Better to learn today that a backup cannot be restored.
    let options = SqliteConnectOptions::new().filename(partial).read_only(true).disable_statement_logging();
    let mut db = options.connect().await.map_err(failed)?;
    let found: String =
        sqlx::query_scalar("pragma quick_check(1)").fetch_one(&mut db).await.map_err(failed)?;
    if found != "ok" {
        return Err(BackupError::NoBackup(file.to_owned(), one_line(&found)));
    }
    let (users, messages) = count(&mut db).await.map_err(failed)?;
    db.close().await.map_err(failed)?;

    let copied = File::open(partial).map_err(fault)?;
    copied.sync_all().map_err(fault)?;
    Ok(Contents { bytes: copied.metadata().map_err(fault)?.len(), users, messages })
}

/// Counts users and messages.
pub(super) async fn count(db: &mut SqliteConnection) -> sqlx::Result<(i64, i64)> {
    let counted = "select (select count(*) from users), (select count(*) from messages)";
    sqlx::query_as(counted).fetch_one(db).await
}
