//! The writer's engine: takes what is queued, commits it, answers; and handles a failing disk.
//!
//! A failed commit has an unknown outcome: its frames may be in SQLite's write-ahead log, unsynced, and a crash at that
//! moment could bring them to life. So nobody is told "done" and nobody "not done": waiting requests get "unavailable",
//! sockets are closed with `TRY_LATER`, and their clients ask again by sending the same `MessageID`. The connection is
//! discarded, because a later sync on it could succeed without having written what the failed one should have (Linux
//! reports a failed write-back once). The new connection serves only after it has checkpointed and emptied the log,
//! which syncs again everything anybody may have seen and removes what the failed commit left, and has then committed
//! and synced something itself. Until that succeeds nothing is written, [`Health`] says so, and the engine retries
//! every second. Reading continues meanwhile.

use std::collections::HashMap;
use std::time::{Duration, Instant};

#[cfg(test)]
use protocol::UserId;
#[cfg(test)]
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::super::event::Event;
use super::super::failure::Failure;
use super::super::health::Health;
use super::alarm::Alarm;
use super::batch::Batch;
use super::connection::WriteConnection;
use super::erasing::{AtRest, Erasing};
use super::log::{self, Log};
use super::unit::{BATCH, Job};
#[cfg(test)]
use crate::logins::LoginId;
use crate::origin::Origin;
use crate::quota::Quota;
use crate::vital::vital;

/// How often to retry a failed disk.
const PROBE: Duration = Duration::from_secs(1);

/// If the last commit had at least this many messages, many people are talking concurrently, and most of those it
/// answered will write again soon: then a short wait for them pays off, because a commit takes as long for one as for
/// all of them (PostgreSQL's `commit_siblings` and `commit_delay`). Below that nobody waits.
const SIBLINGS: usize = 4;
/// The longest wait. The system adds 50 µs of its own (prctl(2), `PR_SET_TIMERSLACK`).
const GATHER: Duration = Duration::from_micros(50);

/// A closing socket is gone after this long, and nothing more comes from it: it has 5 s to take its last frames, and
/// its client 2 s to answer the close.
const GONE: Duration = Duration::from_secs(60);

/// The writer's engine, one transaction per step, so that a test can stop it between any two.
pub(crate) struct Engine {
    /// `None` while commits are impossible, and once it is closed.
    db: Option<WriteConnection>,
    closed: bool,
    options: SqliteConnectOptions,
    queue: mpsc::Receiver<Job>,
    committed: mpsc::Sender<Vec<Event>>,
    /// Sockets that lost a message to a failed commit, and when: they are being closed, and will resend it when they
    /// reconnect. What they had queued behind it must not be stored before it.
    broken: HashMap<Origin, Instant>,
    health: Health,
    /// Whether the disk has failed since the start, even if it works again.
    has_failed: bool,
    quota: Quota,
    log: Log,
    erasing: Erasing,
    /// Units of work in the last commit.
    last: usize,
    /// When there is work even without a queued job.
    due: Option<Instant>,
    alarm: Alarm,
    meters: Meters,
    /// Units run so far.
    #[cfg(test)]
    units: u32,
}

struct Meters {
    queue_depth: metrics::Gauge,
    batch_size: metrics::Histogram,
    commit_seconds: metrics::Histogram,
    errors: metrics::Counter,
}

impl Engine {
    pub(super) fn new(
        db: WriteConnection,
        options: SqliteConnectOptions,
        queue: mpsc::Receiver<Job>,
        committed: mpsc::Sender<Vec<Event>>,
        health: Health,
        quota: Quota,
        erasing: Erasing,
    ) -> Self {
        let meters = Meters {
            queue_depth: metrics::gauge!("natter_writer_queue_depth"),
            batch_size: metrics::histogram!("natter_commit_batch_size"),
            commit_seconds: metrics::histogram!("natter_commit_seconds"),
            errors: metrics::counter!("natter_database_errors_total"),
        };
        let (broken, log) = (HashMap::new(), Log::new());
        Self {
            db: Some(db),
            closed: false,
            options,
            queue,
            committed,
            broken,
            health,
            has_failed: false,
            quota,
            log,
            erasing,
            last: 0,
            due: None,
            alarm: Alarm::default(),
            meters,
            #[cfg(test)]
            units: 0,
        }
    }

    /// Returns how the database is opened.
    pub(in crate::store) fn options(&self) -> &SqliteConnectOptions {
        &self.options
    }

    /// Returns the connection itself, for a test to inspect the tables.
    #[cfg(test)]
    pub(crate) fn db(&mut self) -> &mut SqliteConnection {
        self.db.as_mut().expect("not closed").sqlx()
    }

    /// Creates a user with a login, in the tables only. Names need not differ.
    #[cfg(test)]
    pub(crate) async fn person(&mut self, name: &str) -> LoginId {
        let user = UserId::new();
        let login = LoginId::of_token(user.0.as_bytes());
        let name = format!("{name} {}", user.0);
        let user = sqlx::query(
            "insert into users (user_id, username, username_key, password_hash, status, last_seen, created_at)
             values ($1, $2, $2, '', 'Offline', 0, 0);
             insert into logins values ($3, $1, '', '', 0, 0, 9223372036854775807, '')",
        )
        .bind(user)
        .bind(name)
        .bind(login.0.as_slice());
        user.execute(self.db()).await.expect("a new person");
        login
    }

    /// Ends here. Returns what is left for another engine: uncommitted work is gone.
    #[cfg(test)]
    pub(super) fn crash(&mut self) -> (WriteConnection, SqliteConnectOptions, Health, Quota, Erasing) {
        let mut db = self.db.take().expect("not closed");
        db.parts().2.forget();
        let quota = Quota::new(self.options.get_filename().parent().expect("in a folder"));
        (db, self.options.clone(), self.health.clone(), quota, self.erasing.again())
    }

    /// Schedules emptying the log, to erase what an earlier process may have left in it; and warns now and then that
    /// the database holds deleted texts, if this many bytes must be free before it can be rewritten.
    pub(in crate::store) fn erase(&mut self, no_room: Option<u64>) {
        self.erasing.expect();
        self.erasing.remind(no_room);
    }

    #[cfg(test)]
    pub(in crate::store) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Works until every handle is gone, or until `Writer::close`, on its own thread: a commit waits for the disk, and
    /// nothing else should wait with it.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(in crate::store) fn start(mut self) -> std::io::Result<()> {
        let runtime = Handle::current();
        let work = move || {
            runtime.block_on(vital("the writer", async {
                while self.step().await {
                    self.gather();
                }
            }));
        };
        std::thread::Builder::new().name("natter-writer".into()).spawn(work).map(drop)
    }

    /// Gives the users who were just answered a moment to write again.
    #[expect(clippy::disallowed_methods, reason = "on a thread of its own nobody else waits")]
    fn gather(&self) {
        if self.last >= SIBLINGS && self.queue.len() < self.last {
            std::thread::sleep(GATHER);
        }
    }

    /// Waits for queued work and commits it. Events go out in commit order; the writer waits until they are taken.
    /// Returns false when there will never be more to do.
    pub(crate) async fn step(&mut self) -> bool {
        if self.closed {
            return false;
        }
        let next = self.due.into_iter().chain(self.erasing.due()).min();
        // Not left to the alarm alone: a flood of requests must not keep it from retrying the disk.
        if next.is_some_and(|at| at <= Instant::now()) {
            self.look_after().await;
            return true;
        }
        self.alarm.set(next);
        let mut jobs = Vec::with_capacity(BATCH);
        tokio::select! {
            biased;
            readers = self.erasing.readers_rest() => self.empty_log(readers).await,
            () = self.alarm.rings() => self.look_after().await,
            taken = self.queue.recv_many(&mut jobs, BATCH) => match taken {
                0 => drop(self.close().await),
                _ => self.work(jobs).await,
            },
        }
        !self.closed
    }

    async fn work(&mut self, jobs: Vec<Job>) {
        let _working = self.health.working();
        self.meters.queue_depth.set(float(self.queue.len() + jobs.len()));
        let (mut batch, close) = Batch::new(jobs.into_iter(), &self.broken);
        #[cfg(test)]
        {
            batch.units = self.units;
        }
        let size = batch.size();
        self.last = size;
        let result = match &mut self.db {
            Some(db) => {
                let began = Instant::now();
                let result = batch.commit(db, &self.quota).await;
                self.meters.commit_seconds.record(began.elapsed());
                self.meters.batch_size.record(float(size));
                self.quota.settle(result.is_ok());
                result.map(|()| true)
            }
            None => Ok(false),
        };
        if batch.has_forgotten() {
            self.erasing.expect();
        }
        #[cfg(test)]
        {
            self.units = batch.units;
        }
        let events = batch.finish(matches!(result, Ok(true)));
        if !matches!(result, Ok(true)) {
            let now = Instant::now();
            self.broken.retain(|_, since| now - *since < GONE);
            self.broken.extend(events.iter().filter_map(|event| match event {
                Event::Failed { origin } => Some((*origin, now)),
                _ => None,
            }));
        }
        let _ = self.committed.send(events).await;
        match result {
            Ok(true) => self.tend_log(size).await,
            Ok(false) => {}
            Err(error) => self.fail("a commit failed", error).await,
        }
        if let Some(done) = close {
            let _ = done.send(self.close().await);
        }
    }

    /// Does what is due even without a queued job.
    async fn look_after(&mut self) {
        let _working = self.health.working();
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            match self.db {
                Some(_) => self.tend_log(0).await,
                None => self.revive().await,
            }
        }
        self.erasing.begin();
    }

    /// Empties the log, so that nothing deleted remains in the files. Nobody is reading right now.
    async fn empty_log(&mut self, readers: AtRest) {
        let _working = self.health.working();
        let emptied = self.db.as_ref().map_or(Ok(false), |db| log::empty(db.direct()));
        drop(readers);
        self.erasing.tried(*emptied.as_ref().unwrap_or(&false));
        match emptied {
            Ok(true) => self.log = Log::new(),
            Ok(false) => {}
            Err(error) => self.fail("a checkpoint failed", error.into()).await,
        }
    }

    async fn tend_log(&mut self, size: usize) {
        let Some(db) = &mut self.db else { return };
        match self.log.tend(db.direct(), size) {
            Ok(again) => self.due = again,
            Err(error) => self.fail("a checkpoint failed", error.into()).await,
        }
    }

    /// Stops writing until [`Engine::revive`] has found the disk in order: immediately, if the failure has already
    /// passed.
    async fn fail(&mut self, what: &'static str, error: Failure) {
        tracing::error!(
            error = &*error as &dyn std::error::Error,
            "{what}: nothing is written until the disk is in order"
        );
        self.meters.errors.increment(1);
        self.health.set_writes(false);
        self.has_failed = true;
        if let Some(db) = self.db.take() {
            let _ = db.close().await; // its transaction ends with it, whatever it reports
        }
        self.revive().await;
    }

    async fn revive(&mut self) {
        let revived = async {
            let db = WriteConnection::open(&self.options).await?;
            log::prove(db.direct())?;
            Ok::<_, Failure>(db)
        };
        match revived.await {
            Ok(db) => {
                tracing::info!("the disk takes commits again");
                (self.db, self.due, self.log) = (Some(db), None, Log::new());
                self.health.set_writes(true);
            }
            Err(error) => {
                tracing::warn!(error = &*error as &dyn std::error::Error, "the disk takes no commits");
                self.meters.errors.increment(1);
                self.due = Some(Instant::now() + PROBE);
            }
        }
    }

    /// Ends the engine. Returns whether everything since the start reached the disk.
    async fn close(&mut self) -> bool {
        self.closed = true;
        let Some(db) = self.db.take() else { return false };
        // Done here, because the last to close the database would do the same but report no failure.
        let emptied = log::empty(db.direct());
        if let Err(error) = &emptied {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the last checkpoint failed: the next start looks whether the database is whole"
            );
        }
        let closed = db.close().await;
        if let Err(error) = &closed {
            tracing::warn!(error = error as &dyn std::error::Error, "closing the database");
        }
        !self.has_failed && emptied.is_ok() && closed.is_ok()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a queue is no longer than thousands")]
fn float(count: usize) -> f64 {
    count as f64
}
