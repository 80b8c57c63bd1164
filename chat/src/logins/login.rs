//! A login and its keys, as the store holds them.

use std::fmt;

use protocol::{TimeStamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
