//! How much each address and each user has open.

use std::net::IpAddr;
use std::sync::Arc;

use protocol::UserId;

use crate::config::Limits;
use crate::slots::{Slot, Slots};

/// How much each address and each user has open at this moment.
#[derive(Clone)]
pub(crate) struct Crowd {
    pub(super) addresses: Option<Slots<IpAddr>>,
    users: Option<Slots<UserId>>,
}

impl Crowd {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Self {
            addresses: limits.map(|limits| Slots::new(limits.connections_per_address)),
            users: limits.map(|limits| Slots::new(limits.sockets_per_user)),
        }
    }

    /// Takes a place for one more socket of a user, if sockets are counted.
    pub(crate) fn socket(&self, user: UserId) -> Result<Option<Slot<UserId>>, TooMany> {
        let Some(users) = &self.users else { return Ok(None) };
        users.take(user).map(Some).ok_or(TooMany)
    }
}

/// The caller is at their quota.
#[derive(Debug)]
pub(crate) struct TooMany;

/// A request's place in its address's quota, held while it is answered; a socket keeps it.
#[derive(Clone)]
pub(crate) struct Share {
    pub(super) _place: Arc<Slot<IpAddr>>,
}
