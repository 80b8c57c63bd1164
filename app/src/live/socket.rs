//! The connection: one WebSocket at a time, for as long as the page is open.
//!
//! Knows sockets, timers and backoff, but nothing about messages: frames go to the state machine and come from it. The
//! browser's `send` succeeds on a dead socket, so nothing sent here counts as delivered.

use std::pin::{Pin, pin};
use std::task::Poll;

use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures::future::{self, Either};
use futures::{Sink, StreamExt};
use gloo_net::websocket::futures::WebSocket;
use gloo_net::websocket::{Message, State, WebSocketError};
use gloo_timers::callback::Timeout;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use protocol::api::HistoryPart;
use protocol::{Change, ClientFrame, Code, ServerFrame, SessionId, close};

use super::{Live, api, clock};

/// The server sends a heartbeat every 15 s; without two of them, and a bit more, the connection is dead.
const SILENCE_MS: u32 = 35_000;
/// Timeout while a large answer is due: it counts as received only when complete. At 4 kbit/s the largest page takes
/// this long.
const ANSWER_MS: u32 = 120_000;
/// Timeout for opening a socket.
const OPEN_MS: u32 = 10_000;
/// Timeout for finding out whether the login has ended.
const LOOK_MS: u32 = 5_000;
/// After waking up, a socket that has been silent for longer is not trusted.
const STALE_MS: i64 = 20_000;
/// While this user has the most connections allowed, retries wait for this to twice this long.
const CROWDED_MS: u32 = 15_000;
/// Signing in again in another tab ends this login first, and sets the new cookie a moment later.
const NEW_LOGIN_MS: u32 = 500;
/// How long a sign-out may take to leave the page.
const LEAVING_MS: u32 = 10_000;
/// A connection that lasts this long resets the backoff.
const GOOD_MS: i64 = 5_000;
/// Connection losses shorter than this are not shown.
const GRACE_MS: u32 = 5_000;

/// Sends to the socket. Frames sent while there is none are dropped.
pub(super) struct Wire(UnboundedSender<Command>);

enum Incoming {
    Frame(Result<Message, WebSocketError>),
    Command(Command),
}

enum Command {
    Send(ClientFrame),
    /// Connect immediately, unless the connection is good.
    Now,
    /// Reconnect in any case.
    Renew,
}

impl Wire {
    pub(super) fn send(&self, frame: ClientFrame) {
        let _ = self.0.unbounded_send(Command::Send(frame));
    }

    pub(super) fn now(&self) {
        let _ = self.0.unbounded_send(Command::Now);
    }

    pub(super) fn renew(&self) {
        let _ = self.0.unbounded_send(Command::Renew);
    }
}

/// Why a connection ended.
enum End {
    /// It broke, or never opened.
    Lost,
    /// It is better to reconnect immediately.
    Stale,
    /// The server asked us to reconnect after this many milliseconds.
    Drained(u32),
    /// This user has the most connections allowed.
    Crowded,
    /// The login is no longer valid.
    Revoked,
}

/// When something was last received, by both clocks: one may be adjusted, the other may stop while the computer sleeps.
struct Heard {
    elapsed: i64,
    now: i64,
}

impl Heard {
    fn just_now() -> Self {
        Self { elapsed: clock::elapsed(), now: clock::now().0 }
    }

    fn is_stale(&self) -> bool {
        (clock::elapsed() - self.elapsed).max(clock::now().0 - self.now) > STALE_MS
    }
}

/// Connects and stays connected.
pub(super) fn start(live: Live) {
    let (sender, commands) = mpsc::unbounded();
    let wake = sender.clone();
    live.inner.update_value(|inner| inner.wire = Some(Wire(sender)));
    let now = move || _ = wake.unbounded_send(Command::Now);
    let seen = now.clone();
    _ = window_event_listener_untyped("online", move |_| now());
    _ = window_event_listener_untyped("visibilitychange", move |_| {
        if !document().hidden() {
            seen();
        }
    });
    spawn_local(run(live, commands));
}

/// State that outlives a connection.
struct Attempts {
    /// Connections since the last good one.
    failures: u32,
    /// When this connection received its `Welcome`.
    welcomed: Option<i64>,
    /// Will report the connection as lost, unless a `Welcome` comes first.
    notice: Option<Timeout>,
}

impl Attempts {
    fn hear(&mut self, frame: &ServerFrame, now: i64) {
        if matches!(frame, ServerFrame::Welcome { .. }) {
            self.welcomed = Some(now);
            self.notice = None;
        }
        // A server that welcomes and then closes immediately must not reset the backoff.
        if self.welcomed.is_some_and(|since| now - since > GOOD_MS) {
            self.failures = 0;
        }
    }
}

async fn run(live: Live, mut commands: UnboundedReceiver<Command>) {
    let mut attempts = Attempts { failures: 0, welcomed: None, notice: None };
    loop {
        attempts.notice.get_or_insert_with(|| Timeout::new(GRACE_MS, move || _ = live.lost.try_set(true)));
        let end = connection(live, &mut commands, &mut attempts).await;
        let _ = live.inner.try_update_value(|inner| inner.sync.disconnected());
        live.search_lost();
        let wait = match end {
            End::Revoked => return sign_in_again(live).await,
            End::Stale => 0,
            End::Drained(after) => after,
            End::Crowded => {
                attempts.notice = None;
                live.crowded.try_set(true);
                live.lost.try_set(true);
                jitter(CROWDED_MS, CROWDED_MS)
            }
            End::Lost => backoff(attempts.failures),
        };
        attempts.failures += 1;
        // A refused upgrade looks like any other failure, so every third one checks the login.
        if pause(live, wait, attempts.failures.is_multiple_of(3), &mut commands).await {
            return sign_in_again(live).await;
        }
    }
}

/// Runs one connection, from opening to its end.
async fn connection(live: Live, commands: &mut UnboundedReceiver<Command>, attempts: &mut Attempts) -> End {
    let Ok(mut socket) = WebSocket::open(&address()) else { return End::Lost };
    let opening = future::poll_fn(|cx| Pin::new(&mut socket).poll_ready(cx));
    let patience = TimeoutFuture::new(OPEN_MS);
    if matches!(future::select(opening, patience).await, Either::Right(_)) {
        return End::Lost;
    }
    let Some(hello) = live.inner.try_update_value(|inner| inner.sync.connected()) else { return End::Lost };
    say(&mut socket, &hello);

    let mut heard = Heard::just_now();
    // A timer, because a clock may be adjusted.
    let mut silence = TimeoutFuture::new(ANSWER_MS);
    let mut end = End::Lost;
    attempts.welcomed = None;
    loop {
        let event = match future::select(next(&mut socket, commands), &mut silence).await {
            Either::Left((Some(event), _)) => event,
            _ => return end,
        };
        match event {
            Incoming::Frame(Ok(Message::Text(text))) => {
                heard = Heard::just_now();
                // An unreadable frame leaves a gap in the numbering, and gaps are fetched.
                match ServerFrame::decode(&text).unwrap_or(ServerFrame::Unknown) {
                    ServerFrame::Drain { after_ms } => {
                        end = End::Drained(after_ms.try_into().unwrap_or_default());
                    }
                    frame => {
                        attempts.hear(&frame, heard.elapsed);
                        if matches!(frame, ServerFrame::Lagged) {
                            live.search_lost();
                        }
                        let step = live.inner.try_update_value(|inner| inner.sync.receive(frame));
                        let step = step.unwrap_or_default();
                        let awaits = live.inner.try_with_value(|inner| inner.sync.awaits_answers());
                        silence =
                            TimeoutFuture::new(if awaits == Some(true) { ANSWER_MS } else { SILENCE_MS });
                        let is_stranger = step.changes.contains(&Change::Stranger);
                        live.apply(step);
                        if is_stranger {
                            return End::Revoked; // another user has signed in: this login is over
                        }
                    }
                }
            }
            Incoming::Frame(Err(WebSocketError::ConnectionClose(event))) => {
                return match event.code {
                    close::LOGIN_REVOKED => End::Revoked,
                    close::TOO_MANY => End::Crowded,
                    _ => end,
                };
            }
            // The close event follows, and has the details.
            Incoming::Frame(_) => {}
            Incoming::Command(Command::Send(frame)) => say(&mut socket, &frame),
            // The socket has just failed. Its close event follows, and decides how to go on.
            Incoming::Command(Command::Now) if !is_open(&socket) => end = End::Stale,
            Incoming::Command(Command::Renew) => return End::Stale,
            Incoming::Command(Command::Now) if heard.is_stale() => return End::Stale,
            Incoming::Command(Command::Now) => {}
        }
    }
}

/// Waits for the next frame or command. Commands come first, to keep the order of what is sent.
fn next(
    socket: &mut WebSocket,
    commands: &mut UnboundedReceiver<Command>,
) -> impl Future<Output = Option<Incoming>> + Unpin {
    future::poll_fn(|cx| match commands.poll_next_unpin(cx) {
        Poll::Ready(command) => Poll::Ready(command.map(Incoming::Command)),
        Poll::Pending => socket.poll_next_unpin(cx).map(|frame| frame.map(Incoming::Frame)),
    })
}

fn is_open(socket: &WebSocket) -> bool {
    matches!(socket.state(), State::Open)
}

/// Sends if the socket is open: a dead one accepts everything, and complains on the console.
fn say(socket: &mut WebSocket, frame: &ClientFrame) {
    if is_open(socket) {
        let _ = Pin::new(socket).start_send(Message::Text(frame.encode()));
    }
}

/// Waits before the next try; `Now` cuts the wait short. With `looks`, first finds out why there is no connection:
/// shows if there are too many from here, and returns whether the login has ended.
async fn pause(live: Live, wait: u32, looks: bool, commands: &mut UnboundedReceiver<Command>) -> bool {
    let woken = commands.any(async |command| matches!(command, Command::Now));
    let waiting = async {
        let look = async { if looks { refusal(live).await } else { None } };
        let found = match future::select(pin!(look), TimeoutFuture::new(LOOK_MS)).await {
            Either::Left((found, _)) => found,
            Either::Right(_) => None,
        };
        if found == Some(Code::TooMany) {
            live.crowded.try_set(true);
        }
        let ended = found == Some(Code::Unauthenticated);
        if !ended {
            TimeoutFuture::new(wait).await;
        }
        ended
    };
    matches!(future::select(pin!(waiting), pin!(woken)).await, Either::Left((true, _)))
}

/// Full jitter: anything up to a bound that doubles with each failure, so that clients do not reconnect in lockstep.
fn backoff(failures: u32) -> u32 {
    jitter(0, (500 << failures.min(6)).min(20_000))
}

/// Returns a random wait from `least` to `least + more`.
fn jitter(least: u32, more: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the bound")]
    let wait = (js_sys::Math::random() * f64::from(more)) as u32;
    least + wait
}

fn address() -> String {
    let location = window().location();
    let scheme = if location.protocol().is_ok_and(|scheme| scheme == "https:") { "wss" } else { "ws" };
    format!("{scheme}://{}/ws", location.host().unwrap_or_default())
}

/// Requests something that needs a login, and returns why it was refused: a browser does not tell why an upgrade was.
async fn refusal(live: Live) -> Option<Code> {
    let some = live.sessions.with_untracked(|sessions| sessions.first().copied());
    let session_id = some.unwrap_or_else(SessionId::new);
    let answer = api::history(HistoryPart { session_id, before: None }).await;
    answer.err().map(|error| error.0.error)
}

/// Handles the end of the login. What was written stays in this browser, and is sent after the next login; what could
/// not be stored exists only on this page, so the user decides when to leave it.
async fn sign_in_again(live: Live) {
    TimeoutFuture::new(NEW_LOGIN_MS).await;
    if live.inner.try_with_value(|inner| inner.leaving) == Some(true) {
        // The response to the form replaces this page, unless loading was stopped.
        TimeoutFuture::new(LEAVING_MS).await;
    }
    if live.keeps_all() {
        live.sign_in();
    } else {
        live.ended.try_set(true);
        live.lost.try_set(true);
    }
}
