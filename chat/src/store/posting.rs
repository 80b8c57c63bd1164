//! Storing messages, many at a time. Set-based: sqlx pays a trip to the connection's thread and back for every
//! call, so a batch costs two of them, whether it holds one message or 256: one that looks up, one that writes.
//!
//! Portable SQL but for the placeholders: `?`, because SQLite finds a numbered one by walking through all of them.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::LazyLock;
use std::time::Instant;

use protocol::{Code, LiveMessage, Message, MessageId, Refused, Rev, SendMessage, Seq, ServerFrame};
use protocol::{SessionId, TimeStamp, UserId};
use sqlx::SqliteConnection;

use super::Event;
use crate::clock;
use crate::hub::ConnId;

/// A message handed in by a socket. Its text has been checked.
pub(crate) struct Post {
    pub(crate) sender: UserId,
    pub(crate) conn: ConnId,
    pub(crate) message: SendMessage,
    /// When; its way to the sockets is measured from here.
    pub(crate) handed_in: Instant,
    /// Given back when the message has been dealt with: bounds what one socket may have under way.
    pub(crate) _ticket: Box<dyn Any + Send + Sync>,
}

/// How much of a transaction the posts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// They begin and commit it.
    Whole,
    /// Somebody else does.
    Part,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    seq: Seq,
    rev: Rev,
    at: TimeStamp,
}

/// What is known, before it is stored, of a post whose sender is in the session.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Where the session stands.
    seq: Seq,
    rev: Rev,
    /// The message of this name that is stored already, if there is one, and whose it is.
    stored: Option<(UserId, Place)>,
}

/// Stores the posts that are new, answers those that are repeats, refuses those that may not be. Answers are
/// added to `events` in the order of the posts. An error means that nothing in this transaction counts.
pub(super) async fn store(
    db: &mut SqliteConnection,
    posts: &[Post],
    events: &mut Vec<Event>,
    extent: Extent,
) -> sqlx::Result<()> {
    let known = look_up(db, posts, extent).await?;
    // The first post of each name that is new gets a place; later ones of the same name are its repeats.
    let mut firsts: HashMap<(SessionId, MessageId), usize> = HashMap::with_capacity(posts.len());
    let mut heads: HashMap<SessionId, Place> = HashMap::new();
    let mut fresh: Vec<(&Post, Place)> = Vec::with_capacity(posts.len());
    let at = clock::now();
    for (post, known) in posts.iter().zip(&known) {
        events.push(match known {
            None => post.refused(Code::NotFound),
            Some(Known { stored: Some((sender, place)), .. }) => post.repeated(*sender, *place),
            Some(Known { seq, rev, .. }) => match firsts.entry(post.name()) {
                Entry::Occupied(first) => {
                    let (first, place) = fresh[*first.get()];
                    post.repeated(first.sender, place)
                }
                Entry::Vacant(entry) => {
                    entry.insert(fresh.len());
                    let session = post.message.session_id;
                    let head = heads.entry(session).or_insert(Place { seq: *seq, rev: *rev, at });
                    *head = Place { seq: Seq(head.seq.0 + 1), rev: head.rev.next(), at };
                    fresh.push((post, *head));
                    post.announced(*head)
                }
            },
        });
    }
    #[cfg(feature = "planted")]
    if extent == Extent::Whole {
        crate::planted::before_commit(events).await;
    }
    write(db, &fresh, &heads, extent).await
}

impl Post {
    fn name(&self) -> (SessionId, MessageId) {
        (self.message.session_id, self.message.message_id)
    }

    fn announced(&self, Place { seq, rev, at }: Place) -> Event {
        let (session_id, message_id) = self.name();
        let message = Message {
            message_id,
            data: self.message.data.clone(),
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
        if sender == self.sender { self.acknowledged(place) } else { self.refused(Code::Conflict) }
    }

    fn acknowledged(&self, Place { seq, rev, at }: Place) -> Event {
        let message_id = self.message.message_id;
        Event::ToConn { conn: self.conn, frame: ServerFrame::Ack { message_id, seq, rev, time_stamp: at } }
    }

    fn refused(&self, code: Code) -> Event {
        let (session_id, message_id) = self.name();
        let refused = Refused {
            message_id: Some(message_id),
            session_id: Some(session_id),
            invite_id: None,
            username: None,
            code,
            reason: code.reason().into(),
        };
        Event::ToConn { conn: self.conn, frame: ServerFrame::Refused(refused) }
    }
}

/// The statements for up to so many posts. Few different texts, so that each stays prepared: shorter batches fill
/// them up with nulls.
struct Statements {
    look_up: [String; 2],
    write: [String; 2],
}

/// For up to 1, 2, 4, … 256 posts.
static STATEMENTS: LazyLock<Vec<Statements>> =
    LazyLock::new(|| (0..=LARGEST.ilog2()).map(|log| Statements::new(1 << log)).collect());

/// Most posts that are stored at once.
const LARGEST: usize = 256;

impl Statements {
    fn new(size: usize) -> Self {
        let numbered: Vec<String> = (0..size).map(|nth| format!("({nth}, ?, ?, ?)")).collect();
        let values = |row: &'static str| vec![row; size].join(", ");
        let look_up = format!(
            "with post (nth, session_id, message_id, sender_id) as (values {})
             select post.nth, s.last_seq, s.rev, m.sender_id, m.seq, m.rev, m.time_stamp from post
             join sessions s on s.session_id = post.session_id
             join session_users u on u.session_id = post.session_id and u.user_id = post.sender_id
                  and u.left_at is null
             left join messages m on m.session_id = post.session_id and m.message_id = post.message_id",
            numbered.join(", ")
        );
        // One's own messages count as read. The new `read_seq` is above every older one: it is the newest message.
        let write = format!(
            "insert into messages (session_id, seq, message_id, sender_id, data, time_stamp, rev)
             select * from (values {}) post where post.column1 is not null;
             update sessions set last_seq = head.column2, rev = head.column3
             from (values {}) head where sessions.session_id = head.column1;
             update session_users set read_seq = own.column3
             from (values {}) own
             where session_users.session_id = own.column1 and session_users.user_id = own.column2",
            values("(?, ?, ?, ?, ?, ?, ?)"),
            values("(?, ?, ?)"),
            values("(?, ?, ?)"),
        );
        Self {
            look_up: [format!("begin immediate; {look_up}"), look_up],
            write: [format!("{write}; commit"), write],
        }
    }

    /// Those for this many posts, and how many they have room for.
    fn of(posts: usize) -> (&'static Self, usize) {
        let size = posts.next_power_of_two();
        (&STATEMENTS[size.ilog2() as usize], size)
    }
}

/// For every post: where its session stands and what is stored under its name; `None` when its sender is not in
/// the session.
async fn look_up(
    db: &mut SqliteConnection,
    posts: &[Post],
    extent: Extent,
) -> sqlx::Result<Vec<Option<Known>>> {
    type Row = (i64, Seq, Rev, Option<UserId>, Option<Seq>, Option<Rev>, Option<TimeStamp>);
    let (statements, size) = Statements::of(posts.len());
    let mut query = sqlx::query_as::<_, Row>(statements.look_up[extent as usize].as_str());
    for nth in 0..size {
        let post = posts.get(nth);
        query = query
            .bind(post.map(|post| post.message.session_id))
            .bind(post.map(|post| post.message.message_id))
            .bind(post.map(|post| post.sender));
    }
    let mut known = vec![None; posts.len()];
    for (nth, seq, rev, sender, stored_seq, stored_rev, at) in query.fetch_all(db).await? {
        let place = || Some(Place { seq: stored_seq?, rev: stored_rev?, at: at? });
        let stored = sender.and_then(|sender| Some((sender, place()?)));
        #[cfg(feature = "planted")]
        let stored = stored.filter(|_| !crate::planted::is(crate::planted::Bug::NoUniqueKey));
        if let Some(post) = usize::try_from(nth).ok().and_then(|nth| known.get_mut(nth)) {
            *post = Some(Known { seq, rev, stored });
        }
    }
    Ok(known)
}

/// Stores the messages at their places and moves the sessions' counters to `heads`.
async fn write(
    db: &mut SqliteConnection,
    fresh: &[(&Post, Place)],
    heads: &HashMap<SessionId, Place>,
    extent: Extent,
) -> sqlx::Result<()> {
    if fresh.is_empty() {
        if extent == Extent::Whole {
            sqlx::query("commit").execute(db).await?;
        }
        return Ok(());
    }
    let (statements, size) = Statements::of(fresh.len());
    let mut query = sqlx::query(statements.write[extent as usize].as_str());
    let mut read: HashMap<(SessionId, UserId), Seq> = HashMap::new();
    for nth in 0..size {
        let row = fresh.get(nth);
        let (post, place) = (row.map(|(post, _)| post), row.map(|(_, place)| place));
        query = query
            .bind(post.map(|post| post.message.session_id))
            .bind(place.map(|place| place.seq))
            .bind(post.map(|post| post.message.message_id))
            .bind(post.map(|post| post.sender))
            .bind(post.map(|post| post.message.data.as_str()))
            .bind(place.map(|place| place.at))
            .bind(place.map(|place| place.rev));
        if let Some((post, place)) = row {
            read.insert((post.message.session_id, post.sender), place.seq);
        }
    }
    let (mut heads, mut read) = (heads.iter(), read.iter());
    for _ in 0..size {
        let head = heads.next();
        query = query
            .bind(head.map(|(session, _)| *session))
            .bind(head.map(|(_, place)| place.seq))
            .bind(head.map(|(_, place)| place.rev));
    }
    for _ in 0..size {
        let own = read.next();
        query = query
            .bind(own.map(|((session, _), _)| *session))
            .bind(own.map(|((_, user), _)| *user))
            .bind(own.map(|(_, seq)| *seq));
    }
    query.execute(db).await?;
    Ok(())
}

/// The texts for a few posts that are a whole transaction.
#[cfg(test)]
pub(super) fn statements() -> (&'static str, &'static str) {
    let (statements, _) = Statements::of(3);
    let whole = Extent::Whole as usize;
    (&statements.look_up[whole], &statements.write[whole])
}
