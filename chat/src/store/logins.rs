//! Rows and SQL for logins.

use std::collections::HashSet;

use protocol::{TimeStamp, UserId};

use super::Store;
use super::writer::Tx;
use crate::clock;
use crate::error::Result;
use crate::logins::{Login, LoginId};

pub(super) const LOGIN_USER: &str =
    "select u.user_id, u.username, l.last_used_at from logins l join users u on u.user_id = l.user_id
     where l.token_hash = $1 and l.expires_at > $2";

/// Logins in one question of [`Store::ended_logins`].
const LOGINS_AT_A_TIME: usize = 256;

/// After the first login, forgets where the account was created.
const SIGNED_IN: &str =
    "update users set registered_from = null where user_id = $1 and registered_from is not null";

impl Store {
    /// Changes a login; does nothing if it was revoked.
    pub(crate) async fn save_login(&self, id: LoginId, data: String, expires_at: TimeStamp) -> Result<()> {
        let now = clock::now();
        self.writer
            .run(move |tx| {
                let data = data.clone();
                Box::pin(async move {
                    let save =
                        "update logins set data = $2, expires_at = $3, last_used_at = $4 where token_hash = $1";
                    #[cfg(feature = "planted")]
                    let save = crate::planted::save(save);
                    sqlx::query(save)
                    .bind(id.0.as_slice())
                    .bind(data)
                    .bind(expires_at)
                    .bind(now)
                    .execute(tx.db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Loads a login that has not expired.
    pub(crate) async fn load_login(&self, id: LoginId) -> Result<Option<Login>> {
        let found: Option<(UserId, String, String, TimeStamp, String)> = sqlx::query_as(
            "select user_id, user_agent, ip, expires_at, data from logins where token_hash = $1 and expires_at > $2",
        )
        .bind(id.0.as_slice())
        .bind(clock::now())
        .fetch_optional(&self.read)
        .await?;
        Ok(found.map(|(user_id, user_agent, ip, expires_at, data)| Login {
            user_id,
            user_agent,
            ip,
            expires_at,
            data,
        }))
    }

    /// Returns a login's user, their name, and when the login was created or last changed.
    pub(crate) async fn login_user(&self, id: LoginId) -> Result<Option<(UserId, String, TimeStamp)>> {
        let found = sqlx::query_as(LOGIN_USER);
        Ok(found.bind(id.0.as_slice()).bind(clock::now()).fetch_optional(&self.read).await?)
    }

    /// Ends a login permanently.
    pub(crate) async fn revoke_login(&self, id: LoginId) -> Result<()> {
        self.writer
            .run(move |tx| {
                Box::pin(async move {
                    sqlx::query("delete from logins where token_hash = $1")
                        .bind(id.0.as_slice())
                        .execute(tx.db)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    /// Ends a user's least recently used logins, so that `most` remain, `new` among them. Returns those it ended.
    pub(crate) async fn end_surplus_logins(
        &self,
        user: UserId,
        new: LoginId,
        most: u32,
    ) -> Result<Vec<LoginId>> {
        let others = i64::from(most.saturating_sub(1));
        let ended: Vec<Vec<u8>> = self
            .writer
            .run(move |tx| {
                Box::pin(async move {
                    let ended = sqlx::query_scalar(
                        "delete from logins where token_hash in
                           (select token_hash from logins where user_id = $1 and token_hash <> $2
                            order by last_used_at desc, created_at desc limit 2147483647 offset $3)
                         returning token_hash",
                    )
                    .bind(user)
                    .bind(new.0.as_slice())
                    .bind(others)
                    .fetch_all(tx.db)
                    .await?;
                    Ok(ended)
                })
            })
            .await?;
        Ok(ended.into_iter().filter_map(|hash| hash.try_into().ok().map(LoginId)).collect())
    }

    /// Returns those of the given logins that have ended. Asks for some at a time: what SQLite makes of thousands in one
    /// question takes megabytes, which the process would keep.
    pub(crate) async fn ended_logins(&self, mut logins: HashSet<LoginId>) -> Result<HashSet<LoginId>> {
        let hex = |login: &LoginId| login.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let all: Vec<LoginId> = logins.iter().copied().collect();
        for some in all.chunks(LOGINS_AT_A_TIME) {
            let named: Vec<String> = some.iter().map(hex).collect();
            let live: Vec<Vec<u8>> = sqlx::query_scalar(
                "select token_hash from logins
                 where token_hash in (select unhex(value) from json_each($1)) and expires_at > $2",
            )
            .bind(serde_json::to_string(&named).expect("a list of texts"))
            .bind(clock::now())
            .fetch_all(&self.read)
            .await?;
            for hash in live {
                if let Ok(hash) = hash.try_into() {
                    logins.remove(&LoginId(hash));
                }
            }
        }
        Ok(logins)
    }
}

impl Tx<'_> {
    /// Returns the hash of a user's password; `None` if there is no such user.
    pub(crate) async fn password_hash(&mut self, user: UserId) -> Result<Option<String>> {
        let hash = sqlx::query_scalar("select password_hash from users where user_id = $1");
        Ok(hash.bind(user).fetch_optional(&mut *self.db).await?)
    }

    /// Stores a login. Returns false if the identifier already exists.
    pub(crate) async fn insert_login(&mut self, id: LoginId, login: Login) -> Result<bool> {
        let (now, Login { user_id, user_agent, ip, expires_at, data }) = (clock::now(), login);
        let made = sqlx::query(
            "insert into logins (token_hash, user_id, user_agent, ip, created_at, last_used_at, expires_at, data)
             values ($1, $2, $3, $4, $5, $5, $6, $7) on conflict (token_hash) do nothing",
        )
        .bind(id.0.as_slice())
        .bind(user_id)
        .bind(user_agent)
        .bind(ip)
        .bind(now)
        .bind(expires_at)
        .bind(data)
        .execute(&mut *self.db)
        .await?;
        sqlx::query(SIGNED_IN).bind(user_id).execute(&mut *self.db).await?;
        // A sign-in is rare enough to do the cleanup too.
        sqlx::query("delete from logins where expires_at <= $1").bind(now).execute(&mut *self.db).await?;
        Ok(made.rows_affected() == 1)
    }
}
