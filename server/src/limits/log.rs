//! Logs refusals by a limit, once a minute for each limit and network or user: else the log would become the flood.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use chat::audit::{self, Network};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use protocol::UserId;

/// Idle addresses and users are evicted every so many refusals, so that the table does not grow forever.
const FORGET_EVERY: u32 = 1024;

type Key = (&'static str, Option<UserId>, Option<Network>);

static TOLD: LazyLock<DefaultKeyedRateLimiter<Key>> =
    LazyLock::new(|| RateLimiter::keyed(Quota::per_minute(NonZeroU32::MIN)));
static REFUSALS: AtomicU32 = AtomicU32::new(0);

/// Logs that a limit refused this address.
pub(crate) fn held_back(limit: &'static str, address: IpAddr) {
    if is_due((limit, None, Some(Network::of(address)))) {
        audit::held_back(limit, None, Some(address));
    }
}

/// Logs that a limit refused this user.
pub(crate) fn held_back_user(limit: &'static str, user: UserId) {
    if is_due((limit, Some(user), None)) {
        audit::held_back(limit, Some(user), None);
    }
}

/// Logs that a user requested the socket without an upgrade.
pub(crate) fn no_upgrade(user: UserId) {
    if is_due(("upgrade", Some(user), None)) {
        tracing::warn!(
            "/ws was asked for without an upgrade: a proxy in front has to pass the header Upgrade on"
        );
    }
}

fn is_due(key: Key) -> bool {
    if REFUSALS.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
        TOLD.retain_recent();
    }
    TOLD.check_key(&key).is_ok()
}
