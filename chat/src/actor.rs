//! Proof of who is acting.

use protocol::{TimeStamp, UserId};

use crate::{Chat, LoginId, Result};

/// A signed-in user. Only [`Chat::actor`] makes one, so a transport that forgot to authenticate cannot call a method
/// that takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    user_id: UserId,
    username: String,
    login: LoginId,
    renewed_at: TimeStamp,
}

impl Actor {
    /// Returns the user.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Returns their name as they wrote it.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Returns the login they act through.
    #[must_use]
    pub fn login(&self) -> LoginId {
        self.login
    }

    /// Returns when the login was created or last changed.
    #[must_use]
    pub fn renewed_at(&self) -> TimeStamp {
        self.renewed_at
    }
}

impl Chat {
    /// Returns who acts through this login; `None` if it was revoked or has expired.
    ///
    /// # Errors
    /// The database failed.
    pub async fn actor(&self, login: LoginId) -> Result<Option<Actor>> {
        let found = self.0.store.login_user(login).await?;
        Ok(found.map(|(user_id, username, renewed_at)| Actor { user_id, username, login, renewed_at }))
    }
}
