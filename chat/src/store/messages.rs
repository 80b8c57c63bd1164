//! Rows and SQL for reading, editing and deleting messages. Storing new ones is in `posting`.

use std::collections::VecDeque;

use protocol::api::History;
use protocol::{Epoch, Message, MessageId, Rev, Seq, SessionId, Span, TimeStamp, UserId};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::members::last_seen;
use super::sql::MESSAGE;
use super::writer::Tx;
use super::{Store, brief};
use crate::error::Result;
use crate::page::weight;

/// The messages of session `$1` that changed after `here.after`, as places and sizes: up to the limit of those still as
/// written (`fresh`), and of the others (`altered`), each with the weight of those before it in the given direction.
/// Sizes are stored before the texts, and so is everything else selected here for an unaltered row; so the texts, and
/// what is stored after them, are read only for the rows that fit.
///
/// There were `rev - after` changes since, so at most that many new messages, in the last places; but there may be
/// fewer, if some of the changes were edits. `search` bisects for where the new ones begin: unaltered messages have
/// their `rev` in the order of their places. The first guess is usually right. `to` ends the places that are looked at.
macro_rules! CHANGED {
    ($direction:literal, $limit:literal, $bytes:literal, $to:literal) => {
        concat!(
            "search (low, high, look) as (
                 select below, last_seq + 1, below + 1 from here
                 union all
                 select case when m.rev <= after then m.seq else low end,
                        case when m.rev <= after then high else look end,
                        case when m.rev <= after then m.seq + high else low + look end / 2
                 from search join here left join messages m on m.session_id = $1 and m.seq = (
                     select seq from messages where session_id = $1 and seq >= look and seq < high
                         and altered = 0 order by seq limit 1)
                 where high - low > 1),
             fresh as materialized (
                 select seq, octet_length(data) + 280 as size from messages where session_id = $1
                     and seq > (select max(low) from search)",
            $to,
            " and altered = 0 order by seq ",
            $direction,
            " limit ",
            $limit,
            "),
             altered as materialized (
                 select seq, rev, size from (
                     select seq, rev, octet_length(data) + 280 as size from messages where session_id = $1
                         and rev > (select after from here)
                         and altered = 1
                         and +seq > (select joined_seq from here)",
            $to,
            " order by rev ",
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

/// For a user who has never left the session.
pub(super) const CHANGES: &str = concat!(
    "with recursive here as materialized (
         select s.epoch, s.rev, s.last_seq, own.joined_seq, $3 as after,
                max(own.joined_seq, s.last_seq - (s.rev - $3)) as below
         from session_users own join sessions s on s.session_id = own.session_id
         where own.session_id = $1 and own.user_id = $2 and own.left_at is null
             and not exists (select 1 from spans e where e.session_id = $1 and e.user_id = $2)), ",
    CHANGED!("asc", "$4", "$5", ""),
    " select here.epoch, here.rev as head, ",
    MESSAGE!(),
    " from here left join fits left join messages m on m.session_id = $1 and m.seq = fits.seq
     order by m.rev limit $4",
);

/// For one part of a session, after place `$2` and up to `$6`.
pub(super) const CHANGES_OF_PART: &str = concat!(
    "with recursive here as materialized (
         select epoch, rev, last_seq, $2 as joined_seq, $3 as after, max($2, last_seq - (rev - $3)) as below
         from sessions where session_id = $1), ",
    CHANGED!("asc", "$4", "$5", " and +seq <= $6"),
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
    CHANGED!("desc", "$3", "$4", ""),
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

/// The last changes of a session: what a tail begins with.
pub(crate) struct Beginning {
    pub(crate) epoch: Epoch,
    /// Where the session stands.
    pub(crate) rev: Rev,
    /// Every change after this one is in `messages`.
    pub(crate) floor: Rev,
    /// In the order of their `Rev`.
    pub(crate) messages: VecDeque<Message>,
    /// Whether only the limits keep it from reaching further back.
    pub(crate) is_full: bool,
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
    let Some((last, view)) = last_seen(db, user, session).await? else { return Ok(None) };
    let up_to = before.map_or(last, |before| last.min(Seq(before.0.saturating_sub(1))));
    let (mut messages, mut held) = (VecDeque::new(), 0);
    'parts: for (after, end) in view.parts().into_iter().rev() {
        let room = limit - i64::try_from(messages.len()).unwrap_or(limit);
        if end.min(up_to) <= after || room <= 0 {
            continue;
        }
        let mut rows: Vec<Row> = sqlx::query_as(HISTORY)
            .bind(session)
            .bind(Seq(end.min(up_to).0 + 1))
            .bind(after)
            .bind(room)
            .bind(i64::try_from(bytes.saturating_sub(held)).unwrap_or(i64::MAX))
            .fetch_all(&mut *db)
            .await?;
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.seq));
        for message in rows.into_iter().map(Message::from) {
            held += weight(&message);
            if held > bytes && !messages.is_empty() {
                break 'parts;
            }
            messages.push_front(message);
        }
    }
    let begins = Seq(view.begins_after().0 + 1); // places have no gaps
    let older = messages.front().map(|oldest| oldest.seq).filter(|oldest| *oldest > begins);
    let covers = Span { after: older.map_or(Seq(0), |oldest| Seq(oldest.0 - 1)), up_to: Some(up_to) };
    Ok(Some(History { messages: messages.into(), more: older.is_some(), covers: Some(covers) }))
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
        let Some(Found { epoch, head: rev, .. }) = rows.first() else {
            drop(db);
            return self.changes_of_parts(user, session, after, limit, bytes).await;
        };
        let (epoch, rev) = (*epoch, *rev);
        Ok(Some(Changes { epoch, rev, messages: rows.into_iter().filter_map(|row| row.message).collect() }))
    }

    /// Does the same for a user who left the session and came back, part by part. Of a part whose changes do not all
    /// fit, as many come first as fill a page by themselves: so nothing is missing up to where the page ends.
    async fn changes_of_parts(
        &self,
        user: UserId,
        session: SessionId,
        after: Rev,
        limit: i64,
        bytes: usize,
    ) -> Result<Option<Changes>> {
        let mut tx = self.read.begin().await?;
        let read = async {
            let Some((_, view)) = last_seen(&mut tx, user, session).await? else { return Ok(None) };
            let mut found: Option<Changes> = None;
            for (from, to) in view.parts() {
                let query = sqlx::query_as(CHANGES_OF_PART)
                    .bind(session)
                    .bind(from)
                    .bind(after)
                    .bind(limit + 1)
                    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
                    .bind(to);
                for row in query.fetch_all(&mut *tx).await? {
                    let Found { epoch, head: rev, message } = row;
                    let changes = found.get_or_insert_with(|| Changes { epoch, rev, messages: Vec::new() });
                    changes.messages.extend(message);
                }
            }
            if let Some(changes) = &mut found {
                changes.messages.sort_unstable_by_key(|message| message.rev);
                changes.messages.truncate(usize::try_from(limit + 1).unwrap_or(usize::MAX));
            }
            Ok::<_, crate::Error>(found)
        };
        brief(read).await
    }

    /// Returns the last changes of a session after `after`: at most `rows` of them, of at most `bytes`, for everybody;
    /// `None` if there is no such session.
    pub(crate) async fn tail(
        &self,
        session: SessionId,
        after: Rev,
        rows: usize,
        bytes: usize,
    ) -> Result<Option<Beginning>> {
        let query = sqlx::query_as(TAIL)
            .bind(session)
            .bind(after)
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut db = self.read.acquire().await?;
        let found: Vec<Found> = brief(query.fetch_all(&mut *db)).await?;
        let Some(Found { epoch, head: rev, .. }) = found.first() else { return Ok(None) };
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
        Ok(Some(tail))
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

    /// Dates every message of a session to this time, in milliseconds.
    #[cfg(test)]
    pub(crate) async fn said_at(&self, session: SessionId, at: i64) {
        let done = self.run(move |tx| {
            let dated = sqlx::query("update messages set time_stamp = $2 where session_id = $1");
            let dated = dated.bind(session).bind(at);
            Box::pin(async move { Ok(dated.execute(tx.db).await.map(drop)?) })
        });
        done.await.expect("the database is whole");
    }
}

/// The user's own message, if they are still in its session.
const OWN: &str = concat!(
    "select ",
    MESSAGE!(),
    " from messages m
     join session_users u on u.session_id = m.session_id and u.user_id = $3 and u.left_at is null
     where m.session_id = $1 and m.message_id = $2 and m.sender_id = $3",
);

impl Tx<'_> {
    /// Finds a user's own message.
    pub(crate) async fn own_message(
        &mut self,
        user: UserId,
        session: SessionId,
        message: MessageId,
    ) -> Result<Option<Message>> {
        let row: Option<Row> =
            sqlx::query_as(OWN).bind(session).bind(message).bind(user).fetch_optional(&mut *self.db).await?;
        Ok(row.map(Message::from))
    }

    /// Stores a message in its changed state, as the next change of its session, whose `Rev` it gets. Nothing is left
    /// of its earlier text.
    pub(crate) async fn change(&mut self, session: SessionId, message: &mut Message) -> Result<()> {
        message.rev =
            sqlx::query_scalar("update sessions set rev = rev + 1 where session_id = $1 returning rev")
                .bind(session)
                .fetch_one(&mut *self.db)
                .await?;
        let row = sqlx::query_scalar(
            "update messages set data = $3, rev = $4, edited_at = $5, deleted_at = $6, altered = 1
             where session_id = $1 and seq = $2 returning id",
        )
        .bind(session)
        .bind(message.seq)
        .bind(&message.data)
        .bind(message.rev)
        .bind(message.edited_at)
        .bind(message.deleted_at)
        .fetch_one(&mut *self.db)
        .await?;
        self.forget(row);
        Ok(())
    }
}
