//! Rows and SQL for reading, editing and deleting messages. Storing new ones is in `posting`.

use protocol::api::History;
use protocol::{Code, Epoch, LiveMessage, Message, MessageId, Rev, Seq, SessionId, TimeStamp, UserId};

use super::sessions::{SessionRow, session_columns};
use super::{Event, Store};
use crate::hub::ConnId;
use crate::{Error, Result, clock};

/// The columns of a message, for a query over `messages m`.
macro_rules! MESSAGE {
    () => {
        "m.message_id, m.data, m.time_stamp, m.sender_id, m.seq, m.rev, m.edited_at, m.deleted_at"
    };
}
pub(super) use MESSAGE;

pub(super) const CHANGES: &str = concat!(
    "select ",
    MESSAGE!(),
    " from messages m where m.session_id = $1 and m.rev > $2 and m.seq > $3 order by m.rev limit $4",
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
    pub(crate) async fn changes(
        &self,
        user: UserId,
        session: SessionId,
        after: Rev,
        limit: i64,
    ) -> Result<Option<Changes>> {
        // One transaction, so that "where it stands" and the rows are of one moment.
        let mut tx = self.read.begin().await?;
        let Some(SessionRow { epoch, rev, joined_seq, .. }) = session_row(&mut tx, user, session).await?
        else {
            return Ok(None);
        };
        let rows: Vec<Row> = sqlx::query_as(CHANGES)
            .bind(session)
            .bind(after)
            .bind(joined_seq)
            .bind(limit + 1)
            .fetch_all(&mut *tx)
            .await?;
        Ok(Some(Changes { epoch, rev, messages: rows.into_iter().map(Message::from).collect() }))
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
        let Some(SessionRow { joined_seq, .. }) = session_row(&mut tx, user, session).await? else {
            return Ok(None);
        };
        let mut rows: Vec<Row> = sqlx::query_as(HISTORY)
            .bind(session)
            .bind(before.unwrap_or(Seq(i64::MAX)))
            .bind(joined_seq)
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
                    tx.announce(Event::Changed { live: LiveMessage { session_id, message }, origin: None });
                    Ok(())
                })
            })
            .await
    }
}

async fn session_row(
    db: &mut sqlx::SqliteConnection,
    user: UserId,
    session: SessionId,
) -> Result<Option<SessionRow>> {
    let row = sqlx::query_as(concat!(
        "select ",
        session_columns!(),
        " from session_users own join sessions s on s.session_id = own.session_id
         where own.session_id = $1 and own.user_id = $2 and own.left_at is null",
    ));
    Ok(row.bind(session).bind(user).fetch_optional(db).await?)
}
