//! Rows and SQL for reading, editing and deleting messages. Storing new ones is in `posting`.

use std::collections::VecDeque;

use futures::TryStreamExt;
use protocol::api::History;
use protocol::{Code, Epoch, LiveMessage, Message, MessageId, Rev, Seq, SessionId, TimeStamp, UserId};

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Event, Store};
use crate::hub::ConnId;
use crate::messages::weight;
use crate::tails::Beginning;
use crate::{Error, Result, clock};

/// The columns of a message, for a query over `messages m`.
macro_rules! MESSAGE {
    () => {
        "m.message_id, m.data, m.time_stamp, m.sender_id, m.seq, m.rev, m.edited_at, m.deleted_at"
    };
}
pub(super) use MESSAGE;

/// Of session `$1`, which `here` describes, the messages that changed after a `Rev`: at most so many of those that are
/// as they were written, and of the others. There were `here.rev - after` changes since, so no more new messages, and
/// their places are the last ones.
macro_rules! CHANGED {
    ($after:literal, $limit:literal) => {
        concat!(
            "select * from (select * from messages where session_id = $1
                  and seq > (select max(joined_seq, last_seq - (rev - ",
            $after,
            ")) from here) and rev > ",
            $after,
            " and edited_at is null and deleted_at is null order by seq limit ",
            $limit,
            ") union all
             select * from (select * from messages where session_id = $1 and rev > ",
            $after,
            " and (edited_at is not null or deleted_at is not null)
                  and +seq > (select joined_seq from here) order by rev limit ",
            $limit,
            ")"
        )
    };
}

pub(super) const CHANGES: &str = concat!(
    "with here as (
         select s.session_id, s.epoch, s.rev, s.last_seq, own.joined_seq
         from session_users own join sessions s on s.session_id = own.session_id
         where own.session_id = $1 and own.user_id = $2 and own.left_at is null)
     select here.epoch, here.rev as head, ",
    MESSAGE!(),
    " from here left join (",
    CHANGED!("$3", "$4"),
    ") m order by m.rev limit $4",
);

pub(super) const TAIL: &str = concat!(
    "with here as (
         select session_id, epoch, rev, last_seq, 0 as joined_seq, max($2, rev - $3) as floor
         from sessions where session_id = $1)
     select here.epoch, here.rev as head, ",
    MESSAGE!(),
    " from here left join (",
    CHANGED!("(select floor from here)", "$3"),
    ") m order by m.rev desc",
);

pub(super) const HISTORY: &str = concat!(
    "select ",
    MESSAGE!(),
    " from messages m where m.session_id = $1 and m.seq < $2 and m.seq > $3 order by m.seq desc limit $4",
);

/// A message as stored.
#[derive(sqlx::FromRow)]
struct Row {
    message_id: MessageId,
    data: String,
    time_stamp: TimeStamp,
    sender_id: UserId,
    seq: Seq,
    rev: Rev,
    edited_at: Option<TimeStamp>,
    deleted_at: Option<TimeStamp>,
}

/// A message and the session it stands in.
#[derive(sqlx::FromRow)]
pub(super) struct Keyed {
    session_id: SessionId,
    #[sqlx(flatten)]
    row: Row,
}

impl Keyed {
    pub(super) fn split(self) -> (SessionId, Message) {
        (self.session_id, self.row.into())
    }
}

impl From<Row> for Message {
    fn from(row: Row) -> Self {
        let Row { message_id, data, time_stamp, sender_id: sender, seq, rev, edited_at, deleted_at } = row;
        Message { message_id, data, time_stamp, sender, seq, rev, edited_at, deleted_at }
    }
}

/// A session, and one of its messages if there is one: a row of an outer join.
struct Found {
    epoch: Epoch,
    /// Where the session stands.
    head: Rev,
    message: Option<Message>,
}

impl<'r> sqlx::FromRow<'r, SqliteRow> for Found {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let found: Option<Rev> = row.try_get("rev")?;
        let message = found.map(|_| Row::from_row(row)).transpose()?.map(Message::from);
        Ok(Self { epoch: row.try_get("epoch")?, head: row.try_get("head")?, message })
    }
}

/// What changed in a session after some `Rev`.
pub(crate) struct Changes {
    pub(crate) epoch: Epoch,
    /// Where the session stands.
    pub(crate) rev: Rev,
    /// The changed messages, in the order of their `Rev`; one more than asked for when there are more.
    pub(crate) messages: Vec<Message>,
}

impl Store {
    /// What changed after `after`, as this user may see it; `None` when they are not in the session.
    /// One statement, so that "where it stands" and the rows are of one moment.
    pub(crate) async fn changes(
        &self,
        user: UserId,
        session: SessionId,
        after: Rev,
        limit: i64,
    ) -> Result<Option<Changes>> {
        let rows: Vec<Found> = sqlx::query_as(CHANGES)
            .bind(session)
            .bind(user)
            .bind(after)
            .bind(limit + 1)
            .fetch_all(&self.read)
            .await?;
        let Some(Found { epoch, head: rev, .. }) = rows.first() else { return Ok(None) };
        let (epoch, rev) = (*epoch, *rev);
        Ok(Some(Changes { epoch, rev, messages: rows.into_iter().filter_map(|row| row.message).collect() }))
    }

    /// The last changes of a session after `after`: at most `rows` of them, of at most `bytes`, for everybody.
    pub(crate) async fn tail(
        &self,
        session: SessionId,
        after: Rev,
        rows: usize,
        bytes: usize,
    ) -> Result<Beginning> {
        let mut found = sqlx::query_as(TAIL)
            .bind(session)
            .bind(after)
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .fetch(&self.read);
        let mut tail = None;
        let mut held = 0;
        while let Some(Found { epoch, head: rev, message }) = found.try_next().await? {
            let reach = after.0.max(rev.0.saturating_sub_unsigned(rows as u64));
            let (floor, is_full) = (Rev(reach.min(rev.0)), reach > after.0);
            let messages = VecDeque::new;
            let tail =
                tail.get_or_insert_with(|| Beginning { epoch, rev, floor, messages: messages(), is_full });
            let Some(message) = message else { break };
            held += weight(&message);
            if held > bytes {
                (tail.floor, tail.is_full) = (message.rev, true);
                break;
            }
            tail.messages.push_front(message);
        }
        tail.ok_or(Error::refused(Code::NotFound))
    }

    /// The newest messages before a place (or of all), as this user may see them; `None` when they are not in
    /// the session.
    pub(crate) async fn history(
        &self,
        user: UserId,
        session: SessionId,
        before: Option<Seq>,
        limit: i64,
    ) -> Result<Option<History>> {
        let mut tx = self.read.begin().await?;
        let joined: Option<Seq> = sqlx::query_scalar(
            "select joined_seq from session_users
             where session_id = $1 and user_id = $2 and left_at is null",
        )
        .bind(session)
        .bind(user)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(joined) = joined else { return Ok(None) };
        let mut rows: Vec<Row> = sqlx::query_as(HISTORY)
            .bind(session)
            .bind(before.unwrap_or(Seq(i64::MAX)))
            .bind(joined)
            .bind(limit + 1)
            .fetch_all(&mut *tx)
            .await?;
        let more = i64::try_from(rows.len()).is_ok_and(|found| found > limit);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Some(History { messages: rows.into_iter().rev().map(Message::from).collect(), more }))
    }

    /// Replaces the text of one's own message, or deletes it (`None`). Doing the same twice changes nothing more
    /// and is answered again, to `conn` alone.
    pub(crate) async fn change(
        &self,
        user: UserId,
        conn: ConnId,
        session_id: SessionId,
        message_id: MessageId,
        data: Option<String>,
    ) -> Result<()> {
        self.writer
            .run(move |mut tx| {
                Box::pin(async move {
                    let row: Option<Row> = sqlx::query_as(concat!(
                        "select ",
                        MESSAGE!(),
                        " from messages m
                         join session_users u on u.session_id = m.session_id and u.user_id = $3 and u.left_at is null
                         where m.session_id = $1 and m.message_id = $2 and m.sender_id = $3",
                    ))
                    .bind(session_id)
                    .bind(message_id)
                    .bind(user)
                    .fetch_optional(&mut *tx.db)
                    .await?;
                    // Somebody else's message, one deleted, and one that never was: the same answer.
                    let mut message = row.map(Message::from).ok_or(Error::refused(Code::NotFound))?;
                    if message.deleted_at.is_some() && data.is_some() {
                        return Err(Error::refused(Code::NotFound));
                    }
                    let now = clock::now();
                    let same = match &data {
                        Some(data) => *data == message.data,
                        None => message.deleted_at.is_some(),
                    };
                    if same {
                        let frame = protocol::ServerFrame::Message(LiveMessage { session_id, message });
                        tx.announce(Event::ToConn { conn, frame });
                        return Ok(());
                    }
                    match data {
                        Some(data) => (message.data, message.edited_at) = (data, Some(now)),
                        None => (message.data, message.deleted_at) = (String::new(), Some(now)),
                    }
                    message.rev = sqlx::query_scalar(
                        "update sessions set rev = rev + 1 where session_id = $1 returning rev",
                    )
                    .bind(session_id)
                    .fetch_one(&mut *tx.db)
                    .await?;
                    sqlx::query(
                        "update messages set data = $3, rev = $4, edited_at = $5, deleted_at = $6
                         where session_id = $1 and seq = $2",
                    )
                    .bind(session_id)
                    .bind(message.seq)
                    .bind(&message.data)
                    .bind(message.rev)
                    .bind(message.edited_at)
                    .bind(message.deleted_at)
                    .execute(&mut *tx.db)
                    .await?;
                    let live = LiveMessage { session_id, message };
                    tx.announce(Event::Changed { live, origin: None, handed_in: None });
                    Ok(())
                })
            })
            .await
    }
}
