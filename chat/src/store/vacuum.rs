//! Rewrites the database file once in its life, at the first start with a Natter that overwrites what is deleted:
//! earlier versions left deleted texts in it. The database itself records that this is done.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::failure::Failure;
use super::folder::room;

/// From this size on, SQLite's intermediate copy is a file in the data folder instead of memory.
const LARGE: u64 = 16 << 20;

/// Bytes to leave free.
const SPARE: u64 = 1 << 20;

/// The result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Vacuum {
    /// Nothing deleted is left in the file.
    Done,
    /// It has to wait: this many bytes must be free.
    NoRoom(u64),
}

/// Rewrites the file, unless that was done before. Nobody else writes meanwhile.
pub(super) async fn once(options: &SqliteConnectOptions, path: &Path) -> Result<Vacuum, Failure> {
    let mut db = options.connect().await?;
    let is_done: bool =
        sqlx::query_scalar("select exists (select 1 from vacuumed)").fetch_one(&mut db).await?;
    if is_done {
        db.close().await?;
        return Ok(Vacuum::Done);
    }
    // A copy, and then the log, which holds all of it.
    let used = used(&mut db).await?;
    let (needed, folder) = (2 * used + SPARE, path.parent().unwrap_or(Path::new(".")));
    if room(folder)? < needed {
        db.close().await?;
        return Ok(Vacuum::NoRoom(needed));
    }
    if used >= LARGE {
        tracing::info!(
            mebibytes = used >> 20,
            "the database is written anew, once, so that nothing is left of what was deleted; this takes a while"
        );
        // SQLite unlinks it as soon as it has opened the file.
        let place = folder.to_string_lossy().replace('\'', "''");
        let place = format!("pragma temp_store = file; pragma temp_store_directory = '{place}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(place)).execute(&mut db).await?;
    }
    let done = sqlx::raw_sql(
        "vacuum; insert into vacuumed values (unixepoch() * 1000); pragma wal_checkpoint(truncate)",
    )
    .execute(&mut db)
    .await;
    if used >= LARGE {
        sqlx::raw_sql("pragma temp_store_directory = ''").execute(&mut db).await?;
    }
    done?;
    db.close().await?;
    Ok(Vacuum::Done)
}

/// Returns the bytes that the database uses of its file.
pub(super) async fn used(db: &mut SqliteConnection) -> sqlx::Result<u64> {
    let used: i64 = sqlx::query_scalar(
        "select (page_count - freelist_count) * page_size
         from pragma_page_count, pragma_freelist_count, pragma_page_size",
    )
    .fetch_one(db)
    .await?;
    Ok(u64::try_from(used).unwrap_or_default())
}
