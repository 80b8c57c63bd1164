//! The work of one transaction.

use std::collections::{BTreeSet, HashMap};
use std::error::Error as _;
use std::time::Instant;

use tokio::sync::oneshot;

use super::super::event::Event;
use super::super::failure::{self, Failure};
use super::super::posting::{self, Post};
use super::super::reading::Mark;
use super::super::wipe;
use super::connection::{WriteConnection, run};
use super::unit::{Effects, Job, Tx, Unit};
use crate::origin::Origin;
use crate::quota::Quota;

enum Step {
    /// Consecutive messages: stored together.
    Posts(Vec<Post>),
    Unit(Box<dyn Unit>),
}

/// The work of one transaction, in the order it was handed in. Markers come last: a caller that moves one waits for its
/// answer, so it handed in nothing after it, and messages with a marker in between stay together.
pub(super) struct Batch {
    steps: Vec<Step>,
    marks: Vec<Mark>,
    events: Vec<Event>,
    has_forgotten: bool,
    /// Units that the engine has run, to run one in ten twice.
    #[cfg(test)]
    pub(super) units: u32,
}

impl Batch {
    /// Sorts the queued jobs. Also returns whom to notify if the writer must end after this batch; jobs handed in later
    /// than that are dropped, and their callers learn that the database is closed. Messages of `broken` sockets are
    /// dropped too.
    pub(super) fn new(
        jobs: impl Iterator<Item = Job>,
        broken: &HashMap<Origin, Instant>,
    ) -> (Self, Option<oneshot::Sender<bool>>) {
        let (mut steps, mut marks) = (Vec::<Step>::new(), Vec::new());
        let mut close = None;
        for job in jobs {
            match (job, steps.last_mut()) {
                (Job::Post(post), _) if broken.contains_key(&post.origin) => {}
                (Job::Post(post), Some(Step::Posts(posts))) => posts.push(post),
                (Job::Post(post), _) => steps.push(Step::Posts(vec![post])),
                (Job::Mark(mark), _) => marks.push(mark),
                (Job::Unit(unit), _) => steps.push(Step::Unit(unit)),
                (Job::Close(done), _) => {
                    close = Some(done);
                    break;
                }
            }
        }
        let batch = Self {
            steps,
            marks,
            events: Vec::new(),
            has_forgotten: false,
            #[cfg(test)]
            units: 0,
        };
        (batch, close)
    }

    /// Counts the messages, markers and other units in it.
    pub(super) fn size(&self) -> usize {
        let size = |step: &Step| match step {
            Step::Posts(posts) => posts.len(),
            Step::Unit(_) => 1,
        };
        self.steps.iter().map(size).sum::<usize>() + self.marks.len()
    }

    /// Whether a text was deleted or replaced.
    pub(super) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// Does all of it in one transaction. After an error nobody may be told that any of it was done, and this
    /// connection must not be used again.
    pub(super) async fn commit(&mut self, db: &mut WriteConnection, quota: &Quota) -> Result<(), Failure> {
        if self.size() == 0 {
            return Ok(());
        }
        let (direct, db, known) = db.parts();
        known.bound();
        run(direct, "begin immediate")?;
        for step in &mut self.steps {
            match step {
                Step::Posts(posts) => posting::store(direct, known, quota, posts, &mut self.events)?,
                Step::Unit(unit) => {
                    known.forget();
                    run(direct, "savepoint unit")?;
                    #[cfg(test)]
                    {
                        // A unit may be run again: one in ten is, the first among them.
                        self.units += 1;
                        if self.units % 10 == 1 {
                            let _ = unit.run(Tx { db: &mut *db, effects: &mut Effects::default() }).await;
                            run(direct, "rollback to unit")?;
                        }
                    }
                    let mut effects = Effects::default();
                    match unit.run(Tx { db: &mut *db, effects: &mut effects }).await {
                        None => {
                            self.has_forgotten |= !effects.forgotten.is_empty();
                            for row in effects.forgotten {
                                wipe::around(direct, "messages", row)?;
                            }
                            let mut count = quota.now();
                            effects.written.iter().for_each(|(user, bytes)| count.take(*user, *bytes));
                            self.events.extend(effects.events);
                        }
                        Some(error) if failure::of_the_disk(error) => {
                            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                            return Err(why.into());
                        }
                        Some(_) => run(direct, "rollback to unit")?,
                    }
                    run(direct, "release unit")?;
                }
            }
        }
        for mark in &mut self.marks {
            mark.set(direct)?;
        }
        #[cfg(feature = "planted")]
        crate::planted::before_commit(&mut self.events).await;
        Ok(run(direct, "commit")?)
    }

    /// Answers every unit. Returns what to announce.
    pub(super) fn finish(self, committed: bool) -> Vec<Event> {
        let mut senders = BTreeSet::new();
        for step in self.steps {
            match step {
                Step::Posts(posts) => senders.extend(posts.iter().map(|post| post.origin)),
                Step::Unit(unit) => unit.finish(committed),
            }
        }
        self.marks.into_iter().for_each(|mark| mark.finish(committed));
        match committed {
            true => self.events,
            false => senders.into_iter().map(|origin| Event::Failed { origin }).collect(),
        }
    }
}
