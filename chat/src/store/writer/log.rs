//! SQLite's write-ahead log: kept short, and emptied when the disk has to prove itself.
//!
//! Only the writer moves the log's content into the database (a checkpoint), after its answers have gone out, so no
//! answer waits for one.

use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Units of work between checks of the log's length. A message adds 10 to 30 KiB to it.
const LOOK_EVERY: usize = 64;

/// From this length on (bytes) the log is checkpointed, as far as no reader needs it. Then, if nobody reads, the next
/// commit starts the log over. Writers wait meanwhile: a longer log would mean a longer wait and more to read after a
/// crash; a shorter one more work, because pages that change often are moved more often.
const MOVE: i64 = 8 << 20;

/// From this length on the writer waits for the readers, a little, so that the log can start over.
const INSIST: i64 = 14 << 20;

/// A longer file is truncated. Otherwise it is kept and overwritten, which makes commits cheaper.
const CUT: i64 = 16 << 20;

/// How long the writer waits for readers, and how often at most.
const PATIENCE: Duration = Duration::from_millis(25);
const INSIST_EVERY: Duration = Duration::from_secs(1);

/// How long to wait for other connections' locks at any other time.
pub(in crate::store) const BUSY: Duration = Duration::from_secs(5);

/// "Natt" in the database header (`pragma application_id`), where file(1) and others look for it.
const APPLICATION: i32 = 0x4e61_7474;

/// What is known about the log.
pub(super) struct Log {
    /// Units of work since its length was checked.
    unseen: usize,
    /// The maximum size of its file so far, in bytes.
    file: i64,
    /// The earliest time to insist again.
    next: Option<Instant>,
    checkpoints: metrics::Counter,
}

/// The log's length, and how much of it is in the database; in bytes.
#[derive(Debug, Clone, Copy)]
struct Length {
    all: i64,
    moved: i64,
    /// Whether another connection kept it from doing all that was requested.
    is_busy: bool,
}

impl Log {
    pub(super) fn new() -> Self {
        let checkpoints = metrics::counter!("natter_checkpoints_total");
        Self { unseen: 0, file: 0, next: None, checkpoints }
    }

    /// Keeps the log short, after a commit of this many units. Returns when to call again even if nothing was
    /// committed.
    ///
    /// # Errors
    /// The disk failed: the connection must not be used again.
    pub(super) fn tend(&mut self, db: &Connection, units: usize) -> rusqlite::Result<Option<Instant>> {
        self.unseen += units;
        if self.unseen < LOOK_EVERY && self.file <= CUT {
            return Ok(None);
        }
        self.unseen = 0;
        // "noop" moves nothing. (An SQLite older than 3.51 would treat it as "passive", which does no harm.)
        let mut length = checkpoint(db, "noop")?;
        if length.all >= MOVE && length.moved < length.all {
            length = checkpoint(db, "passive")?;
            self.checkpoints.increment(1);
        }
        self.file = self.file.max(length.all);
        if length.all >= INSIST || self.file > CUT {
            self.insist(db)?;
        }
        Ok(self.next.filter(|_| self.file > CUT))
    }

    fn insist(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return Ok(());
        }
        self.next = Some(now + INSIST_EVERY);
        if self.file > CUT {
            if empty(db)? {
                self.file = 0;
            }
        } else {
            db.busy_timeout(PATIENCE)?;
            checkpoint(db, "restart")?;
            db.busy_timeout(BUSY)?;
        }
        self.checkpoints.increment(1);
        Ok(())
    }
}

/// Checkpoints the whole log and truncates it, so that everything anybody has seen of it is synced, and what nobody has
/// seen is gone; then commits something and syncs it.
///
/// # Errors
/// The disk does not work.
pub(in crate::store) fn prove(db: &Connection) -> rusqlite::Result<()> {
    // If a reader still needs a part of it, that part was synced when it was committed.
    empty(db)?;
    db.pragma_update(None, "application_id", APPLICATION)
}

/// Checkpoints the log and truncates it, unless a reader still needs it. Returns whether it is empty.
///
/// # Errors
/// The disk does not work.
pub(in crate::store) fn empty(db: &Connection) -> rusqlite::Result<bool> {
    db.busy_timeout(PATIENCE)?;
    let left = checkpoint(db, "truncate")?;
    db.busy_timeout(BUSY)?;
    Ok(!left.is_busy && left.all == 0)
}

fn checkpoint(db: &Connection, how: &str) -> rusqlite::Result<Length> {
    let (is_busy, all, moved) = db
        .prepare_cached(&format!("pragma wal_checkpoint({how})"))?
        .query_row([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?;
    let page: i64 = db.prepare_cached("pragma page_size")?.query_row([], |row| row.get(0))?;
    let frame = page + 24; // sqlite.org/fileformat2.html, section 4.1
    Ok(Length { all: all.max(0) * frame, moved: moved.max(0) * frame, is_busy })
}
