//! The single writer. It owns the only connection that writes and commits everything queued in one transaction (group
//! commit): a lone message waits for nobody; under load the batches grow automatically.
//!
//! A single writer also means that no two connections of this process ever write or checkpoint concurrently, and that a
//! transaction is never dropped halfway: callers only wait for answers.

mod alarm;
mod batch;
mod connection;
mod engine;
mod erasing;
pub(super) mod log;
mod unit;

use protocol::{Seq, SessionId, UserId};
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{mpsc, oneshot};

use super::event::Event;
use super::health::Health;
use super::posting::Post;
use super::reading::Mark;
use crate::error::{Error, Result};
use crate::quota::Quota;
pub(super) use connection::WriteConnection;
pub(crate) use engine::Engine;
pub(super) use erasing::Erasing;
use unit::Job;
pub(crate) use unit::{Tx, Work};

/// Units that may be queued for the writer; beyond that, callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// Makes a writer on its connection: the handle, the engine that does the work, and the events.
    pub(super) fn new(
        db: WriteConnection,
        options: SqliteConnectOptions,
        health: Health,
        quota: Quota,
        erasing: Erasing,
    ) -> (Self, Engine, mpsc::Receiver<Vec<Event>>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (committed, events) = mpsc::channel(16);
        #[cfg(feature = "planted")]
        crate::planted::goes_out_through(&committed);
        (Self(jobs), Engine::new(db, options, queue, committed, health, quota, erasing), events)
    }

    /// Makes what another process would start with if this engine's ended here: uncommitted work is gone.
    #[cfg(test)]
    pub(super) fn after_crash(engine: &mut Engine) -> (Self, Engine, mpsc::Receiver<Vec<Event>>) {
        let (db, options, health, quota, erasing) = engine.crash();
        Self::new(db, options, health, quota, erasing)
    }

    /// Runs a unit of work and answers once it is committed and synced.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let (job, answer) = unit::unit(work);
        self.hand_in(job).await?;
        answer.await.map_err(|_| Error::CLOSED)?
    }

    /// Hands in a message. Its answer is an event.
    pub(super) async fn post(&self, post: Post) -> Result<()> {
        self.hand_in(Job::Post(post)).await
    }

    /// Moves a read marker and answers once that is committed and synced: with the marker, if it moved.
    pub(super) async fn mark(&self, user: UserId, session: SessionId, seq: Seq) -> Result<Option<Seq>> {
        let (mark, answer) = Mark::new(user, session, seq);
        self.hand_in(Job::Mark(mark)).await?;
        answer.await.map_err(|_| Error::CLOSED)?
    }

    async fn hand_in(&self, job: Job) -> Result<()> {
        self.0.send(job).await.map_err(|_| Error::CLOSED)
    }

    /// Finishes what is queued and ends the writer. Returns whether everything since the start reached the disk.
    pub(super) async fn close(&self) -> bool {
        let (done, ended) = oneshot::channel();
        match self.0.send(Job::Close(done)).await {
            Ok(()) => ended.await.unwrap_or(false),
            Err(_) => false,
        }
    }
}
