//! Rows and SQL for sessions and who is in them.

use std::collections::BTreeMap;

use protocol::{Epoch, Head, Message, Rev, Seq, SessionId, UserId};
use sqlx::SqliteConnection;

use super::messages::MESSAGE;
use super::writer::Tx;
use super::{Event, Store};
use crate::{Result, clock};

/// A session as one of its users sees it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SessionRow {
    pub(crate) session_id: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) rev: Rev,
    pub(crate) last_seq: Seq,
    pub(crate) joined_seq: Seq,
    pub(crate) read_seq: Seq,
}

/// How far a user has read, of `sessions s join session_users own`: as far as they said, or up to the newest message of
/// their own after that. To note it with every message would cost as much as the message. Looked for among the last
/// thousand only: who has not said anything for that long was told of more that is new than anybody counts. (One lower
/// bound, because SQLite seeks to one and reads past the other.)
macro_rules! read_seq {
    () => {
        "coalesce((select m.seq from messages m where m.session_id = s.session_id
                       and m.seq > max(own.read_seq, s.last_seq - 1000) and m.sender_id = own.user_id
                   order by m.seq desc limit 1), own.read_seq)"
    };
}
pub(super) use read_seq;

/// Where a user's sessions stand, and after which place they are theirs to see.
pub(super) const SESSIONS_OF: &str = "select s.session_id, s.epoch, s.rev, own.joined_seq
     from session_users own join sessions s on s.session_id = own.session_id
     where own.user_id = $1 and own.left_at is null";

/// Materialized, so that it is looked how far the user has read once for each session, not for everybody in it.
pub(super) const SESSIONS_WITH_USERS: &str = concat!(
    "with here as materialized (
         select s.session_id, s.epoch, s.rev, s.last_seq, own.joined_seq, ",
    read_seq!(),
    " as read_seq
         from session_users own join sessions s on s.session_id = own.session_id
         where own.user_id = $1 and own.left_at is null)
     select here.*, u.user_id, u.username from here
     join session_users other on other.session_id = here.session_id and other.left_at is null
     join users u on u.user_id = other.user_id order by here.session_id",
);

pub(super) const USERS_AROUND: &str = "select other.session_id, u.user_id, u.username from session_users own
     join session_users other on other.session_id = own.session_id and other.left_at is null
     join users u on u.user_id = other.user_id
     where own.user_id = $1 and own.left_at is null";

pub(super) const NEWEST: &str = concat!(
    "select m.session_id, ",
    MESSAGE!(),
    " from session_users own join sessions s on s.session_id = own.session_id
     join messages m on m.session_id = s.session_id and m.seq > max(own.joined_seq, s.last_seq - $2)
     where own.user_id = $1 and own.left_at is null order by m.session_id, m.seq",
);

impl Store {
    /// Where every session of a user stands, and after which place it is theirs to see.
    pub(crate) async fn sessions_of(&self, user: UserId) -> Result<Vec<(SessionId, Head, Seq)>> {
        let rows: Vec<(SessionId, Epoch, Rev, Seq)> =
            sqlx::query_as(SESSIONS_OF).bind(user).fetch_all(&self.read).await?;
        Ok(rows.into_iter().map(|(id, epoch, rev, joined)| (id, Head { epoch, rev }, joined)).collect())
    }

    /// Every session of a user with everybody in it, by session: a row for each of them. One statement, so that all
    /// of it is of one moment.
    pub(crate) async fn sessions_with_users(
        &self,
        user: UserId,
    ) -> Result<Vec<(SessionRow, UserId, String)>> {
        #[derive(sqlx::FromRow)]
        struct Row {
            #[sqlx(flatten)]
            session: SessionRow,
            user_id: UserId,
            username: String,
        }
        let rows: Vec<Row> = sqlx::query_as(SESSIONS_WITH_USERS).bind(user).fetch_all(&self.read).await?;
        Ok(rows.into_iter().map(|row| (row.session, row.user_id, row.username)).collect())
    }

    /// Everybody in the sessions of a user, with their names.
    pub(crate) async fn users_around(&self, user: UserId) -> Result<Vec<(SessionId, UserId, String)>> {
        let rows = sqlx::query_as(USERS_AROUND);
        Ok(rows.bind(user).fetch_all(&self.read).await?)
    }

    /// The newest messages of every session of a user, by place: at most `each` of each. Places have no holes,
    /// so "the newest" is a range of them.
    pub(crate) async fn newest(&self, user: UserId, each: i64) -> Result<Vec<(SessionId, Message)>> {
        let rows: Vec<super::messages::Keyed> =
            sqlx::query_as(NEWEST).bind(user).bind(each).fetch_all(&self.read).await?;
        Ok(rows.into_iter().map(super::messages::Keyed::split).collect())
    }

    /// Moves a user's read marker forward, never back and never beyond the last message.
    /// Returns the marker when it moved.
    pub(crate) async fn mark_read(&self, user: UserId, session: SessionId, seq: Seq) -> Result<Option<Seq>> {
        self.writer.mark(user, session, seq).await
    }
}

/// The session of a pair, if they have one.
pub(super) async fn of_pair(db: &mut SqliteConnection, a: UserId, b: UserId) -> Result<Option<SessionId>> {
    let found = sqlx::query_scalar("select session_id from sessions where pair_key = $1");
    Ok(found.bind(pair_key(a, b)).fetch_optional(db).await?)
}

/// Whether the user is in the session.
pub(super) async fn has_user(db: &mut SqliteConnection, session: SessionId, user: UserId) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "select 1 from session_users where session_id = $1 and user_id = $2 and left_at is null",
    )
    .bind(session)
    .bind(user)
    .fetch_optional(db)
    .await?;
    Ok(found.is_some())
}

/// Begins the session of a pair and announces it.
pub(super) async fn begin(tx: &mut Tx<'_>, a: UserId, b: UserId) -> Result<SessionId> {
    let (session_id, epoch) = (SessionId::new(), Epoch::new());
    sqlx::query(
        "insert into sessions (session_id, pair_key, title, last_seq, rev, epoch, created_at)
         values ($1, $2, null, 0, 0, $3, $4)",
    )
    .bind(session_id)
    .bind(pair_key(a, b))
    .bind(epoch)
    .bind(clock::now())
    .execute(&mut *tx.db)
    .await?;
    for user in [a, b] {
        add_user(tx.db, session_id, user).await?;
    }
    announce(tx, session_id, vec![a, b]).await?;
    Ok(session_id)
}

/// Takes a further user into a session and announces it. From then on it is no pair's session any more, so the
/// pair may begin one of their own again.
pub(super) async fn join(tx: &mut Tx<'_>, session: SessionId, user: UserId) -> Result<()> {
    add_user(tx.db, session, user).await?;
    sqlx::query("update sessions set pair_key = null where session_id = $1")
        .bind(session)
        .execute(&mut *tx.db)
        .await?;
    announce(tx, session, vec![user]).await
}

/// What was said before somebody came is not theirs to see.
async fn add_user(db: &mut SqliteConnection, session: SessionId, user: UserId) -> Result<()> {
    sqlx::query(
        "insert into session_users (session_id, user_id, joined_seq, read_seq, left_at)
         select session_id, $2, last_seq, last_seq, null from sessions where session_id = $1",
    )
    .bind(session)
    .bind(user)
    .execute(db)
    .await?;
    Ok(())
}

async fn announce(tx: &mut Tx<'_>, session_id: SessionId, joined: Vec<UserId>) -> Result<()> {
    let (epoch, rev, last_seq) =
        sqlx::query_as("select epoch, rev, last_seq from sessions where session_id = $1")
            .bind(session_id)
            .fetch_one(&mut *tx.db)
            .await?;
    let users: Vec<(UserId, String)> = sqlx::query_as(
        "select u.user_id, u.username from session_users su join users u on u.user_id = su.user_id
         where su.session_id = $1 and su.left_at is null",
    )
    .bind(session_id)
    .fetch_all(&mut *tx.db)
    .await?;
    let users: BTreeMap<_, _> = users.into_iter().collect();
    tx.announce(Event::Opened { session_id, head: Head { epoch, rev }, last_seq, users, joined });
    Ok(())
}

/// One text for a pair, whichever of them asks.
fn pair_key(a: UserId, b: UserId) -> String {
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    format!("{first} {second}")
}
