//! Rows and SQL for sessions and their users.

use protocol::{Epoch, Head, Kind, Message, Rev, Seq, SessionId, TimeStamp, UserId};

use super::sql::{EARLIER, MESSAGE, read_seq};
use super::writer::Tx;
use super::{Store, brief};
use crate::sessions::View;
use crate::sessions::session::StoredSession;
use crate::{Result, clock};

/// A session as one of its users sees it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SessionRow {
    pub(crate) session_id: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) rev: Rev,
    pub(crate) last_seq: Seq,
    pub(crate) read_seq: Seq,
    #[sqlx(flatten)]
    pub(crate) view: View,
    kind: String,
    pub(crate) title: Option<String>,
    pub(crate) owner: Option<UserId>,
    pub(crate) began_at: TimeStamp,
}

impl SessionRow {
    pub(crate) fn kind(&self) -> Kind {
        kind(&self.kind)
    }
}

/// Returns the kind that the tables call by this name.
fn kind(name: &str) -> Kind {
    match name {
        PAIR => Kind::Pair,
        GROUP => Kind::Group,
        _ => Kind::Notes,
    }
}

const PAIR: &str = "Pair";
const GROUP: &str = "Group";

/// Where a user's sessions stand, and what the user may see of them.
pub(super) const SESSIONS_OF: &str = concat!(
    "select s.session_id, s.epoch, s.rev, own.joined_seq, ",
    EARLIER!(),
    " from session_users own join sessions s on s.session_id = own.session_id
     where own.user_id = $1 and own.left_at is null"
);

/// Materialized, so that the read position is computed once per session, not for everybody in it.
pub(super) const SESSIONS_WITH_USERS: &str = concat!(
    "with here as materialized (
         select s.session_id, s.epoch, s.rev, s.last_seq, own.joined_seq, ",
    EARLIER!(),
    ", ",
    read_seq!(),
    " as read_seq, s.kind, s.title, s.owner, s.created_at as began_at
         from session_users own join sessions s on s.session_id = own.session_id
         where own.user_id = $1 and own.left_at is null)
     select here.*, u.user_id, u.username from here
     join session_users other on other.session_id = here.session_id and other.left_at is null
     join users u on u.user_id = other.user_id order by here.session_id limit $2",
);

/// The sessions of a user in a snapshot: the most recently active, and the open one.
macro_rules! CHOSEN {
    () => {
        "chosen as materialized (
             select s.session_id, coalesce(
                 (select m.time_stamp from messages m where m.session_id = s.session_id and m.seq = s.last_seq
                      and m.seq > own.joined_seq), s.created_at) as at
             from session_users own join sessions s on s.session_id = own.session_id
             where own.user_id = $1 and own.left_at is null order by at desc, s.session_id desc limit $2)"
    };
}

pub(super) const CHOSEN_WITH_USERS: &str = concat!(
    "with ",
    CHOSEN!(),
    ", here as materialized (
         select s.session_id, s.epoch, s.rev, s.last_seq, own.joined_seq, ",
    EARLIER!(),
    ", ",
    read_seq!(),
    " as read_seq, s.kind, s.title, s.owner, s.created_at as began_at
         from (select session_id from chosen union select $3) c
         join session_users own on own.session_id = c.session_id and own.user_id = $1 and own.left_at is null
         join sessions s on s.session_id = own.session_id)
     select here.*, u.user_id, u.username from here
     join session_users other on other.session_id = here.session_id and other.left_at is null
     join users u on u.user_id = other.user_id order by here.session_id limit $4",
);

/// The newest message of each of these, as far as they fit: the most recent first.
pub(super) const CHOSEN_NEWEST: &str = concat!(
    "with ",
    CHOSEN!(),
    ", fits as (
         select session_id, seq, sum(size) over (
                order by at desc, session_id desc rows between unbounded preceding and 1 preceding) as before
         from (select c.session_id, c.at, m.seq, octet_length(m.data) + 280 as size from chosen c
               join session_users own on own.session_id = c.session_id and own.user_id = $1
               join sessions s on s.session_id = c.session_id
               join messages m on m.session_id = s.session_id and m.seq = s.last_seq and m.seq > own.joined_seq))
     select m.session_id, ",
    MESSAGE!(),
    " from fits cross join messages m on m.session_id = fits.session_id and m.seq = fits.seq
     where fits.before is null or fits.before <= $3",
);

pub(super) const USERS_IN: &str = "select u.user_id, u.username from session_users own
     join session_users other on other.session_id = own.session_id and other.left_at is null
     join users u on u.user_id = other.user_id
     where own.session_id = $1 and own.user_id = $2 and own.left_at is null";

/// Maximum size of a session's users and newest messages as JSON: an escaped text is twice as long. For somebody who
/// left and came back the newest messages they may see stand anywhere, and count as the longest.
pub(super) const WEIGHT: &str = "select
         (select count(*) * 640 from session_users other where other.session_id = $1 and other.left_at is null)
         + case when exists (select 1 from spans e where e.session_id = $1 and e.user_id = $2) then $3 * $4
           else coalesce((select sum(octet_length(m.data) * 2 + 280) from messages m
               where m.session_id = $1 and m.seq > max(own.joined_seq, s.last_seq - $3)), 0) end
     from session_users own join sessions s on s.session_id = own.session_id
     where own.session_id = $1 and own.user_id = $2 and own.left_at is null";

/// The longest message as JSON.
const LONGEST: i64 = protocol::text::MAX_MESSAGE_BYTES as i64 * 2 + 280;

/// Most rows of a snapshot: one per session and user in it, for more sessions than anybody has.
const ROWS: i64 = 50_000;

/// A session's users and its newest messages, oldest first.
pub(crate) type Loaded = (Vec<(UserId, String)>, Vec<Message>);

#[derive(sqlx::FromRow)]
struct Standing {
    session_id: SessionId,
    epoch: Epoch,
    rev: Rev,
    #[sqlx(flatten)]
    view: View,
}

#[derive(sqlx::FromRow)]
struct WithUser {
    #[sqlx(flatten)]
    session: SessionRow,
    user_id: UserId,
    username: String,
}

/// A row for each session and user in it.
type WithUsers = Vec<(SessionRow, UserId, String)>;

/// Omits a session that did not fit completely: with only some of its users it would be a different one.
fn whole(rows: Vec<WithUser>) -> WithUsers {
    let cut =
        (rows.len() as u64 >= ROWS.unsigned_abs()).then(|| rows.last().map(|row| row.session.session_id));
    if let Some(cut) = cut.flatten() {
        tracing::warn!(%cut, "a user has more sessions than can be told");
        return whole(rows.into_iter().filter(|row| row.session.session_id < cut).collect());
    }
    rows.into_iter().map(|row| (row.session, row.user_id, row.username)).collect()
}

impl Store {
    /// Returns where every session of a user stands, and what the user may see of it.
    pub(crate) async fn sessions_of(&self, user: UserId) -> Result<Vec<(SessionId, Head, View)>> {
        let mut db = self.read.acquire().await?;
        let query = sqlx::query_as(SESSIONS_OF).bind(user);
        let rows: Vec<Standing> = brief(query.fetch_all(&mut *db)).await?;
        let parts = |Standing { session_id, epoch, rev, view }| (session_id, Head { epoch, rev }, view);
        Ok(rows.into_iter().map(parts).collect())
    }

    /// Returns every session of a user with everybody in it, by session: a row for each of them. One statement, so that
    /// all of it is from one moment.
    pub(crate) async fn sessions_with_users(&self, user: UserId) -> Result<WithUsers> {
        let mut db = self.read.acquire().await?;
        let query = sqlx::query_as(SESSIONS_WITH_USERS).bind(user).bind(ROWS);
        Ok(whole(brief(query.fetch_all(&mut *db)).await?))
    }

    /// Does the same for the most recently active sessions, and for the open one if the user is in it.
    pub(crate) async fn chosen_with_users(
        &self,
        user: UserId,
        most: i64,
        open: Option<SessionId>,
    ) -> Result<WithUsers> {
        let mut db = self.read.acquire().await?;
        let query = sqlx::query_as(CHOSEN_WITH_USERS).bind(user).bind(most).bind(open).bind(ROWS);
        Ok(whole(brief(query.fetch_all(&mut *db)).await?))
    }

    /// Returns the newest message of each of these sessions, until they weigh `bytes`.
    pub(crate) async fn chosen_newest(
        &self,
        user: UserId,
        most: i64,
        bytes: i64,
    ) -> Result<Vec<(SessionId, Message)>> {
        let mut db = self.read.acquire().await?;
        let query = sqlx::query_as(CHOSEN_NEWEST).bind(user).bind(most).bind(bytes);
        let rows: Vec<super::messages::Keyed> = brief(query.fetch_all(&mut *db)).await?;
        Ok(rows.into_iter().map(super::messages::Keyed::split).collect())
    }

    /// Returns the maximum weight of a session's users and newest messages; `None` if the user is not in it.
    pub(crate) async fn weight(
        &self,
        user: UserId,
        session: SessionId,
        messages: i64,
    ) -> Result<Option<i64>> {
        let mut db = self.read.acquire().await?;
        let query = sqlx::query_scalar(WEIGHT).bind(session).bind(user).bind(messages).bind(LONGEST);
        brief(query.fetch_optional(&mut *db)).await
    }

    /// Returns everybody in a session and its newest messages; `None` if the user is not in it.
    pub(crate) async fn loaded(
        &self,
        user: UserId,
        session: SessionId,
        messages: i64,
    ) -> Result<Option<Loaded>> {
        let mut tx = self.read.begin().await?;
        let read = async {
            let users = sqlx::query_as(USERS_IN).bind(session).bind(user).fetch_all(&mut *tx).await?;
            let newest = super::messages::history(&mut tx, user, session, None, messages, usize::MAX).await?;
            Ok::<_, crate::Error>(newest.map(|newest| (users, newest.messages)))
        };
        brief(read).await
    }

    /// Moves a user's read marker forward, never back and never beyond the last message. Returns the marker if it
    /// moved.
    pub(crate) async fn mark_read(&self, user: UserId, session: SessionId, seq: Seq) -> Result<Option<Seq>> {
        self.writer.mark(user, session, seq).await
    }
}

impl Tx<'_> {
    /// Finds the session of a pair.
    pub(crate) async fn session_of_pair(&mut self, a: UserId, b: UserId) -> Result<Option<SessionId>> {
        let found = sqlx::query_scalar("select session_id from sessions where pair_key = $1");
        Ok(found.bind(pair_key(a, b)).fetch_optional(&mut *self.db).await?)
    }

    /// Counts a user's sessions, up to `most`.
    pub(crate) async fn count_sessions(&mut self, user: UserId, most: u32) -> Result<i64> {
        let count = sqlx::query_scalar(
            "select count(*) from (
                 select 1 from session_users where user_id = $1 and left_at is null limit $2) own",
        );
        Ok(count.bind(user).bind(most).fetch_one(&mut *self.db).await?)
    }

    /// Stores the session of a pair, with nobody in it yet.
    pub(crate) async fn insert_pair(&mut self, session: SessionId, (a, b): (UserId, UserId)) -> Result<()> {
        sqlx::query(
            "insert into sessions (session_id, kind, pair_key, title, last_seq, rev, epoch, created_at)
             values ($1, $2, $3, null, 0, 0, $4, $5)",
        )
        .bind(session)
        .bind(PAIR)
        .bind(pair_key(a, b))
        .bind(Epoch::new())
        .bind(clock::now())
        .execute(&mut *self.db)
        .await?;
        Ok(())
    }

    /// Stores a group, with nobody in it yet.
    pub(crate) async fn insert_group(&mut self, session: SessionId, title: &str, by: UserId) -> Result<()> {
        sqlx::query(
            "insert into sessions (session_id, kind, title, owner, began_by, last_seq, rev, epoch, created_at)
             values ($1, $2, $3, $4, $4, 0, 0, $5, $6)",
        )
        .bind(session)
        .bind(GROUP)
        .bind(title)
        .bind(by)
        .bind(Epoch::new())
        .bind(clock::now())
        .execute(&mut *self.db)
        .await?;
        Ok(())
    }

    /// Gives a group another owner, or none if nobody is in it.
    pub(crate) async fn set_owner(&mut self, session: SessionId, owner: Option<UserId>) -> Result<()> {
        let change = sqlx::query("update sessions set owner = $2 where session_id = $1");
        change.bind(session).bind(owner).execute(&mut *self.db).await?;
        Ok(())
    }

    /// Gives a group another name.
    pub(crate) async fn rename(&mut self, session: SessionId, title: &str) -> Result<()> {
        let change = sqlx::query("update sessions set title = $2 where session_id = $1");
        change.bind(session).bind(title).execute(&mut *self.db).await?;
        Ok(())
    }

    /// Finds a session.
    pub(crate) async fn session(&mut self, session_id: SessionId) -> Result<Option<StoredSession>> {
        type Row = (Epoch, Rev, Seq, String, Option<String>, Option<UserId>, Option<UserId>, TimeStamp);
        let row: Option<Row> = sqlx::query_as(
            "select epoch, rev, last_seq, kind, title, owner, began_by, created_at from sessions
             where session_id = $1",
        )
        .bind(session_id)
        .fetch_optional(&mut *self.db)
        .await?;
        Ok(row.map(|(epoch, rev, last_seq, name, title, owner, began_by, began_at)| StoredSession {
            session_id,
            head: Head { epoch, rev },
            last_seq,
            kind: kind(&name),
            title,
            owner,
            began_by,
            began_at,
        }))
    }
}

/// Makes one key for a pair, in either order.
fn pair_key(a: UserId, b: UserId) -> String {
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    format!("{first} {second}")
}
