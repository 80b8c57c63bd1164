//! Holding floods back at the doors: logins and registrations, by address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use app::login::ClientAddress;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, Method, header};
use protocol::{Code, Fault};

use crate::config::Limits;
use crate::forms;
use crate::router::refusal;
use crate::state::AppState;

/// Addresses are forgotten every so many requests, so that the tables do not grow for ever.
const FORGET_EVERY: u32 = 1024;

/// The doors that are counted.
pub(crate) struct Doors {
    logins: Door,
    registrations: Door,
}

/// `None` lets everybody through.
type Door = Option<(DefaultKeyedRateLimiter<IpAddr>, AtomicU32)>;

impl Doors {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        let door = |per_minute: u32| {
            let per_minute = NonZeroU32::new(per_minute)?;
            Some((RateLimiter::keyed(Quota::per_minute(per_minute)), AtomicU32::new(0)))
        };
        Self {
            logins: limits.and_then(|limits| door(limits.logins_per_minute)),
            registrations: limits.and_then(|limits| door(limits.registrations_per_minute)),
        }
    }

    /// How long this address has to wait before it may knock again, if it has to.
    fn wait(&self, path: &str, address: IpAddr) -> Option<Duration> {
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
            .check_key(&whose(address))
            .err()
            .map(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// One household or host has a whole /64 of IPv6 addresses (RFC 6177).
fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

/// Counts knocks at the doors and turns floods away: 429 with `Retry-After`, or back to the form.
pub(crate) async fn hold_back(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let path = request.uri().path();
    let wait = match address {
        Some(ClientAddress(address)) if request.method() == Method::POST => state.doors.wait(path, address),
        _ => None,
    };
    let Some(wait) = wait else { return next.run(request).await };
    let seconds = wait.as_secs() + 1;
    let reason = format!("Too many attempts. Please try again in {seconds} seconds.");
    let fault = Fault::new(Code::TooMany, reason);
    let mut response = match request.uri().path().starts_with("/api/") {
        true => refusal(fault).into_response(),
        false => forms::turned_back(request, &fault).await,
    };
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
