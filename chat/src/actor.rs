//! The proof of who acts.

use protocol::{TimeStamp, UserId};

use crate::{Chat, LoginId, Result};

/// Somebody who is signed in. Made only by [`Chat::actor`], so a method that takes one cannot be reached by a
/// transport that forgot to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    user_id: UserId,
    username: String,
    login: LoginId,
    renewed_at: TimeStamp,
}

impl Actor {
    /// Who it is.
    #[must_use]
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    /// Their name as they wrote it.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The login they act through.
    #[must_use]
    pub fn login(&self) -> LoginId {
        self.login
    }

    /// When the login was made or last changed.
    #[must_use]
    pub fn renewed_at(&self) -> TimeStamp {
        self.renewed_at
    }
}

impl Chat {
    /// Who acts through this login; `None` when it was revoked or has expired.
    ///
    /// # Errors
    /// The database failed.
    pub async fn actor(&self, login: LoginId) -> Result<Option<Actor>> {
        let found = self.0.store.login_user(login).await?;
        Ok(found.map(|(user_id, username, renewed_at)| Actor { user_id, username, login, renewed_at }))
    }
}
