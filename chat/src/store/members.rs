//! Rows and SQL for who is in a session, who was, and what they may see of it.

use std::collections::BTreeMap;

use protocol::{Seq, SessionId, UserId};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow as _, Row as _, SqliteConnection};

use super::sql::EARLIER;
use super::writer::Tx;
use crate::sessions::View;
use crate::{Result, clock};

/// What a user may see of a session, and its last message.
pub(super) const VIEW: &str = concat!(
    "select s.last_seq, own.joined_seq, ",
    EARLIER!(),
    " from session_users own join sessions s on s.session_id = own.session_id
     where own.session_id = $1 and own.user_id = $2 and own.left_at is null"
);

impl<'r> sqlx::FromRow<'r, SqliteRow> for View {
    fn from_row(row: &'r SqliteRow) -> sqlx::Result<Self> {
        let earlier: &str = row.try_get("earlier")?;
        let earlier: Vec<(i64, i64)> =
            serde_json::from_str(earlier).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let earlier = earlier.into_iter().map(|(after, up_to)| (Seq(after), Seq(up_to))).collect();
        Ok(Self::new(row.try_get("joined_seq")?, earlier))
    }
}

/// A user's place in a session that they are or were in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Stay {
    pub(crate) is_in: bool,
    pub(crate) is_removed: bool,
}

/// Returns the place of a session's last message, and what the user may see of it; `None` if they are not in it.
pub(super) async fn last_seen(
    db: &mut SqliteConnection,
    user: UserId,
    session: SessionId,
) -> Result<Option<(Seq, View)>> {
    let row = sqlx::query(VIEW).bind(session).bind(user).fetch_optional(db).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((row.try_get("last_seq")?, View::from_row(&row)?))).transpose()?)
}

impl Tx<'_> {
    /// Whether the user is in the session.
    pub(crate) async fn is_in(&mut self, session: SessionId, user: UserId) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "select 1 from session_users where session_id = $1 and user_id = $2 and left_at is null",
        )
        .bind(session)
        .bind(user)
        .fetch_optional(&mut *self.db)
        .await?;
        Ok(found.is_some())
    }

    /// Returns a user's place in a session, also when they have left it.
    pub(crate) async fn stay(&mut self, session: SessionId, user: UserId) -> Result<Option<Stay>> {
        let found = sqlx::query_as(
            "select left_at is null as is_in, removed_at is not null as is_removed from session_users
             where session_id = $1 and user_id = $2",
        );
        Ok(found.bind(session).bind(user).fetch_optional(&mut *self.db).await?)
    }

    /// Returns what a user may see of a session that they are in.
    pub(crate) async fn view(&mut self, session: SessionId, user: UserId) -> Result<Option<View>> {
        Ok(sqlx::query_as(VIEW).bind(session).bind(user).fetch_optional(&mut *self.db).await?)
    }

    /// Finds who has been in a session longest without leaving it.
    pub(crate) async fn longest_in(&mut self, session: SessionId) -> Result<Option<UserId>> {
        let found = sqlx::query_scalar(
            "select user_id from session_users where session_id = $1 and left_at is null
             order by joined_seq, user_id limit 1",
        );
        Ok(found.bind(session).fetch_optional(&mut *self.db).await?)
    }

    /// Ends a user's stay: what they saw until now is all they will see of it.
    pub(crate) async fn end_stay(&mut self, session: SessionId, user: UserId) -> Result<()> {
        sqlx::query(
            "insert into spans (session_id, user_id, after_seq, until_seq)
             select own.session_id, own.user_id, own.joined_seq, s.last_seq
             from session_users own join sessions s on s.session_id = own.session_id
             where own.session_id = $1 and own.user_id = $2 and own.joined_seq < s.last_seq",
        )
        .bind(session)
        .bind(user)
        .execute(&mut *self.db)
        .await?;
        sqlx::query("update session_users set left_at = $3 where session_id = $1 and user_id = $2")
            .bind(session)
            .bind(user)
            .bind(clock::now())
            .execute(&mut *self.db)
            .await?;
        Ok(())
    }

    /// Notes that a user was removed.
    pub(crate) async fn note_removed(&mut self, session: SessionId, user: UserId) -> Result<()> {
        sqlx::query("update session_users set removed_at = $3 where session_id = $1 and user_id = $2")
            .bind(session)
            .bind(user)
            .bind(clock::now())
            .execute(&mut *self.db)
            .await?;
        Ok(())
    }

    /// Adds a user, who may not see what is said while they are not in it.
    pub(crate) async fn add_user(&mut self, session: SessionId, user: UserId) -> Result<()> {
        sqlx::query(
            "insert into session_users (session_id, user_id, joined_seq, read_seq, left_at)
             select session_id, $2, last_seq, last_seq, null from sessions where session_id = $1
             on conflict (session_id, user_id) do update set joined_seq = excluded.joined_seq,
                 read_seq = excluded.read_seq, left_at = null, removed_at = null",
        )
        .bind(session)
        .bind(user)
        .execute(&mut *self.db)
        .await?;
        Ok(())
    }

    /// Returns everybody in a session, with their names.
    pub(crate) async fn users_in(&mut self, session: SessionId) -> Result<BTreeMap<UserId, String>> {
        let users: Vec<(UserId, String)> = sqlx::query_as(
            "select u.user_id, u.username from session_users su join users u on u.user_id = su.user_id
             where su.session_id = $1 and su.left_at is null",
        )
        .bind(session)
        .fetch_all(&mut *self.db)
        .await?;
        Ok(users.into_iter().collect())
    }
}
