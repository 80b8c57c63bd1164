//! What was deleted leaves the files too: soon the log is emptied, because it and the database still hold pages as they
//! were before.
//!
//! A log can be cut to nothing only while nobody reads from it. So that readers who follow one another without a pause
//! do not keep it for ever, all connections that read are taken for a moment, each when it has ended its read, while the
//! writer goes on; only then is the log emptied. A program beside this one that reads, such as `natter backup`, is
//! waited for.

use std::time::{Duration, Instant};

use sqlx::Sqlite;
use sqlx::SqlitePool;
use sqlx::pool::PoolConnection;
use tokio::sync::oneshot;

use super::super::open::READERS;

/// How long after a deletion the log is emptied: half of the minute that is promised, so that there is time to try again,
/// and long enough that those who delete much make it no work.
const SOON: Duration = Duration::from_secs(30);

/// How long the readers' connections are waited for: longer than any read may take.
const READS: Duration = Duration::from_secs(5);

/// How soon it is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// From then on it is said that something is in the way.
const LONG: Duration = Duration::from_secs(300);

/// How often it is said that there is no room.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The connections that read, at rest.
pub(super) type AtRest = Vec<PoolConnection<Sqlite>>;

/// Whether something has to leave the files, and how far that is.
pub(in crate::store) struct Erasing {
    readers: SqlitePool,
    /// Since when something waits; and when it is tried next.
    since: Option<Instant>,
    due: Option<Instant>,
    /// The connections that read, on their way.
    at_rest: Option<oneshot::Receiver<AtRest>>,
    has_complained: bool,
    /// What the database holds of deleted texts cannot be taken out of it: the bytes that have to be free for that, and
    /// when to say so.
    no_room: Option<(u64, Instant)>,
}

impl Erasing {
    pub(in crate::store) fn new(readers: SqlitePool) -> Self {
        Self { readers, since: None, due: None, at_rest: None, has_complained: false, no_room: None }
    }

    /// Something was deleted or replaced just now.
    pub(super) fn expect(&mut self) {
        if self.since.is_none() {
            let now = Instant::now();
            (self.since, self.due) = (Some(now), Some(now + SOON));
        }
    }

    /// For another writer on the same files.
    #[cfg(test)]
    pub(super) fn again(&self) -> Self {
        Self::new(self.readers.clone())
    }

    /// Says so, now and every day, when texts that were deleted long ago cannot be taken out of the database because so
    /// many bytes are not free.
    pub(super) fn remind(&mut self, no_room: Option<u64>) {
        self.no_room = no_room.map(|needed| (needed, Instant::now()));
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.no_room.map(|(_, at)| at)).min()
    }

    /// Begins to take the connections that read, if it is time.
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
                for _ in 0..READERS {
                    taken.push(readers.acquire().await?);
                }
                Ok::<_, sqlx::Error>(())
            };
            // Whatever has come by then: it is tried with those, and then again.
            let _ = tokio::time::timeout(READS, take).await;
            let _ = rest.send(taken);
        });
    }

    /// Ready when the log can be emptied, as far as this process is concerned.
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

    /// It was tried.
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
