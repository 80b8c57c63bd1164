//! The doors, sign-in and registration: how many may knock at them, and how often each address may.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chat::household;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;

use crate::config::Limits;

/// Idle addresses are evicted every so many requests, so that the tables do not grow forever.
const FORGET_EVERY: u32 = 1024;

/// POSTs handled concurrently: more than can ever wait for a password check. Each takes some 40 KiB while it is
/// handled, and a thousand may arrive together.
const TURNS: usize = 128;

/// The doors (sign-in and registration), with their rate limits.
pub(crate) struct Doors {
    pub(super) turns: Semaphore,
    logins: DoorLimit,
    registrations: DoorLimit,
}

/// A rate limiter and how often it was asked; `None` lets everybody through.
type DoorLimit = Option<(DefaultKeyedRateLimiter<IpAddr>, AtomicU32)>;

impl Doors {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        let door = |per_minute: u32| {
            let per_minute = NonZeroU32::new(per_minute)?;
            Some((RateLimiter::keyed(Quota::per_minute(per_minute)), AtomicU32::new(0)))
        };
        Self {
            turns: Semaphore::new(TURNS),
            logins: limits.and_then(|limits| door(limits.logins_per_minute)),
            registrations: limits.and_then(|limits| door(limits.registrations_per_minute)),
        }
    }

    /// Returns how long this address has to wait before it may knock again, if it has to.
    pub(super) fn wait(&self, path: &str, address: IpAddr) -> Option<Duration> {
        let door = match path {
            "/api/login" | "/login" => &self.logins,
            "/api/register" | "/register" => &self.registrations,
            _ => return None,
        };
        let (limiter, knocks) = door.as_ref()?;
        if knocks.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter
            .check_key(&household(address))
            .err()
            .map(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}
