//! The one writer. It owns the only connection that writes and commits whatever has queued in one transaction
//! (group commit): alone, a message waits for nobody; under load the batch grows by itself.
//!
//! One writer also means that no two connections of this process ever write or checkpoint at once, and that a
//! transaction is never dropped half way: callers only wait for answers.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::Event;
use super::posting::{self, Post};
use crate::hub::ConnId;
use crate::{Error, Result};

/// Most units of work in one transaction.
const BATCH: usize = 256;

/// Units that may wait for the writer; beyond it callers wait to hand theirs in.
const QUEUE: usize = 1024;

/// How long to wait before opening the database again, when that failed.
const RECONNECT: Duration = Duration::from_millis(500);

/// A transaction under way, and what it will announce once it is committed.
pub(super) struct Tx<'c> {
    pub(super) db: &'c mut SqliteConnection,
    events: &'c mut Vec<Event>,
}

impl Tx<'_> {
    /// Announces something, once it is committed and in the order of the commits.
    pub(super) fn announce(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// The work of a unit: runs in a savepoint of its own, so that its failure undoes nothing of its neighbours.
pub(super) trait Work<T>: for<'c> FnOnce(Tx<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static {}
impl<T, F> Work<T> for F where F: for<'c> FnOnce(Tx<'c>) -> BoxFuture<'c, Result<T>> + Send + 'static {}

enum Job {
    Post(Post),
    Unit(Box<dyn Unit>),
    Close(oneshot::Sender<()>),
}

/// A unit of work whose answer type is forgotten.
trait Unit: Send {
    fn run<'c>(&'c mut self, tx: Tx<'c>) -> BoxFuture<'c, bool>;
    fn finish(self: Box<Self>, committed: bool);
}

struct Task<T, F> {
    work: Option<F>,
    answer: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send + 'static, F: Work<T>> Unit for Task<T, F> {
    fn run<'c>(&'c mut self, tx: Tx<'c>) -> BoxFuture<'c, bool> {
        Box::pin(async move {
            let work = self.work.take().expect("a unit runs once");
            let answer = work(tx).await;
            self.answer.insert(answer).is_ok()
        })
    }

    fn finish(self: Box<Self>, committed: bool) {
        let answer = match self.answer {
            // A refusal counts for nothing either, when what it was based on was undone.
            Some(answer) if committed => answer,
            _ => Err(Error::Unavailable("the database does not take commits")),
        };
        let _ = self.reply.send(answer); // who asked may be gone
    }
}

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// A writer on its connection: the handle, what does the work, and the events that come of it.
    pub(super) fn new(
        db: SqliteConnection,
        options: SqliteConnectOptions,
    ) -> (Self, Engine, mpsc::Receiver<Vec<Event>>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (committed, events) = mpsc::channel(16);
        #[cfg(feature = "planted")]
        crate::planted::goes_out_through(&committed);
        (Self(jobs), Engine { db: Some(db), options, queue, committed, broken: HashSet::new() }, events)
    }

    /// Runs a unit of work and answers once it is committed and synced.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let unit = Box::new(Task { work: Some(work), answer: None, reply });
        const CLOSED: Error = Error::Unavailable("the database is closed");
        self.0.send(Job::Unit(unit)).await.map_err(|_| CLOSED)?;
        answer.await.map_err(|_| CLOSED)?
    }

    /// Hands in a message. Its answer is an event.
    pub(super) async fn post(&self, post: Post) -> Result<()> {
        self.0.send(Job::Post(post)).await.map_err(|_| Error::Unavailable("the database is closed"))
    }

    /// Finishes what is queued and ends the writer.
    pub(super) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.0.send(Job::Close(done)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// What does the writer's work, one transaction a step, so that a test may stop it between any two.
pub(crate) struct Engine {
    /// None once it is closed.
    db: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    queue: mpsc::Receiver<Job>,
    committed: mpsc::Sender<Vec<Event>>,
    /// Sockets that lost a message to a failed commit: they are being closed, and send it again when they are
    /// back. What they had queued behind it must not be stored before it.
    broken: HashSet<ConnId>,
}

impl Engine {
    /// Works until every handle is gone, or until [`Writer::close`].
    pub(super) async fn run(mut self) {
        while self.step().await {}
    }

    /// Commits what has queued, waiting until there is something. Events go out in the order of the commits;
    /// when nobody takes them the writer waits. After a failed commit it goes on with a new connection.
    /// Returns false when there is nothing more to do, ever.
    pub(crate) async fn step(&mut self) -> bool {
        let Some(db) = &mut self.db else { return false };
        let mut jobs = Vec::with_capacity(BATCH);
        if self.queue.recv_many(&mut jobs, BATCH).await == 0 {
            return false;
        }
        let (mut batch, close) = Batch::new(jobs.into_iter(), &self.broken);
        let result = batch.commit(db).await;
        let events = batch.finish(result.is_ok());
        if let Err(error) = result {
            tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
            self.broken.extend(events.iter().filter_map(|event| match event {
                Event::Failed { conn } => Some(*conn),
                _ => None,
            }));
            *db = reconnected(&self.options).await;
        }
        let _ = self.committed.send(events).await;
        if let Some(done) = close {
            self.close().await;
            let _ = done.send(());
        }
        self.db.is_some()
    }

    async fn close(&mut self) {
        if let Some(db) = self.db.take()
            && let Err(error) = db.close().await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "closing the database");
        }
    }
}

/// A connection in place of one whose commit failed: SQLite may have left the transaction by itself, of which the
/// old one's book-keeping knows nothing.
async fn reconnected(options: &SqliteConnectOptions) -> SqliteConnection {
    loop {
        match options.connect().await {
            Ok(db) => return db,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the database cannot be opened");
                tokio::time::sleep(RECONNECT).await;
            }
        }
    }
}

enum Step {
    /// Messages that stood next to one another: stored together.
    Posts(Vec<Post>),
    Unit(Box<dyn Unit>),
}

/// The work of one transaction, in the order it was handed in.
struct Batch {
    steps: Vec<Step>,
    events: Vec<Event>,
}

impl Batch {
    /// Sorts what has queued. Returns also whom to tell when the writer is to end after it; what was handed in
    /// later than that is dropped, and whoever waits for it learns that the database is closed. So are messages
    /// of `broken` sockets.
    fn new(jobs: impl Iterator<Item = Job>, broken: &HashSet<ConnId>) -> (Self, Option<oneshot::Sender<()>>) {
        let mut steps: Vec<Step> = Vec::new();
        let mut close = None;
        for job in jobs {
            match (job, steps.last_mut()) {
                (Job::Post(post), _) if broken.contains(&post.conn) => {}
                (Job::Post(post), Some(Step::Posts(posts))) => posts.push(post),
                (Job::Post(post), _) => steps.push(Step::Posts(vec![post])),
                (Job::Unit(unit), _) => steps.push(Step::Unit(unit)),
                (Job::Close(done), _) => {
                    close = Some(done);
                    break;
                }
            }
        }
        (Self { steps, events: Vec::new() }, close)
    }

    /// Does all of it in one transaction. An error means that nothing of it counts.
    async fn commit(&mut self, db: &mut SqliteConnection) -> sqlx::Result<()> {
        let mut transaction = db.begin_with("begin immediate").await?;
        for step in &mut self.steps {
            match step {
                Step::Posts(posts) => posting::store(&mut transaction, posts, &mut self.events).await?,
                Step::Unit(unit) => {
                    let announced = self.events.len();
                    let mut savepoint = transaction.begin().await?;
                    if unit.run(Tx { db: &mut savepoint, events: &mut self.events }).await {
                        savepoint.commit().await?;
                    } else {
                        self.events.truncate(announced);
                        savepoint.rollback().await?;
                    }
                }
            }
        }
        #[cfg(feature = "planted")]
        crate::planted::before_commit(&mut self.events).await;
        transaction.commit().await
    }

    /// Answers every unit. Returns what to announce.
    fn finish(self, committed: bool) -> Vec<Event> {
        let mut senders = BTreeSet::new();
        for step in self.steps {
            match step {
                Step::Posts(posts) => senders.extend(posts.iter().map(|post| post.conn)),
                Step::Unit(unit) => unit.finish(committed),
            }
        }
        match committed {
            true => self.events,
            false => senders.into_iter().map(|conn| Event::Failed { conn }).collect(),
        }
    }
}
