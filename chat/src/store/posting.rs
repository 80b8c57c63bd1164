//! Storing messages, many at a time. Set-based: sqlx pays a thread hop for every statement, so a batch costs the
//! same few statements whether it holds one message or 256.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use protocol::{Code, LiveMessage, Message, MessageId, Refused, Rev, SendMessage, Seq, ServerFrame};
use protocol::{SessionId, TimeStamp, UserId};
use serde::Serialize;
use sqlx::SqliteConnection;

use super::Event;
use crate::clock;
use crate::hub::ConnId;

/// A message handed in by a socket. Its text has been checked.
pub(crate) struct Post {
    pub(crate) sender: UserId,
    pub(crate) conn: ConnId,
    pub(crate) message: SendMessage,
    /// Given back when the message has been dealt with: bounds what one socket may have under way.
    pub(crate) _ticket: Box<dyn Any + Send + Sync>,
}

/// A post as the statements below read it. Hex, because JSON has no bytes.
#[derive(Serialize)]
struct Row<'a> {
    session: String,
    message: String,
    sender: String,
    data: &'a str,
    #[serde(flatten)]
    place: Place,
}

/// Where a message stands.
#[derive(Clone, Copy, Default, Serialize)]
struct Place {
    seq: Seq,
    rev: Rev,
    at: TimeStamp,
}

/// What is known of a post before it is stored.
#[derive(sqlx::FromRow)]
struct Known {
    row: i64,
    is_member: bool,
    /// The message of this name that is stored already, if there is one.
    sender_id: Option<UserId>,
    seq: Option<Seq>,
    rev: Option<Rev>,
    time_stamp: Option<TimeStamp>,
}

impl Known {
    fn stored(&self) -> Option<(UserId, Place)> {
        Some((self.sender_id?, Place { seq: self.seq?, rev: self.rev?, at: self.time_stamp? }))
    }
}

/// Stores the posts that are new, answers those that are repeats, refuses those that may not be. Answers are
/// added to `events` in the order of the posts. An error means that nothing in this transaction counts.
pub(super) async fn store(
    db: &mut SqliteConnection,
    posts: &[Post],
    events: &mut Vec<Event>,
) -> sqlx::Result<()> {
    let mut rows: Vec<Row<'_>> = posts.iter().map(Row::new).collect();
    let known = look_up(db, &rows).await?;

    // The first post of each name that is new and may be stored; later ones of the same name are its repeats.
    let mut firsts: HashMap<(SessionId, MessageId), usize> = HashMap::new();
    let mut counts: HashMap<String, i64> = HashMap::new();
    for (at, (post, known)) in posts.iter().zip(&known).enumerate() {
        if known.is_member
            && known.stored().is_none()
            && let Entry::Vacant(entry) = firsts.entry(post.name())
        {
            entry.insert(at);
            *counts.entry(rows[at].session.clone()).or_default() += 1;
        }
    }

    let mut last = number(db, &counts).await?;
    let mut fresh: Vec<usize> = firsts.values().copied().collect();
    fresh.sort_unstable();
    for &at in &fresh {
        let last = last.get_mut(&posts[at].message.session_id).expect("its session was numbered");
        *last = Place { seq: Seq(last.seq.0 + 1), rev: last.rev.next(), at: last.at };
        rows[at].place = *last;
    }
    insert(db, &fresh.iter().map(|&at| &rows[at]).collect::<Vec<_>>()).await?;

    for (at, (post, known)) in posts.iter().zip(&known).enumerate() {
        let first = firsts.get(&post.name()).copied();
        events.push(if first == Some(at) {
            post.announced(rows[at].place)
        } else {
            let stored = known.stored().or_else(|| first.map(|at| (posts[at].sender, rows[at].place)));
            match stored.filter(|_| known.is_member) {
                Some((sender, place)) if sender == post.sender => post.acknowledged(place),
                Some(_) => post.refused(Code::Conflict),
                None => post.refused(Code::NotFound),
            }
        });
    }
    Ok(())
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
        Event::Changed { live: LiveMessage { session_id, message }, origin: Some(self.conn) }
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

impl<'a> Row<'a> {
    fn new(post: &'a Post) -> Self {
        Self {
            session: post.message.session_id.0.simple().to_string(),
            message: post.message.message_id.0.simple().to_string(),
            sender: post.sender.0.simple().to_string(),
            data: &post.message.data,
            place: Place::default(),
        }
    }
}

/// For every row: is its sender in the session, and is there a message of this name already?
async fn look_up(db: &mut SqliteConnection, rows: &[Row<'_>]) -> sqlx::Result<Vec<Known>> {
    let mut known: Vec<Known> = sqlx::query_as(
        "select j.key as row, u.user_id is not null as is_member, m.sender_id, m.seq, m.rev, m.time_stamp
         from json_each($1) j
         left join session_users u on u.session_id = unhex(j.value ->> 'session')
              and u.user_id = unhex(j.value ->> 'sender') and u.left_at is null
         left join messages m on m.session_id = unhex(j.value ->> 'session')
              and m.message_id = unhex(j.value ->> 'message')",
    )
    .bind(json(rows))
    .fetch_all(db)
    .await?;
    known.sort_unstable_by_key(|known| known.row);
    #[cfg(feature = "planted")]
    if crate::planted::is(crate::planted::Bug::NoUniqueKey) {
        known.iter_mut().for_each(|known| known.sender_id = None);
    }
    Ok(known)
}

/// Takes as many numbers of each session as `counts` says. Returns the place before the first one taken.
async fn number(
    db: &mut SqliteConnection,
    counts: &HashMap<String, i64>,
) -> sqlx::Result<HashMap<SessionId, Place>> {
    if counts.is_empty() {
        return Ok(HashMap::new());
    }
    let taken: Vec<(SessionId, Seq, Rev)> = sqlx::query_as(
        "update sessions set last_seq = last_seq + j.value, rev = rev + j.value
         from json_each($1) j where session_id = unhex(j.key)
         returning session_id, last_seq, rev", // of the updated table only: SQLite sees no `j` here
    )
    .bind(json(counts))
    .fetch_all(db)
    .await?;
    let at = clock::now();
    let before = |(id, Seq(seq), Rev(rev)): (SessionId, Seq, Rev)| {
        let count = counts.get(&id.0.simple().to_string()).copied().unwrap_or_default();
        (id, Place { seq: Seq(seq - count), rev: Rev(rev - count), at })
    };
    Ok(taken.into_iter().map(before).collect())
}

/// Stores the rows, and counts each as read by its own writer.
async fn insert(db: &mut SqliteConnection, rows: &[&Row<'_>]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = json(rows);
    sqlx::query(
        "insert into messages (session_id, seq, message_id, sender_id, data, time_stamp, rev)
         select unhex(value ->> 'session'), value ->> 'seq', unhex(value ->> 'message'),
                unhex(value ->> 'sender'), value ->> 'data', value ->> 'at', value ->> 'rev'
         from json_each($1)",
    )
    .bind(&rows)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "update session_users set read_seq = max(read_seq, j.seq)
         from (select unhex(value ->> 'session') as session_id, unhex(value ->> 'sender') as user_id,
                      max(value ->> 'seq') as seq
               from json_each($1) group by 1, 2) j
         where session_users.session_id = j.session_id and session_users.user_id = j.user_id",
    )
    .bind(&rows)
    .execute(&mut *db)
    .await?;
    Ok(())
}

fn json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).expect("rows hold strings and numbers")
}
