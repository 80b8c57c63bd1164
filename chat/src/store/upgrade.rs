//! Bringing a database up to this program's tables.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::failure::explain;
use super::folder::{create_new, folder_of, room, sync_folder_of, with_ending};
use super::vacuum::used;
use crate::error::OpenError;

type Result<T> = std::result::Result<T, OpenError>;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The migration that rewrites all messages. A copy from before it is kept.
const REWRITES: i64 = 9;

/// How the copy's name goes on after that of the database, and how it begins for all of them.
const BEFORE: &str = ".before-9";
const COPIES: &str = ".before-";

/// What is not finished yet.
const PARTIAL: &str = ".part";

/// How long a copy is kept.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many times the size of what is in the database must be free: for the copy, for the tables that are written anew,
/// and for the log, which holds those and the pages of the old ones as they are overwritten.
const ROOM: u64 = 4;

/// Bytes to leave free.
const SPARE: u64 = 1 << 20;

/// Brings the database of a data folder up to this program's version; refuses a later version. Nobody else may have the
/// database open if it is of an earlier one. If this is interrupted at any point, the next start does it again.
pub(super) async fn upgrade(options: &SqliteConnectOptions, path: &Path) -> Result<()> {
    let mut db = options.connect().await.map_err(|error| explain(path, error))?;
    let latest = latest(&mut db).await.map_err(|error| explain(path, error))?;
    if latest.is_some_and(|latest| latest < REWRITES) {
        keep_a_copy(&mut db, path).await?;
    }
    db.close().await.map_err(|error| explain(path, error))?;
    migrate(options, path).await
}

/// Does the same for a database that is a copy itself.
pub(super) async fn migrate(options: &SqliteConnectOptions, path: &Path) -> Result<()> {
    // Through a pool, because the compiler does not see that the future of migrating a connection is `Send`.
    let migrating = SqlitePoolOptions::new().max_connections(1);
    let migrating = migrating.connect_with(options.clone()).await.map_err(|error| explain(path, error))?;
    let migrated = MIGRATIONS.run(&migrating).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(path, error),
        other => OpenError::Version(path.to_owned(), other.to_string()),
    });
    migrating.close().await;
    migrated
}

/// Whether [`upgrade`] would change the tables.
pub(super) async fn is_older(path: &Path) -> Result<bool> {
    let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
    let mut db = options.connect().await.map_err(|error| explain(path, error))?;
    let latest = latest(&mut db).await.map_err(|error| explain(path, error))?;
    db.close().await.map_err(|error| explain(path, error))?;
    Ok(latest.is_some_and(|latest| MIGRATIONS.iter().any(|migration| migration.version > latest)))
}

/// Removes copies from before an upgrade that are more than a week old, and what is left of an interrupted one: deleted
/// texts are in them too.
pub(super) fn forget_copies(database: &Path) {
    let Some(name) = database.file_name().and_then(|name| name.to_str()) else { return };
    for entry in fs::read_dir(folder_of(database)).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let Some(copy) = file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix(COPIES)) else {
            continue;
        };
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if copy.ends_with(PARTIAL) || age().is_some_and(|age| age > WEEK) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the last migration that a database has seen; `None` for a new one.
async fn latest(db: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    let migrated = "select exists (select 1 from sqlite_schema where name = '_sqlx_migrations')";
    if !sqlx::query_scalar::<_, bool>(migrated).fetch_one(&mut *db).await? {
        return Ok(None);
    }
    sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(db).await
}

/// Copies the database as it is, if there is room for that and for what follows.
async fn keep_a_copy(db: &mut SqliteConnection, path: &Path) -> Result<()> {
    let used = used(db).await.map_err(|error| explain(path, error))?;
    let needed = ROOM * used + SPARE;
    let fault = |error: io::Error| OpenError::Folder(folder_of(path).to_owned(), error);
    if room(folder_of(path)).map_err(fault)? < needed {
        return Err(OpenError::NoRoom(path.to_owned(), needed.div_ceil(1 << 20)));
    }
    let copy = with_ending(path, BEFORE);
    tracing::info!(
        mebibytes = used >> 20,
        copy = %copy.display(),
        "the messages are written anew for this version, once; a copy of the database is kept for a week"
    );
    let partial = with_ending(&copy, PARTIAL);
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(error)),
        _ => {}
    }
    // SQLite accepts an existing empty file, and nobody else may read this one.
    drop(create_new(&partial).map_err(fault)?);
    let into = partial.to_str().ok_or_else(|| fault(io::Error::other("its name is not UTF-8")))?;
    sqlx::query("vacuum into $1").bind(into).execute(db).await.map_err(|error| explain(path, error))?;
    let keep = || {
        File::open(&partial)?.sync_all()?;
        fs::rename(&partial, &copy)?;
        sync_folder_of(&copy)
    };
    keep().map_err(fault)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn what_is_rewritten_is_copied_first_and_the_copy_goes_after_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("natter.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = SqlitePoolOptions::new().connect_with(options.clone()).await.unwrap();
        let before = MIGRATIONS.iter().filter(|migration| migration.version < REWRITES).cloned().collect();
        Migrator::with_migrations(before).run(&old).await.unwrap();
        old.close().await;
        fs::write(with_ending(&path, ".before-9.part"), "of an interrupted start").unwrap();

        let (store, _events) = Store::open(folder.path()).await.unwrap();
        let copy = with_ending(&path, BEFORE);
        assert!(is_older(&copy).await.unwrap() && !is_older(&path).await.unwrap());
        assert!(!with_ending(&copy, PARTIAL).exists());
        let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let copies = || names().filter(|name| name.to_string_lossy().contains(COPIES)).count();
        forget_copies(&path);
        assert_eq!(copies(), 1, "it is new");
        let week_old = SystemTime::now() - WEEK - Duration::from_secs(1);
        File::options().write(true).open(&copy).unwrap().set_modified(week_old).unwrap();
        forget_copies(&path);
        assert_eq!(copies(), 0);
        store.close().await;
    }

    #[tokio::test]
    async fn of_a_new_database_there_is_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _events) = Store::open(folder.path()).await.unwrap();
        assert!(!folder.path().join("natter.sqlite.before-9").exists());
        store.close().await;
    }
}
