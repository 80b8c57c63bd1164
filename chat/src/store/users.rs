//! Rows and SQL for users.

use protocol::{Presence, TimeStamp, UserId};

use super::Store;
use super::names::{self, Taken};
use crate::name::Sought;
use crate::{Result, Username, clock};

/// SQLite leaves this number to the application (sqlite.org/pragma.html#pragma_user_version).
const COUNT: &str = "pragma user_version";

/// Forgets where users registered from who have not signed in since, once that is long ago.
pub(super) const FORGET_NETWORKS: &str =
    "update users set registered_from = null where registered_from is not null and created_at < $1";

/// In milliseconds.
const HOUR: i64 = 60 * 60 * 1000;

/// A user as stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct UserRow {
    pub(crate) user_id: UserId,
    pub(crate) username: String,
    pub(crate) password_hash: String,
}

impl Store {
    /// Creates a user, Offline, unless the name is taken. The network they registered from is kept until their first
    /// login, or until another registration more than an hour later.
    pub(crate) async fn create_user(
        &self,
        name: &Username,
        password_hash: String,
        from: Option<String>,
    ) -> Result<std::result::Result<UserId, Taken>> {
        let (user_id, now) = (UserId::new(), clock::now());
        let name = name.clone();
        self.writer
            .run(move |tx| {
                let (name, password_hash, from) = (name.clone(), password_hash.clone(), from.clone());
                Box::pin(async move {
                    if let Some(taken) = names::taken(tx.db, name.key(), name.skeleton()).await? {
                        return Ok(Err(taken));
                    }
                    sqlx::query(
                        "insert into users (user_id, username, username_key, password_hash, status, last_seen, created_at, registered_from)
                         values ($1, $2, $3, $4, 'Offline', $5, $5, $6)",
                    )
                    .bind(user_id)
                    .bind(name.as_str())
                    .bind(name.key())
                    .bind(password_hash)
                    .bind(now)
                    .bind(from)
                    .execute(&mut *tx.db)
                    .await?;
                    names::keep_skeleton(tx.db, name.skeleton(), user_id).await?;
                    sqlx::query(FORGET_NETWORKS).bind(now.0 - HOUR).execute(tx.db).await?;
                    Ok(Ok(user_id))
                })
            })
            .await
    }

    /// Looks up a user by name. An account that kept its earlier key comes first: its name is still its own.
    pub(crate) async fn user_named(&self, sought: &Sought) -> Result<Option<UserRow>> {
        let user = sqlx::query_as(
            "select user_id, username, password_hash from users where user_id = coalesce(
                 (select user_id from earlier_keys where username_key = $1),
                 (select user_id from users where username_key = $2))",
        );
        Ok(user.bind(&sought.earlier).bind(&sought.key).fetch_optional(&self.read).await?)
    }

    /// Replaces this hash with another of the same password; the logins stay. Returns false if it is no longer the
    /// user's hash.
    pub(crate) async fn renew_password_hash(&self, user: UserId, old: &str, new: &str) -> Result<bool> {
        let (old, new) = (old.to_owned(), new.to_owned());
        self.writer
            .run(move |tx| {
                let (old, new) = (old.clone(), new.clone());
                Box::pin(async move {
                    let renewed = sqlx::query(
                        "update users set password_hash = $3 where user_id = $1 and password_hash = $2",
                    );
                    let renewed = renewed.bind(user).bind(old).bind(new).execute(tx.db).await?;
                    Ok(renewed.rows_affected() == 1)
                })
            })
            .await
    }

    /// Returns from which network and when a user registered who has not signed in since.
    pub(crate) async fn never_signed_in(&self, user: UserId) -> Result<Option<(String, TimeStamp)>> {
        let row = sqlx::query_as(
            "select registered_from, created_at from users where user_id = $1 and registered_from is not null",
        );
        Ok(row.bind(user).fetch_optional(&self.read).await?)
    }

    /// Backdates every account by this many milliseconds.
    #[cfg(test)]
    pub(crate) async fn made_earlier(&self, by: i64) {
        let done = self.writer.run(move |tx| {
            let earlier = sqlx::query("update users set created_at = created_at - $1").bind(by);
            Box::pin(async move { Ok(earlier.execute(tx.db).await.map(drop)?) })
        });
        done.await.expect("the database is whole");
    }

    /// Sets a password and ends every login of the user.
    pub(crate) async fn set_password(&self, user: UserId, password_hash: String) -> Result<()> {
        self.writer
            .run(move |tx| {
                let password_hash = password_hash.clone();
                Box::pin(async move {
                    sqlx::query(
                        "update users set password_hash = $2, registered_from = null where user_id = $1",
                    )
                    .bind(user)
                    .bind(password_hash)
                    .execute(&mut *tx.db)
                    .await?;
                    sqlx::query("delete from logins where user_id = $1")
                        .bind(user)
                        .execute(&mut *tx.db)
                        .await?;
                    // Signals a server in another process, which polls for it: see `revocations`.
                    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *tx.db).await?;
                    let next = count.wrapping_add(1) & i64::from(i32::MAX);
                    let raise = format!("pragma user_version = {next}");
                    sqlx::query(sqlx::AssertSqlSafe(raise)).execute(tx.db).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Returns how often all logins of a user were ended, by any process: a number in the header of the database file,
    /// which costs next to nothing to read.
    pub(crate) async fn revocations(&self) -> Result<i64> {
        Ok(sqlx::query_scalar(COUNT).fetch_one(&self.read).await?)
    }

    /// Records who came online and who went offline.
    pub(crate) async fn set_status(&self, edges: &[(UserId, Presence)]) -> Result<()> {
        let now = clock::now();
        let edges = json(edges.iter().map(|(user, status)| (hex(*user), status_name(*status))));
        self.writer
            .run(move |tx| {
                let edges = edges.clone();
                Box::pin(async move {
                    sqlx::query(
                        "update users set status = j.value ->> 1, last_seen = $2
                         from json_each($1) j where user_id = unhex(j.value ->> 0)",
                    )
                    .bind(edges)
                    .bind(now)
                    .execute(tx.db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Sets everybody Offline at the start: what a crash left behind must not show as Online.
    pub(super) async fn everybody_offline(&self) -> sqlx::Result<()> {
        let done = self.writer.run(|tx| {
            Box::pin(async move {
                sqlx::query("update users set status = 'Offline' where status <> 'Offline'")
                    .execute(tx.db)
                    .await?;
                Ok(())
            })
        });
        match done.await {
            Err(crate::Error::Database(error)) => Err(error),
            Err(_) => Err(sqlx::Error::WorkerCrashed),
            Ok(()) => Ok(()),
        }
    }

    /// Returns everybody who shares a session with one of these users: pairs of that user and the other.
    pub(crate) async fn acquaintances(&self, of: &[UserId]) -> Result<Vec<(UserId, UserId)>> {
        let users = sqlx::query_as(
            "select distinct own.user_id, other.user_id from json_each($1) j
             join session_users own on own.user_id = unhex(j.value) and own.left_at is null
             join session_users other on other.session_id = own.session_id
             where other.left_at is null and other.user_id <> own.user_id",
        );
        Ok(users.bind(json(of.iter().map(|user| hex(*user)))).fetch_all(&self.read).await?)
    }
}

fn hex(user: UserId) -> String {
    user.0.simple().to_string()
}

fn json(values: impl Iterator<Item = impl serde::Serialize>) -> String {
    serde_json::to_string(&values.collect::<Vec<_>>()).expect("texts only")
}

fn status_name(status: Presence) -> &'static str {
    match status {
        Presence::Online => "Online",
        Presence::Offline => "Offline",
    }
}
