//! Storing messages, many at a time, with SQLite's own API: prepared statements stepped on the writer's thread. Through
//! sqlx each would be a round trip to another thread, and binding a batch's values cost more than storing them.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use protocol::{LiveMessage, Message, MessageId, Rev, SendMessage, Seq, SessionId, TimeStamp, UserId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::event::{Event, NotStored};
use super::reading::PASS;
use crate::clock;
use crate::origin::Origin;
use crate::quota::{Count, Full, Gate, Quota};

/// A message that was handed in. Its text has been checked.
pub(crate) struct Post {
    pub(crate) sender: UserId,
    pub(crate) origin: Origin,
    /// What that origin was temporarily refused.
    pub(crate) gate: Arc<Gate>,
    pub(crate) message: SendMessage,
    /// When; its way to the sockets is measured from here.
    pub(crate) handed_in: Instant,
    /// Dropped when the message has been dealt with: limits what one origin, and one user, may have in flight.
    pub(crate) _held: Box<dyn Any + Send + Sync>,
}

/// A message's stamp.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    seq: Seq,
    rev: Rev,
    at: TimeStamp,
}

// Numbered in SQLite's style: to SQLite, `$1` is a name.

/// Where a session stands, if the user is in it.
const HEAD: &str =
    "select s.last_seq, s.rev from session_users u join sessions s on s.session_id = u.session_id
     where u.session_id = ?1 and u.user_id = ?2 and u.left_at is null";

/// A message whose identifier is taken changes nothing.
const INSERT: &str = "insert into messages (session_id, seq, message_id, sender_id, data, time_stamp, rev)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing";

/// What is stored under an identifier.
const STORED: &str =
    "select sender_id, seq, rev, time_stamp from messages where session_id = ?1 and message_id = ?2";

const ADVANCE: &str = "update sessions set last_seq = ?2, rev = ?3 where session_id = ?1";

/// For a user who writes a lot and reads nothing, the marker moves past their own messages once per this many messages.
const PASS_EVERY: i64 = 256;

/// All of them, to test their query plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [HEAD, INSERT, STORED, ADVANCE, PASS];

/// Stores new posts, acknowledges repeats, and refuses what is not allowed, permanently, or what there is no room for,
/// temporarily. Adds the answers to `events` in the order of the posts. Must run within a transaction: after an error
/// nothing in it counts, and `known` is invalid too.
pub(super) fn store(
    db: &Connection,
    known: &mut Known,
    quota: &Quota,
    posts: &mut [Post],
    events: &mut Vec<Event>,
) -> rusqlite::Result<()> {
    let (mut insert, mut stored) = (db.prepare_cached(INSERT)?, db.prepare_cached(STORED)?);
    let mut head = db.prepare_cached(HEAD)?;
    let (mut moved, mut passing) = (HashSet::new(), Vec::new());
    let (at, mut count) = (clock::now(), quota.now());
    for post in posts {
        let session = post.message.session_id;
        let Some((seq, rev)) = known.head(&mut head, session, post.sender)? else {
            // Stored while they were in it: that they have left since changes nothing about it.
            let name = (session.0, post.message.message_id.0);
            let repeated = stored.query_row(name, sender_and_stamp).optional()?;
            events.push(match repeated.filter(|(sender, _)| *sender == post.sender) {
                Some((sender, stamp)) => post.repeated(sender, stamp),
                None => {
                    post.passes();
                    post.not_stored(NotStored::NotInSession)
                }
            });
            continue;
        };
        if let Some(full) = post.held_back(&count, &mut stored)? {
            // A stored message was accepted long ago.
            let repeated = stored.query_row((session.0, post.message.message_id.0), sender_and_stamp);
            events.push(match repeated.optional()? {
                Some((sender, stamp)) => post.repeated(sender, stamp),
                None => post.put_off(full),
            });
            continue;
        }
        let stamp = Stamp { seq: Seq(seq.0 + 1), rev: rev.next(), at };
        if post.insert(&mut insert, stamp)? {
            known.heads.insert(session, (stamp.seq, stamp.rev));
            moved.insert(session);
            passing.extend((stamp.seq.0 % PASS_EVERY == 0).then_some((session, post.sender)));
            count.take(post.sender, post.message.data.len());
            post.passes();
            events.push(post.announced(stamp));
        } else {
            let name = (session.0, post.message.message_id.0);
            let (sender, stamp) = stored.query_row(name, sender_and_stamp)?;
            events.push(post.repeated(sender, stamp));
        }
    }
    let mut advance = db.prepare_cached(ADVANCE)?;
    for session in moved {
        let (seq, rev) = known.heads[&session];
        advance.execute((session.0, seq.0, rev.0))?;
    }
    for (session, writer) in passing {
        db.prepare_cached(PASS)?.execute((session.0, writer.0))?;
    }
    Ok(())
}

/// What the writer knows of active sessions, which nobody else changes, to avoid a lookup per message. Dropped with the
/// connection, whose last transaction may have failed.
#[derive(Default)]
pub(super) struct Known {
    /// Where they stand.
    heads: HashMap<SessionId, (Seq, Rev)>,
    /// Who is in them.
    users: HashSet<(SessionId, UserId)>,
}

/// Most known users of sessions; a few megabytes.
const MOST_KNOWN: usize = 16 * 1024;

impl Known {
    /// Forgets everything, because another unit may have changed it.
    pub(super) fn forget(&mut self) {
        self.heads.clear();
        self.users.clear();
    }

    /// Returns where a session stands; `None` if the user is not in it.
    fn head(
        &mut self,
        look_up: &mut CachedStatement<'_>,
        session: SessionId,
        user: UserId,
    ) -> rusqlite::Result<Option<(Seq, Rev)>> {
        if self.users.contains(&(session, user)) {
            return Ok(self.heads.get(&session).copied());
        }
        let stands = |row: &Row<'_>| Ok((Seq(row.get(0)?), Rev(row.get(1)?)));
        let Some(found) = look_up.query_row((session.0, user.0), stands).optional()? else { return Ok(None) };
        self.users.insert((session, user));
        // A known head is ahead of the table until the batch is stored.
        Ok(Some(*self.heads.entry(session).or_insert(found)))
    }

    /// Limits its size, between two batches.
    pub(super) fn bound(&mut self) {
        if self.users.len() > MOST_KNOWN {
            self.forget();
        }
    }
}

/// Reads a stored message's sender and stamp.
fn sender_and_stamp(row: &Row<'_>) -> rusqlite::Result<(UserId, Stamp)> {
    let stamp = Stamp { seq: Seq(row.get(1)?), rev: Rev(row.get(2)?), at: TimeStamp(row.get(3)?) };
    Ok((UserId(row.get(0)?), stamp))
}

impl Post {
    /// Inserts the message at its stamp. Returns false if its identifier is taken.
    fn insert(&self, insert: &mut CachedStatement<'_>, stamp: Stamp) -> rusqlite::Result<bool> {
        let Stamp { seq, rev, at } = stamp;
        let (session, id) = self.name();
        let row = (session.0, seq.0, id.0, self.sender.0, &self.message.data, at.0, rev.0);
        Ok(insert.execute(row)? == 1)
    }

    fn name(&self) -> (SessionId, MessageId) {
        (self.message.session_id, self.message.message_id)
    }

    fn announced(&mut self, Stamp { seq, rev, at }: Stamp) -> Event {
        let (session_id, message_id) = self.name();
        let message = Message {
            message_id,
            data: std::mem::take(&mut self.message.data),
            time_stamp: at,
            sender: self.sender,
            seq,
            rev,
            edited_at: None,
            deleted_at: None,
        };
        let live = LiveMessage { session_id, message };
        Event::Changed { live, origin: Some(self.origin), handed_in: Some(self.handed_in) }
    }

    /// Answers a message whose identifier is taken.
    fn repeated(&self, sender: UserId, stamp: Stamp) -> Event {
        self.passes();
        match sender == self.sender {
            true => {
                let (origin, Stamp { seq, rev, at: time_stamp }) = (self.origin, stamp);
                Event::Repeated { origin, message_id: self.message.message_id, seq, rev, time_stamp }
            }
            false => self.not_stored(NotStored::Taken),
        }
    }

    /// Returns why the message is not accepted now, if it is not: there is no room for it, or there was none for an
    /// earlier message that has not come again yet, through this origin or another.
    fn held_back(&self, count: &Count, stored: &mut CachedStatement<'_>) -> rusqlite::Result<Option<Full>> {
        let (session, id) = self.name();
        if let Some((first, full)) = self.gate.before(session, id) {
            if !stored.exists((session.0, first.0))? {
                return Ok(Some(full));
            }
            self.gate.pass(session, first);
        }
        Ok(count.full(self.sender, self.message.data.len()))
    }

    /// Notes that the message is done: what waits behind it may pass.
    fn passes(&self) {
        let (session_id, message_id) = self.name();
        self.gate.pass(session_id, message_id);
    }

    /// Answers that there is no room.
    fn put_off(&self, full: Full) -> Event {
        let (session_id, message_id) = self.name();
        self.gate.close(session_id, message_id, full);
        self.not_stored(NotStored::Full(full))
    }

    fn not_stored(&self, why: NotStored) -> Event {
        let (session_id, message_id) = self.name();
        Event::NotStored { origin: self.origin, session_id, message_id, why }
    }
}
