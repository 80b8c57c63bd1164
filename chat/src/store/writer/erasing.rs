//! Erases deleted texts from the files too: the log is emptied soon, because the log and the database still hold pages
//! as they were before.
//!
//! A log can be truncated only while nobody reads from it. So that an unbroken succession of readers does not keep it
//! forever, all reading connections are taken for a moment, each when it has ended its read, while the writer goes on;
//! only then is the log emptied. A program beside this one that reads, such as `natter backup`, is waited for.

use std::time::{Duration, Instant};

use sqlx::Sqlite;
use sqlx::SqlitePool;
use sqlx::pool::PoolConnection;
use tokio::sync::oneshot;

/// How long after a deletion the log is emptied: half of the promised minute, to leave time for retries, and long
/// enough that frequent deletions cost little extra work.
const SOON: Duration = Duration::from_secs(30);

/// How long to wait for the readers' connections: longer than any read may take.
const READS: Duration = Duration::from_secs(5);

/// How soon to retry.
const AGAIN: Duration = Duration::from_secs(2);

/// After this long it logs that something is in the way.
const LONG: Duration = Duration::from_secs(300);

/// How often it logs that there is no room.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The reading connections, at rest.
pub(super) type AtRest = Vec<PoolConnection<Sqlite>>;

/// Whether something has to leave the files, and how far that has got.
pub(in crate::store) struct Erasing {
    readers: SqlitePool,
    /// Since when something waits; and when the next try is due.
    since: Option<Instant>,
    due: Option<Instant>,
    /// The reading connections, being collected.
    at_rest: Option<oneshot::Receiver<AtRest>>,
    has_complained: bool,
    /// Set if deleted texts cannot be removed from the database: the bytes that must be free for that, and when to log
    /// it.
    no_room: Option<(u64, Instant)>,
}

impl Erasing {
    pub(in crate::store) fn new(readers: SqlitePool) -> Self {
        Self { readers, since: None, due: None, at_rest: None, has_complained: false, no_room: None }
    }

    /// Notes that something was just deleted or replaced.
    pub(super) fn expect(&mut self) {
        if self.since.is_none() {
            let now = Instant::now();
            (self.since, self.due) = (Some(now), Some(now + SOON));
        }
    }

    /// Makes another one, for another writer on the same files.
    #[cfg(test)]
    pub(super) fn again(&self) -> Self {
        Self::new(self.readers.clone())
    }

    /// Logs, now and every day, that texts deleted long ago cannot be removed from the database because this many bytes
    /// are not free.
    pub(super) fn remind(&mut self, no_room: Option<u64>) {
        self.no_room = no_room.map(|needed| (needed, Instant::now()));
    }

    /// Returns when there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.no_room.map(|(_, at)| at)).min()
    }

    /// Starts to collect the reading connections, if it is time.
    pub(super) fn begin(&mut self) {
        if let Some((needed, at)) = &mut self.no_room
            && *at <= Instant::now()
        {
            *at += DAY;
            tracing::warn!(
                "the database may hold texts that were deleted before this version: to take them out, the next start \
                 needs {} MiB of free disk",
                needed.div_ceil(1 << 20)
            );
        }
        if self.due.is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.due = None;
        let (rest, at_rest) = oneshot::channel();
        self.at_rest = Some(at_rest);
        let readers = self.readers.clone();
        tokio::spawn(async move {
            let mut taken = AtRest::new();
            let take = async {
                for _ in 0..readers.options().get_max_connections() {
                    taken.push(readers.acquire().await?);
                }
                Ok::<_, sqlx::Error>(())
            };
            // Tries with those that came in time, and retries later.
            let _ = tokio::time::timeout(READS, take).await;
            let _ = rest.send(taken);
        });
    }

    /// Completes when the log can be emptied, as far as this process is concerned.
    pub(super) async fn readers_rest(&mut self) -> AtRest {
        match &mut self.at_rest {
            Some(at_rest) => {
                let rest = at_rest.await.unwrap_or_default();
                self.at_rest = None;
                rest
            }
            None => std::future::pending().await,
        }
    }

    /// Notes the outcome of a try.
    pub(super) fn tried(&mut self, is_empty: bool) {
        if is_empty {
            (self.since, self.due, self.has_complained) = (None, None, false);
            return;
        }
        self.due = Some(Instant::now() + AGAIN);
        if !self.has_complained && self.since.is_some_and(|since| since.elapsed() > LONG) {
            self.has_complained = true;
            tracing::warn!(
                "what was deleted {} minutes ago is still in the log: another program reads the database all the time",
                LONG.as_secs() / 60
            );
        }
    }
}
