//! Rows and SQL for invitations. Who may invite whom is decided by [`crate::invites`].

use protocol::{Answer, InviteId, SessionId, TimeStamp, UserId};

use super::Store;
use super::writer::Tx;
use crate::clock;
use crate::error::Result;
use crate::invites::invite::{Invite, PENDING, status_of};

/// Invitations of one user since some time that were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Lately {
    /// All of them, and how often the user learned that somebody is away.
    pub(crate) all: i64,
    /// Those to one person.
    pub(crate) same: i64,
}

/// Counts a user's open invitations.
pub(super) const OPEN_OF: &str = "select count(*) from invites where from_user = $1 and status = 'Pending'";

/// Counts a user's recent invitations that were not accepted, plus how often they learned that a person is away; and of
/// the former, those to one person. Rows that a wrong clock dated into the future do not count.
pub(super) const LATELY: &str =
    "select count(*) as \"all\", count(case when to_user = $2 and status <> 'Offline' then 1 end) as same
     from invites
     where from_user = $1 and created_at > $3 and created_at <= $4 and status <> 'Accepted'";

/// Counts the open invitations for a user.
pub(super) const WAITING_FOR: &str = "select count(*) from invites where to_user = $1 and status = 'Pending'";

/// Forgets whom a user learned to be away once that no longer counts; and checks whether they learned it recently.
pub(super) const FORGET_LOOKS: &str = "delete from invites
     where from_user = $1 and created_at <= $2 and status <> 'Accepted' and status = 'Offline'";
pub(super) const LOOKED: &str = "select count(*) from invites
     where from_user = $1 and created_at > $3 and created_at <= $4 and status <> 'Accepted' and status = 'Offline'
     and to_user = $2";

macro_rules! invite {
    ($rest:literal) => {
        concat!(
            "select i.invite_id, i.from_user, f.username as from_name, i.to_user, t.username as to_name,
                    i.session_id, i.status
             from invites i join users f on f.user_id = i.from_user join users t on t.user_id = i.to_user ",
            $rest
        )
    };
}

impl Store {
    /// Returns a user's open invitations, oldest first: those that wait for this user's answer, and this user's own
    /// that wait for another's.
    pub(crate) async fn invitations(&self, user: UserId) -> Result<(Vec<Invite>, Vec<Invite>)> {
        let rows: Vec<Invite> = sqlx::query_as(concat!(
            invite!("where i.to_user = $1 and i.status = 'Pending'"),
            " union all ",
            invite!("where i.from_user = $1 and i.status = 'Pending'"),
            " order by 1",
        ))
        .bind(user)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().partition(|row| row.to_user == user))
    }

    /// Backdates every invitation by this many milliseconds.
    #[cfg(test)]
    pub(crate) async fn invited_earlier(&self, by: i64) {
        let done = self.run(move |tx| {
            let earlier = sqlx::query("update invites set created_at = created_at - $1").bind(by);
            Box::pin(async move { Ok(earlier.execute(tx.db).await.map(drop)?) })
        });
        done.await.expect("the database is whole");
    }

    /// Counts the notes that somebody learned that another is away.
    #[cfg(test)]
    pub(crate) async fn looks(&self) -> i64 {
        let looks = sqlx::query_scalar("select count(*) from invites where status = 'Offline'");
        looks.fetch_one(&self.read).await.expect("the database is whole")
    }
}

impl Tx<'_> {
    /// Finds an invitation.
    pub(crate) async fn invite(&mut self, invite: InviteId) -> Result<Option<Invite>> {
        let row = sqlx::query_as(invite!("where i.invite_id = $1"));
        Ok(row.bind(invite).fetch_optional(&mut *self.db).await?)
    }

    /// Finds the open invitation of one user to another for a session of their own.
    pub(crate) async fn open_between(&mut self, from: UserId, to: UserId) -> Result<Option<Invite>> {
        let row = sqlx::query_as(invite!(
            "where i.from_user = $1 and i.to_user = $2 and i.session_id is null and i.status = 'Pending'"
        ));
        Ok(row.bind(from).bind(to).fetch_optional(&mut *self.db).await?)
    }

    /// Finds the open invitation of a user into a session, whoever made it.
    pub(crate) async fn open_into(&mut self, session: SessionId, to: UserId) -> Result<Option<Invite>> {
        let row =
            sqlx::query_as(invite!("where i.session_id = $1 and i.to_user = $2 and i.status = 'Pending'"));
        Ok(row.bind(session).bind(to).fetch_optional(&mut *self.db).await?)
    }

    /// Finds the open invitations into a session that a user made or has.
    pub(crate) async fn open_of(&mut self, session: SessionId, user: UserId) -> Result<Vec<Invite>> {
        let rows = sqlx::query_as(invite!(
            "where i.session_id = $1 and (i.from_user = $2 or i.to_user = $2) and i.status = 'Pending'"
        ));
        Ok(rows.bind(session).bind(user).fetch_all(&mut *self.db).await?)
    }

    /// Counts a user's own open invitations.
    pub(crate) async fn count_open_of(&mut self, from: UserId) -> Result<i64> {
        Ok(sqlx::query_scalar(OPEN_OF).bind(from).fetch_one(&mut *self.db).await?)
    }

    /// Counts the open invitations that wait for a user.
    pub(crate) async fn count_open_for(&mut self, to: UserId) -> Result<i64> {
        Ok(sqlx::query_scalar(WAITING_FOR).bind(to).fetch_one(&mut *self.db).await?)
    }

    /// Counts a user's invitations of the last `within` milliseconds that were not accepted.
    pub(crate) async fn lately(&mut self, from: UserId, to: UserId, within: i64) -> Result<Lately> {
        let now = clock::now();
        let lately = sqlx::query_as(LATELY).bind(from).bind(to).bind(now.0 - within).bind(now);
        Ok(lately.fetch_one(&mut *self.db).await?)
    }

    /// Whether a user learned in the last `within` milliseconds that another is away.
    pub(crate) async fn has_looked(&mut self, from: UserId, to: UserId, within: i64) -> Result<bool> {
        let now = clock::now();
        let looked = sqlx::query_scalar(LOOKED).bind(from).bind(to).bind(now.0 - within).bind(now);
        let looked: i64 = looked.fetch_one(&mut *self.db).await?;
        Ok(looked > 0)
    }

    /// Notes that a user learned that another is away.
    pub(crate) async fn note_look(&mut self, from: UserId, to: UserId) -> Result<()> {
        self.insert_row(InviteId::new(), from, to, None, "Offline").await
    }

    /// Forgets whom a user learned to be away more than `within` milliseconds ago.
    pub(crate) async fn forget_looks(&mut self, from: UserId, within: i64) -> Result<()> {
        let TimeStamp(now) = clock::now();
        sqlx::query(FORGET_LOOKS).bind(from).bind(now - within).execute(&mut *self.db).await?;
        Ok(())
    }

    /// Stores a new invitation.
    pub(crate) async fn insert_invite(&mut self, new: &Invite) -> Result<()> {
        self.insert_row(new.invite_id, new.from_user, new.to_user, new.session_id, PENDING).await
    }

    async fn insert_row(
        &mut self,
        id: InviteId,
        from: UserId,
        to: UserId,
        session: Option<SessionId>,
        status: &str,
    ) -> Result<()> {
        sqlx::query(
            "insert into invites (invite_id, from_user, to_user, session_id, status, created_at, answered_at)
             values ($1, $2, $3, $4, $5, $6, null)",
        )
        .bind(id)
        .bind(from)
        .bind(to)
        .bind(session)
        .bind(status)
        .bind(clock::now())
        .execute(&mut *self.db)
        .await?;
        Ok(())
    }

    /// Ends an open invitation.
    pub(crate) async fn end_invite(&mut self, invite: InviteId, answer: Answer) -> Result<()> {
        sqlx::query("update invites set status = $2, answered_at = $3 where invite_id = $1")
            .bind(invite)
            .bind(status_of(answer))
            .bind(clock::now())
            .execute(&mut *self.db)
            .await?;
        Ok(())
    }
}
