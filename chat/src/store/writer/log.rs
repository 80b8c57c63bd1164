//! SQLite's write-ahead log: kept short, and emptied when the disk has to prove itself.
//!
//! The writer alone moves the log's content into the database (a checkpoint), after its answers have gone out, so
//! no answer waits for one.

use std::time::{Duration, Instant};

use sqlx::SqliteConnection;

/// Units of work after which the log's length is looked at. A message adds 10 to 30 KiB to it.
const LOOK_EVERY: usize = 64;

/// From this length on (bytes) the log is moved into the database, as far as no reader needs it. Then, when nobody
/// reads, the next commit begins it anew. Longer would mean more to read after a crash; shorter, more work,
/// because pages that change often are moved more often.
const MOVE: i64 = 8 << 20;

/// From this length on the writer waits for the readers, a little, so that the log can begin anew.
const INSIST: i64 = 12 << 20;

/// A file longer than this is cut. Otherwise it is kept and written over: that makes the cheaper commits.
const CUT: i64 = 16 << 20;

/// How long the writer waits for readers, and how often at most.
const PATIENCE: Duration = Duration::from_millis(25);
const INSIST_EVERY: Duration = Duration::from_secs(1);

/// How long other connections' locks are waited for at any other time.
pub(in crate::store) const BUSY: Duration = Duration::from_secs(5);

/// "Natt" in the database's header (`pragma application_id`), where file(1) and others look for it.
const APPLICATION: i32 = 0x4e61_7474;

/// What is known of the log.
pub(super) struct Log {
    /// Units of work since its length was looked at.
    unseen: usize,
    /// The most that its file has come to, in bytes.
    file: i64,
    /// No insisting before.
    next: Option<Instant>,
    checkpoints: metrics::Counter,
}

/// The log's length, and how much of it is in the database; in bytes.
#[derive(Debug, Clone, Copy)]
struct Length {
    all: i64,
    moved: i64,
}

impl Log {
    pub(super) fn new() -> Self {
        let checkpoints = metrics::counter!("natter_checkpoints_total");
        Self { unseen: 0, file: 0, next: None, checkpoints }
    }

    /// Keeps the log short, after a commit of so many units. Returns when to come again though nothing was
    /// committed.
    ///
    /// # Errors
    /// The disk failed: the connection is not to be used again.
    pub(super) async fn tend(
        &mut self,
        db: &mut SqliteConnection,
        units: usize,
    ) -> sqlx::Result<Option<Instant>> {
        self.unseen += units;
        if self.unseen < LOOK_EVERY && self.file <= CUT {
            return Ok(None);
        }
        self.unseen = 0;
        // "noop" moves nothing. (An SQLite older than 3.51 would take it for "passive": no harm.)
        let mut length = checkpoint(db, "pragma wal_checkpoint(noop)").await?;
        if length.all >= MOVE && length.moved < length.all {
            length = checkpoint(db, "pragma wal_checkpoint(passive)").await?;
            self.checkpoints.increment(1);
        }
        self.file = self.file.max(length.all);
        if length.all >= INSIST || self.file > CUT {
            self.insist(db).await?;
        }
        Ok(self.next.filter(|_| self.file > CUT))
    }

    async fn insist(&mut self, db: &mut SqliteConnection) -> sqlx::Result<()> {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return Ok(());
        }
        self.next = Some(now + INSIST_EVERY);
        set_busy(db, PATIENCE).await?;
        let cut = self.file > CUT;
        let how = if cut { "pragma wal_checkpoint(truncate)" } else { "pragma wal_checkpoint(restart)" };
        let left = checkpoint(db, how).await?;
        set_busy(db, BUSY).await?;
        self.checkpoints.increment(1);
        if cut && left.all == 0 {
            self.file = 0;
        }
        Ok(())
    }
}

/// Moves the whole log into the database and cuts it to nothing, so that whatever anybody has seen of it is synced,
/// and what nobody has seen is gone; then commits something and syncs it.
///
/// # Errors
/// The disk does not work.
pub(in crate::store) async fn prove(db: &mut SqliteConnection) -> sqlx::Result<()> {
    // A reader may hold on to a part of it: then that part was synced when it was committed.
    set_busy(db, PATIENCE).await?;
    checkpoint(db, "pragma wal_checkpoint(truncate)").await?;
    set_busy(db, BUSY).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("pragma application_id = {APPLICATION}"))).execute(db).await?;
    Ok(())
}

async fn checkpoint(db: &mut SqliteConnection, how: &'static str) -> sqlx::Result<Length> {
    let (_, all, moved): (i64, i64, i64) = sqlx::query_as(how).fetch_one(&mut *db).await?;
    let page: i64 = sqlx::query_scalar("pragma page_size").fetch_one(db).await?;
    let frame = page + 24; // sqlite.org/fileformat2.html, section 4.1
    Ok(Length { all: all.max(0) * frame, moved: moved.max(0) * frame })
}

async fn set_busy(db: &mut SqliteConnection, patience: Duration) -> sqlx::Result<()> {
    let pragma = format!("pragma busy_timeout = {}", patience.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(pragma)).execute(db).await?;
    Ok(())
}
