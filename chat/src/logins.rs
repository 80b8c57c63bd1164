//! Logins: one per signed-in browser or program. The transport makes the token; only its hash gets here.

mod login;

use protocol::{Code, TimeStamp};

use crate::store::Store;
use crate::{Chat, Error, Result, audit};
pub use login::{Lock, Login, LoginId};

impl Chat {
    /// Stores a new login of a user who gave the password of `lock`; if they then have too many, the least recently
    /// used one ends, and its sockets are closed. Returns false, and stores nothing, if the identifier already exists.
    ///
    /// # Errors
    /// [`protocol::Code::WrongPassword`] if the account's password has changed since; the database failed.
    pub async fn create_login(&self, id: LoginId, login: Login, lock: Lock) -> Result<bool> {
        let user = login.user_id;
        if !create(&self.0.store, id, login, lock).await? {
            return Ok(false);
        }
        let most = self.0.options.logins_per_user;
        // The new one counts already: what fails now is retried at the next login.
        match self.0.store.end_surplus_logins(user, id, most).await {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => {
                audit::logins_ended(user, ended.len());
                ended.into_iter().for_each(|login| self.0.live.revoke(login));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "too many logins were left");
            }
        }
        Ok(true)
    }

    /// Changes an existing login. A revoked one stays revoked: a request in flight during the logout must not bring it
    /// back.
    ///
    /// # Errors
    /// The database failed.
    pub async fn save_login(&self, id: LoginId, data: String, expires_at: TimeStamp) -> Result<()> {
        self.0.store.save_login(id, data, expires_at).await
    }

    /// Loads a login that has not expired.
    ///
    /// # Errors
    /// The database failed.
    pub async fn load_login(&self, id: LoginId) -> Result<Option<Login>> {
        self.0.store.load_login(id).await
    }

    /// Ends a login permanently and closes its sockets.
    ///
    /// # Errors
    /// The database failed.
    pub async fn revoke_login(&self, id: LoginId) -> Result<()> {
        self.0.store.revoke_login(id).await?;
        self.0.live.revoke(id);
        Ok(())
    }
}

/// Stores a login, unless the password has changed since it was given. Returns false if the identifier already exists.
pub(crate) async fn create(store: &Store, id: LoginId, login: Login, lock: Lock) -> Result<bool> {
    store
        .run(move |mut tx| {
            let login = login.clone();
            Box::pin(async move {
                let hash = tx.password_hash(login.user_id).await?;
                if hash.is_none_or(|hash| Lock::of(login.user_id, &hash) != lock) {
                    return Err(Error::refused(Code::WrongPassword));
                }
                tx.insert_login(id, login).await
            })
        })
        .await
}
