//! Recent changes of sessions, cached in memory for reconnects: when a server returns, everybody fetches the same few
//! pages of the same sessions at once, and each should be read only once.
//!
//! A *tail* is what changed in a session after some `Rev`, up to now. It starts with one read, made for the first
//! caller while the others wait for it; then `live` maintains it, appending every change before publishing it. Only
//! sockets that follow the session ask, so membership is known; the caller says what the user may see. Bounded,
//! and evicted when nobody asks any more or nobody listens.

mod rows;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Counter;
use protocol::{Code, LiveMessage, Rev, SessionId};

use crate::error::{Error, Result};
use crate::sessions::View;
use crate::shards::Shards;
use crate::store::Store;
use rows::{BYTES, Lookup, ROWS, Rows, State};

/// Most bytes in all tails of the process.
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// How far before the requested place a tail begins: clients that return together do not all ask from the same one.
const BEFORE: i64 = 64;

/// A tail that nobody has asked for in this time is evicted.
const IDLE: Duration = Duration::from_secs(60);

/// The tails of this process.
pub(crate) struct Tails {
    tails: Shards<SessionId, Arc<Tail>>,
    /// Bytes held by all of them.
    bytes: AtomicUsize,
    /// Pages read from the database.
    reads: Counter,
}

/// The tail of one session.
#[derive(Default)]
struct Tail {
    /// Locked while the beginning is read, so that it is read once.
    reading: tokio::sync::Mutex<()>,
    rows: Mutex<Rows>,
}

impl Tails {
    pub(crate) fn new(reads: Counter) -> Self {
        Self { tails: Shards::default(), bytes: AtomicUsize::new(0), reads }
    }

    /// Counts a page that was read past the tails.
    pub(crate) fn read_past(&self) {
        self.reads.increment(1);
    }

    /// Returns the page after a change, encoded, for a user who may see this. `None` if the tail does
    /// not reach back that far, or does not know that change yet. The caller must already follow the session.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn page(
        &self,
        store: &Store,
        session: SessionId,
        view: &View,
        after: Rev,
    ) -> Result<Option<Bytes>> {
        if after < Rev(0) {
            return Ok(None);
        }
        for _ in 0..3 {
            let tail = self.tails.of(&session).entry(session).or_default().clone();
            self.begin(store, session, &tail, after).await?;
            let answer = self.accounted(&mut tail.rows(), |rows| rows.answer(session, view, after));
            match answer {
                Lookup::Page(page) => {
                    if self.bytes.load(Ordering::Relaxed) > ALL_BYTES {
                        self.let_go(session, &tail);
                    }
                    return Ok(Some(page));
                }
                Lookup::NotHere => return Ok(None),
                Lookup::Again => self.let_go(session, &tail),
            }
        }
        Ok(None)
    }

    /// Appends a change. Called in commit order, before the change is published: a socket that followed too late to
    /// receive it finds it here.
    pub(crate) fn append(&self, live: &LiveMessage) {
        let Some(tail) = self.tails.of(&live.session_id).get(&live.session_id).cloned() else { return };
        let kept = self.accounted(&mut tail.rows(), |rows| rows.append(live.message.clone()));
        if !kept || self.bytes.load(Ordering::Relaxed) > ALL_BYTES {
            self.let_go(live.session_id, &tail);
        }
    }

    /// Evicts a session's tail: nobody listens there any more.
    pub(crate) fn forget(&self, session: SessionId) {
        let tail = self.tails.of(&session).get(&session).cloned();
        if let Some(tail) = tail {
            self.let_go(session, &tail);
        }
    }

    /// Evicts the tails that nobody has asked for in a while.
    pub(crate) fn forget_idle(&self, now: Instant) {
        for mut part in self.tails.each() {
            part.retain(|_, tail| {
                let mut rows = tail.rows();
                let stays = now.saturating_duration_since(rows.asked) < IDLE;
                if !stays {
                    self.accounted(&mut rows, Rows::let_go);
                }
                stays
            });
        }
    }

    /// Reads the beginning of a tail, unless that is done. What happened since the tail entered the map was appended to
    /// it; what happened before was committed before this read.
    async fn begin(&self, store: &Store, session: SessionId, tail: &Tail, after: Rev) -> Result<()> {
        if tail.rows().state != State::Unread {
            return Ok(());
        }
        let _one_at_a_time = tail.reading.lock().await;
        if tail.rows().state != State::Unread {
            return Ok(());
        }
        self.reads.increment(1);
        let beginning = store.tail(session, Rev((after.0 - BEFORE).max(0)), ROWS, BYTES).await?;
        let beginning = beginning.ok_or(Error::refused(Code::NotFound))?;
        self.accounted(&mut tail.rows(), |rows| rows.begin(beginning));
        Ok(())
    }

    fn let_go(&self, session: SessionId, tail: &Arc<Tail>) {
        let mut part = self.tails.of(&session);
        if part.get(&session).is_some_and(|there| Arc::ptr_eq(there, tail)) {
            part.remove(&session);
        }
        drop(part);
        self.accounted(&mut tail.rows(), Rows::let_go);
    }

    /// Changes a tail and keeps the total byte count up to date.
    fn accounted<T>(&self, rows: &mut Rows, change: impl FnOnce(&mut Rows) -> T) -> T {
        let before = rows.held();
        let done = change(rows);
        self.bytes.fetch_add(rows.held(), Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
        done
    }
}

impl Tail {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().expect("nothing panics under a tail's lock")
    }
}
