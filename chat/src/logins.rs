//! Logins: one per signed-in browser or program. The transport makes the token; only its hash gets here.

use std::fmt;

use protocol::{TimeStamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Chat, Result, audit};

/// Names a login: the SHA-256 of its token. A thief of the database cannot sign in with what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoginId(pub(crate) [u8; 32]);

impl LoginId {
    /// Returns the login that this token belongs to.
    #[must_use]
    pub fn of_token(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginId({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A login as stored.
#[derive(Debug, Clone)]
pub struct Login {
    /// Who is signed in.
    pub user_id: UserId,
    /// The browser's or program's user agent.
    pub user_agent: String,
    /// The address it signed in from.
    pub ip: String,
    /// When it expires unless used again.
    pub expires_at: TimeStamp,
    /// What the transport stores with it.
    pub data: String,
}

/// An account and its current password: a new password makes another lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lock([u8; 32]);

impl Lock {
    pub(crate) fn of(user: UserId, password_hash: &str) -> Self {
        Self(Sha256::new().chain_update(user.0).chain_update(password_hash).finalize().into())
    }
}

impl Chat {
    /// Stores a new login of a user who gave the password of `lock`; if they then have too many, the least recently
    /// used one ends, and its sockets are closed. Returns false, and stores nothing, if the identifier already exists.
    ///
    /// # Errors
    /// [`protocol::Code::WrongPassword`] if the account's password has changed since; the database failed.
    pub async fn create_login(&self, id: LoginId, login: Login, lock: Lock) -> Result<bool> {
        let user = login.user_id;
        if !self.0.store.create_login(id, login, lock).await? {
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
