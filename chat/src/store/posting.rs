//! Storing messages, many at a time, in SQLite's own words: prepared statements stepped on the writer's thread. Through
//! sqlx each would be a trip to another thread and back, and binding a batch's values cost more than storing them.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use protocol::{Code, Fault, LiveMessage, Message, MessageId, Refused, Rev, SendMessage, Seq, ServerFrame};
use protocol::{SessionId, TimeStamp, UserId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::Event;
use super::reading::PASS;
use crate::clock;
use crate::hub::ConnId;
use crate::quota::{Count, Full, Gate, Quota};

/// A message handed in by a socket. Its text has been checked.
pub(crate) struct Post {
    pub(crate) sender: UserId,
    pub(crate) conn: ConnId,
    /// What that socket was refused for now.
    pub(crate) gate: Arc<Gate>,
    pub(crate) message: SendMessage,
    /// When; its way to the sockets is measured from here.
    pub(crate) handed_in: Instant,
    /// Given back when the message has been dealt with: bounds what one socket, and one user, may have under way.
    pub(crate) _held: Box<dyn Any + Send + Sync>,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    seq: Seq,
    rev: Rev,
    at: TimeStamp,
}

// Numbered as SQLite does it: to it, `$1` is a name.

/// Where a session stands, for one whose user it is.
const HEAD: &str =
    "select s.last_seq, s.rev from session_users u join sessions s on s.session_id = u.session_id
     where u.session_id = ?1 and u.user_id = ?2 and u.left_at is null";

/// A message whose name is taken changes nothing.
const INSERT: &str = "insert into messages (session_id, seq, message_id, sender_id, data, time_stamp, rev)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict do nothing";

/// What is stored under a name.
const STORED: &str =
    "select sender_id, seq, rev, time_stamp from messages where session_id = ?1 and message_id = ?2";

const ADVANCE: &str = "update sessions set last_seq = ?2, rev = ?3 where session_id = ?1";

/// Whoever writes very much and reads nothing has their marker moved past their own words at one message in so many.
const PASS_EVERY: i64 = 256;

/// All of them, for a look at how they are served.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 5] = [HEAD, INSERT, STORED, ADVANCE, PASS];

/// Stores the posts that are new, answers those that are repeats, refuses those that may not be, for good or, where there
/// is no room, for now. Answers are
/// added to `events` in the order of the posts. Within a transaction: an error means that nothing in it counts, and
/// neither does what is known by then.
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
            post.passes();
            events.push(post.refused(Code::NotFound));
            continue;
        };
        if let Some(full) = post.held_back(&count, &mut stored)? {
            // What is stored was said long ago.
            let repeated = stored.query_row((session.0, post.message.message_id.0), sender_and_place);
            events.push(match repeated.optional()? {
                Some((sender, place)) => post.repeated(sender, place),
                None => post.put_off(full),
            });
            continue;
        }
        let place = Place { seq: Seq(seq.0 + 1), rev: rev.next(), at };
        if post.insert(&mut insert, place)? {
            known.heads.insert(session, (place.seq, place.rev));
            moved.insert(session);
            passing.extend((place.seq.0 % PASS_EVERY == 0).then_some((session, post.sender)));
            count.take(post.sender, post.message.data.len());
            post.passes();
            events.push(post.announced(place));
        } else {
            let name = (session.0, post.message.message_id.0);
            let (sender, place) = stored.query_row(name, sender_and_place)?;
            events.push(post.repeated(sender, place));
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

/// What the writer knows of the sessions in which people talk, because nobody else changes them: so that it need not look
/// it up for each message. Goes with the connection, whose last transaction may have failed.
#[derive(Default)]
pub(super) struct Known {
    /// Where they stand.
    heads: HashMap<SessionId, (Seq, Rev)>,
    /// Who is in them.
    users: HashSet<(SessionId, UserId)>,
}

/// Users of sessions that are known at once; a few megabytes.
const MOST_KNOWN: usize = 16 * 1024;

impl Known {
    /// Something else was done that may have changed any of it.
    pub(super) fn forget(&mut self) {
        self.heads.clear();
        self.users.clear();
    }

    /// Where a session stands; `None` when it is not this user's.
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
        // One that is known is ahead of the table until the batch is stored.
        Ok(Some(*self.heads.entry(session).or_insert(found)))
    }

    /// Keeps it small, between two batches.
    pub(super) fn bound(&mut self) {
        if self.users.len() > MOST_KNOWN {
            self.forget();
        }
    }
}

/// Whose a stored message is, and where it stands.
fn sender_and_place(row: &Row<'_>) -> rusqlite::Result<(UserId, Place)> {
    let place = Place { seq: Seq(row.get(1)?), rev: Rev(row.get(2)?), at: TimeStamp(row.get(3)?) };
    Ok((UserId(row.get(0)?), place))
}

impl Post {
    /// Inserts the message at its place. False when its name is taken.
    fn insert(&self, insert: &mut CachedStatement<'_>, place: Place) -> rusqlite::Result<bool> {
        let Place { seq, rev, at } = place;
        let (session, id) = self.name();
        let row = (session.0, seq.0, id.0, self.sender.0, &self.message.data, at.0, rev.0);
        Ok(insert.execute(row)? == 1)
    }

    fn name(&self) -> (SessionId, MessageId) {
        (self.message.session_id, self.message.message_id)
    }

    fn announced(&mut self, Place { seq, rev, at }: Place) -> Event {
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
        Event::Changed { live, origin: Some(self.conn), handed_in: Some(self.handed_in) }
    }

    /// The answer to a message whose name is taken.
    fn repeated(&self, sender: UserId, place: Place) -> Event {
        self.passes();
        if sender == self.sender { self.acknowledged(place) } else { self.refused(Code::Conflict) }
    }

    fn acknowledged(&self, Place { seq, rev, at }: Place) -> Event {
        let message_id = self.message.message_id;
        Event::ToConn { conn: self.conn, frame: ServerFrame::Ack { message_id, seq, rev, time_stamp: at } }
    }

    /// Why it is not taken now, if it is not: there is no room for it, or was none for what came before it and has not
    /// come again, through this socket or another.
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

    /// It has come to its end: what waits behind it may pass.
    fn passes(&self) {
        let (session_id, message_id) = self.name();
        self.gate.pass(session_id, message_id);
    }

    /// The answer when there is no room.
    fn put_off(&self, full: Full) -> Event {
        let (session_id, message_id) = self.name();
        self.gate.close(session_id, message_id, full);
        let after_ms = u64::try_from(full.wait().as_millis()).unwrap_or(u64::MAX);
        self.not_taken(full.fault(), Some(after_ms))
    }

    fn refused(&self, code: Code) -> Event {
        self.not_taken(Fault::of(code), None)
    }

    fn not_taken(&self, fault: Fault, after_ms: Option<u64>) -> Event {
        let (session_id, message_id) = self.name();
        let refused = Refused {
            message_id: Some(message_id),
            session_id: Some(session_id),
            invite_id: None,
            username: None,
            code: fault.error,
            reason: fault.reason,
            after_ms,
        };
        Event::ToConn { conn: self.conn, frame: ServerFrame::Refused(refused) }
    }
}
