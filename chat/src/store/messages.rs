//! Rows and SQL for reading, editing and deleting messages. Storing new ones is in `posting`.

use std::collections::VecDeque;

use protocol::api::History;
use protocol::{Code, Epoch, LiveMessage, Message, MessageId, Rev, Seq, SessionId, TimeStamp, UserId};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Event, Store, brief};
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

/// The messages of session `$1` that changed after `here.after`, as places and sizes: up to the limit of those still as
/// written (`fresh`), and of the others (`altered`), each with the weight of those before it in the given direction.
/// Sizes are stored before the texts, and so is everything else selected here for an unaltered row; so the texts, and
/// what is stored after them, are read only for the rows that fit.
///
/// There were `rev - after` changes since, so at most that many new messages, in the last places; but there may be
/// fewer, if some of the changes were edits. `search` bisects for where the new ones begin: unaltered messages have
/// their `rev` in the order of their places. The first guess is usually right.
macro_rules! CHANGED {
    ($direction:literal, $limit:literal, $bytes:literal) => {
        concat!(
            "search (low, high, look) as (
                 select below, last_seq + 1, below + 1 from here
                 union all
                 select case when m.rev <= after then m.seq else low end,
                        case when m.rev <= after then high else look end,
                        case when m.rev <= after then m.seq + high else low + look end / 2
                 from search join here left join messages m on m.session_id = $1 and m.seq = (
                     select seq from messages where session_id = $1 and seq >= look and seq < high
                         and edited_at is null and deleted_at is null order by seq limit 1)
                 where high - low > 1),
             fresh as materialized (
                 select seq, octet_length(data) + 280 as size from messages where session_id = $1
                     and seq > (select max(low) from search)
                     and edited_at is null and deleted_at is null order by seq ",
            $direction,
            " limit ",
            $limit,
            "),
             altered as materialized (
                 select seq, rev, size from (
                     select seq, rev, octet_length(data) + 280 as size from messages where session_id = $1
                         and rev > (select after from here)
                         and (edited_at is not null or deleted_at is not null)
                         and +seq > (select joined_seq from here) order by rev ",
            $direction,
            " limit ",
            $limit,
            ")),
             fits as materialized (
                 select seq from (select seq, sum(size) over (order by seq ",
            $direction,
            " rows between unbounded preceding and 1 preceding) as before from fresh)
                     where before is null or before <= ",
            $bytes,
            "
                 union all
                 select seq from (select seq, sum(size) over (order by rev ",
            $direction,
            " rows between unbounded preceding and 1 preceding) as before from altered)
                     where before is null or before <= ",
            $bytes,
            ")"
        )
    };
}

pub(super) const CHANGES: &str = concat!(
    "with recursive here as materialized (
         select s.epoch, s.rev, s.last_seq, own.joined_seq, $3 as after,
                max(own.joined_seq, s.last_seq - (s.rev - $3)) as below
         from session_users own join sessions s on s.session_id = own.session_id
         where own.session_id = $1 and own.user_id = $2 and own.left_at is null), ",
    CHANGED!("asc", "$4", "$5"),
    " select here.epoch, here.rev as head, ",
    MESSAGE!(),
    " from here left join fits left join messages m on m.session_id = $1 and m.seq = fits.seq
     order by m.rev limit $4",
);

pub(super) const TAIL: &str = concat!(
    "with recursive here as materialized (
         select epoch, rev, last_seq, 0 as joined_seq, max($2, rev - $3) as after,
                max(0, last_seq - min(rev - $2, $3)) as below
         from sessions where session_id = $1), ",
    CHANGED!("desc", "$3", "$4"),
    " select here.epoch, here.rev as head, ",
    MESSAGE!(),
    " from here left join fits left join messages m on m.session_id = $1 and m.seq = fits.seq
     order by m.rev desc",
);

/// The newest before a place, until those after one weigh too much.
pub(super) const HISTORY: &str = concat!(
    "select ",
    MESSAGE!(),
    " from (select seq, sum(size) over (order by seq desc rows between unbounded preceding and 1 preceding) as before
         from (select seq, octet_length(data) + 280 as size from messages
               where session_id = $1 and seq < $2 and seq > $3 order by seq desc limit $4)) fits
     cross join messages m on m.session_id = $1 and m.seq = fits.seq
     where fits.before is null or fits.before <= $5",
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

/// A message and its session.
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

/// A session, and one of its messages if it has any: a row of an outer join.
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
    /// The changed messages, in the order of their `Rev`; one more than the limit if there are more.
    pub(crate) messages: Vec<Message>,
}

/// Must run within a transaction, so that all of it is from one moment.
pub(super) async fn history(
    db: &mut SqliteConnection,
    user: UserId,
    session: SessionId,
    before: Option<Seq>,
    limit: i64,
    bytes: usize,
) -> Result<Option<History>> {
    let joined: Option<Seq> = sqlx::query_scalar(
        "select joined_seq from session_users
         where session_id = $1 and user_id = $2 and left_at is null",
    )
    .bind(session)
    .bind(user)
    .fetch_optional(&mut *db)
    .await?;
    let Some(joined) = joined else { return Ok(None) };
    let mut rows: Vec<Row> = sqlx::query_as(HISTORY)
        .bind(session)
        .bind(before.unwrap_or(Seq(i64::MAX)))
        .bind(joined)
        .bind(limit)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .fetch_all(db)
        .await?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.seq));
    let (mut messages, mut held) = (VecDeque::new(), 0);
    for message in rows.into_iter().map(Message::from) {
        held += weight(&message);
        if held > bytes && !messages.is_empty() {
            break;
        }
        messages.push_front(message);
    }
    let more = messages.front().is_some_and(|oldest| oldest.seq.0 > joined.0 + 1); // places have no gaps
    Ok(Some(History { messages: messages.into(), more }))
}

impl Store {
    /// Returns what changed after `after`, as this user may see it, until it weighs `bytes`; `None` if they are not in
    /// the session. One statement, so that "where it stands" and the rows are from one moment.
    pub(crate) async fn changes(
        &self,
        user: UserId,
        session: SessionId,
        after: Rev,
        limit: i64,
        bytes: usize,
    ) -> Result<Option<Changes>> {
        let query = sqlx::query_as(CHANGES)
            .bind(session)
            .bind(user)
            .bind(after)
            .bind(limit + 1)
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut db = self.read.acquire().await?;
        let rows: Vec<Found> = brief(query.fetch_all(&mut *db)).await?;
        let Some(Found { epoch, head: rev, .. }) = rows.first() else { return Ok(None) };
        let (epoch, rev) = (*epoch, *rev);
        Ok(Some(Changes { epoch, rev, messages: rows.into_iter().filter_map(|row| row.message).collect() }))
    }

    /// Returns the last changes of a session after `after`: at most `rows` of them, of at most `bytes`, for everybody.
    pub(crate) async fn tail(
        &self,
        session: SessionId,
        after: Rev,
        rows: usize,
        bytes: usize,
    ) -> Result<Beginning> {
        let query = sqlx::query_as(TAIL)
            .bind(session)
            .bind(after)
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut db = self.read.acquire().await?;
        let found: Vec<Found> = brief(query.fetch_all(&mut *db)).await?;
        let Some(Found { epoch, head: rev, .. }) = found.first() else {
            return Err(Error::refused(Code::NotFound));
        };
        let reach = after.0.max(rev.0.saturating_sub_unsigned(rows as u64));
        let (floor, is_full) = (Rev(reach.min(rev.0)), reach > after.0);
        let mut tail = Beginning { epoch: *epoch, rev: *rev, floor, messages: VecDeque::new(), is_full };
        let mut held = 0;
        for message in found.into_iter().filter_map(|found| found.message) {
            held += weight(&message);
            if held > bytes {
                (tail.floor, tail.is_full) = (message.rev, true);
                break;
            }
            tail.messages.push_front(message);
        }
        Ok(tail)
    }

    /// Returns the newest messages before a place (or of all), as this user may see them, of at most `bytes` (but at
    /// least one); `None` if they are not in the session.
    pub(crate) async fn history(
        &self,
        user: UserId,
        session: SessionId,
        before: Option<Seq>,
        limit: i64,
        bytes: usize,
    ) -> Result<Option<History>> {
        let mut tx = self.read.begin().await?;
        brief(history(&mut tx, user, session, before, limit, bytes)).await
    }

    /// Replaces the text of the user's own message, or deletes it (`None`), which is allowed however full the disk is.
    /// A repeat changes nothing more and is answered again, to `conn` alone.
    pub(crate) async fn change(
        &self,
        user: UserId,
        conn: ConnId,
        session_id: SessionId,
        message_id: MessageId,
        data: Option<String>,
    ) -> Result<()> {
        let quota = self.quota.clone();
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
                    // The same error for somebody else's message, a deleted one, and one that never existed.
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
                    if let Some(data) = &data {
                        let mut count = quota.now();
                        if let Some(full) = count.full(user, data.len()) {
                            return Err(full.into());
                        }
                        count.take(user, data.len());
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
                    let row = sqlx::query_scalar(
                        "update messages set data = $3, rev = $4, edited_at = $5, deleted_at = $6
                         where session_id = $1 and seq = $2 returning rowid",
                    )
                    .bind(session_id)
                    .bind(message.seq)
                    .bind(&message.data)
                    .bind(message.rev)
                    .bind(message.edited_at)
                    .bind(message.deleted_at)
                    .fetch_one(&mut *tx.db)
                    .await?;
                    tx.forget(row);
                    let live = LiveMessage { session_id, message };
                    tx.announce(Event::Changed { live, origin: None, handed_in: None });
                    Ok(())
                })
            })
            .await
    }
}
