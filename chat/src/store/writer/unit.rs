//! What is queued for the writer: messages, read markers, and units of work.

use futures::future::BoxFuture;
use protocol::UserId;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::super::event::Event;
use super::super::posting::Post;
use super::super::reading::Mark;
use crate::error::{Error, Result};

/// Most units of work in one transaction.
pub(super) const BATCH: usize = 256;

/// An open transaction, and what a unit of work leaves for after it. The store's operations are its methods; the rules
/// that call them are in the modules of their nouns.
pub(crate) struct Tx<'c> {
    pub(in crate::store) db: &'c mut SqliteConnection,
    pub(super) effects: &'c mut Effects,
}

/// What one unit leaves for after its transaction. A unit has no other effects, so it may be run again.
#[derive(Default)]
pub(super) struct Effects {
    /// In the order in which they are to be announced.
    pub(super) events: Vec<Event>,
    /// Rows of `messages` whose earlier text must be erased.
    pub(super) forgotten: Vec<i64>,
    /// Bytes of text that count towards a user's quota.
    pub(super) written: Vec<(UserId, usize)>,
}

impl Tx<'_> {
    /// Announces something, once it is committed, in commit order.
    pub(crate) fn announce(&mut self, event: Event) {
        self.effects.events.push(event);
    }

    /// Counts text towards the quota of the user who wrote it.
    pub(crate) fn count(&mut self, user: UserId, bytes: usize) {
        self.effects.written.push((user, bytes));
    }

    /// Ensures that nothing is left of the text that this row of `messages` had until now.
    pub(in crate::store) fn forget(&mut self, row: i64) {
        self.effects.forgotten.push(row);
    }
}

/// The work of a unit: runs in its own savepoint, so that its failure undoes nothing of its neighbours. It may be run
/// more than once, of which only the last run counts.
pub(crate) trait Work<T>: for<'c> Fn(Tx<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static {}
impl<T, F> Work<T> for F where F: for<'c> Fn(Tx<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static {}

pub(super) enum Job {
    Post(Post),
    Mark(Mark),
    Unit(Box<dyn Unit>),
    Close(oneshot::Sender<bool>),
}

/// A unit of work with its answer type erased.
pub(super) trait Unit: Send {
    /// Does the work. Returns why it failed, if it did.
    fn run<'c>(&'c mut self, tx: Tx<'c>) -> BoxFuture<'c, Option<&'c Error>>;
    /// Answers the caller.
    fn finish(self: Box<Self>, committed: bool);
}

struct Task<T, F> {
    work: F,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

/// Makes a job of a unit of work. Also returns the receiver of its answer.
pub(super) fn unit<T: Send + 'static>(work: impl Work<T>) -> (Job, oneshot::Receiver<Result<T>>) {
    let (reply, answer) = oneshot::channel();
    (Job::Unit(Box::new(Task { work, answer: None, reply })), answer)
}

impl<T: Send + 'static, F: Work<T>> Unit for Task<T, F> {
    fn run<'c>(&'c mut self, tx: Tx<'c>) -> BoxFuture<'c, Option<&'c Error>> {
        let work = (self.work)(tx);
        Box::pin(async move { self.answer.insert(work.await).as_ref().err() })
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
