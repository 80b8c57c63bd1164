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

use futures::future::BoxFuture;
use protocol::{Seq, SessionId, UserId};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{mpsc, oneshot};

use super::posting::Post;
use super::reading::Mark;
use super::{Event, Health};
use crate::quota::Quota;
use crate::{Error, Result};
pub(super) use connection::Connection;
pub(crate) use engine::Engine;
pub(super) use erasing::Erasing;

/// Most units of work in one transaction.
const BATCH: usize = 256;

/// Units that may be queued for the writer; beyond that, callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// An open transaction, and what it will announce once it is committed.
pub(super) struct Tx<'c> {
    pub(super) db: &'c mut SqliteConnection,
    events: &'c mut Vec<Event>,
    forgotten: &'c mut Vec<i64>,
}

impl Tx<'_> {
    /// Announces something, once it is committed, in commit order.
    pub(super) fn announce(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Ensures that nothing is left of the text that this row of `messages` had until now.
    pub(super) fn forget(&mut self, row: i64) {
        self.forgotten.push(row);
    }
}

/// The work of a unit: runs in its own savepoint, so that its failure undoes nothing of its neighbours.
pub(super) trait Work<T>: for<'c> FnOnce(Tx<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static {}
impl<T, F> Work<T> for F where F: for<'c> FnOnce(Tx<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static {}

enum Job {
    Post(Post),
    Mark(Mark),
    Unit(Box<dyn Unit>),
    Close(oneshot::Sender<bool>),
}

/// A unit of work with its answer type erased.
trait Unit: Send {
    /// Does the work. Returns why it failed, if it did.
    fn run<'c>(&'c mut self, tx: Tx<'c>) -> BoxFuture<'c, Option<&'c Error>>;
    /// Answers the caller.
    fn finish(self: Box<Self>, committed: bool);
}

struct Task<T, F> {
    work: Option<F>,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send + 'static, F: Work<T>> Unit for Task<T, F> {
    fn run<'c>(&'c mut self, tx: Tx<'c>) -> BoxFuture<'c, Option<&'c Error>> {
        Box::pin(async move {
            let work = self.work.take().expect("a unit runs once");
            let answer = work(tx).await;
            self.answer.insert(answer).as_ref().err()
        })
    }

    fn finish(self: Box<Self>, committed: bool) {
        let answer = match self.answer {
            // A refusal does not count either, if what it was based on was undone.
            Some(answer) if committed => answer,
            _ => Err(Error::NO_COMMITS),
        };
        let _ = self.reply.send(answer); // the caller may be gone
    }
}

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// Makes a writer on its connection: the handle, the engine that does the work, and the events.
    pub(super) fn new(
        db: Connection,
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

    /// Runs a unit of work and answers once it is committed and synced.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(Job::Unit(Box::new(Task { work: Some(work), answer: None, reply }))).await?;
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
