//! Throttles floods: logins and registrations by rate per address, requests and sockets by how many are open.

pub(crate) mod log;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use app::login::ClientAddress;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chat::household;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderValue, Method, header};
use protocol::{Code, Fault, UserId};
use tokio::sync::Semaphore;

use crate::config::Limits;
use crate::forms;
use crate::places::{Place, Places};
use crate::refusal::{Asker, refusal};
use crate::state::AppState;

/// Idle addresses are evicted every so many requests, so that the tables do not grow forever.
const FORGET_EVERY: u32 = 1024;

/// POSTs handled concurrently: more than can ever wait for a password check. Each takes some 40 KiB while it is
/// handled, and a thousand may arrive together.
const TURNS: usize = 128;

/// The doors (sign-in and registration), with their rate limits.
pub(crate) struct Doors {
    turns: Semaphore,
    logins: Door,
    registrations: Door,
}

/// A rate limiter and how often it was asked; `None` lets everybody through.
type Door = Option<(DefaultKeyedRateLimiter<IpAddr>, AtomicU32)>;

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
            .check_key(&household(address))
            .err()
            .map(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// Queues POSTs where waiting takes little memory. Their bodies have been read already, so no client can hold a turn by
/// being slow.
pub(crate) async fn take_turns(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let turn = match *request.method() {
        Method::POST => Some(state.doors.turns.acquire().await),
        _ => None,
    };
    let response = next.run(request).await;
    drop(turn);
    response
}

/// Rate-limits the doors: a flood gets 429 with `Retry-After`, or is redirected back to the form.
pub(crate) async fn hold_back(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let path = request.uri().path();
    let wait = match address {
        Some(ClientAddress(address)) if request.method() == Method::POST => state.doors.wait(path, address),
        _ => None,
    };
    let Some(wait) = wait else { return next.run(request).await };
    if let Some(ClientAddress(address)) = address {
        log::held_back("attempts a minute", address);
    }
    let seconds = wait.as_secs() + 1;
    let reason = format!("Too many attempts. Please try again in {seconds} seconds.");
    let fault = Fault::new(Code::TooMany, reason);
    let response = match request.uri().path().starts_with("/api/") {
        true => refusal(fault).into_response(),
        false => forms::turned_back(&state, request, &fault).await,
    };
    ([(header::RETRY_AFTER, HeaderValue::from(seconds))], response).into_response()
}

/// How much each address and each user has open at this moment.
#[derive(Clone)]
pub(crate) struct Crowd {
    addresses: Option<Places<IpAddr>>,
    users: Option<Places<UserId>>,
}

impl Crowd {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Self {
            addresses: limits.map(|limits| Places::new(limits.connections_per_address)),
            users: limits.map(|limits| Places::new(limits.sockets_per_user)),
        }
    }

    /// Takes a place for one more socket of a user, if sockets are counted.
    pub(crate) fn socket(&self, user: UserId) -> Result<Option<Place<UserId>>, TooMany> {
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
    _place: Arc<Place<IpAddr>>,
}

/// Counts the requests in progress of an address, even behind a trusted proxy, whose connections do not tell whose they
/// are.
pub(crate) async fn crowd(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let address = request.extensions().get::<ClientAddress>().copied();
    let (Some(addresses), Some(ClientAddress(address))) = (&state.crowd.addresses, address) else {
        return next.run(request).await;
    };
    let Some(place) = addresses.take(household(address)) else {
        log::held_back("requests at once", address);
        return too_many(&Asker::of(&request));
    };
    let share = Share { _place: Arc::new(place) };
    request.extensions_mut().insert(share.clone());
    let response = next.run(request).await;
    drop(share); // unless a socket has kept it
    response
}

fn too_many(asker: &Asker) -> Response {
    const SECONDS: u16 = 5; // until somebody closes something; then soon
    let reason = "Too much at once from your address. Please close some windows and try again.";
    let refused = asker.refuse(Fault::new(Code::TooMany, reason));
    ([(header::RETRY_AFTER, HeaderValue::from(SECONDS))], refused).into_response()
}
