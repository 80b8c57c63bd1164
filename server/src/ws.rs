//! The socket: upgrade, reading, writing, closing. `dispatch` maps frames to methods of the chat.
//!
//! Reading and writing are two loops of one task. The reader passes frames to the chat one at a time, so a user's
//! messages keep their order, and stops reading while the user is over a limit; the writer never waits for the reader.
//! When the client read so slowly that its frames were discarded, both loops stop and the handshake starts over.

mod dispatch;
#[cfg(feature = "echo")]
pub(crate) mod echo;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use app::visitor::{ClientAddress, Visitor};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chat::{Actor, Connection, Outgoing};
use futures::stream::SplitStream;
use futures::{SinkExt, StreamExt};
use http::HeaderMap;
use hyper::upgrade::OnUpgrade;
use protocol::{ClientFrame, Position, ServerFrame, SessionId, close};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tungstenite::Utf8Bytes;
use tungstenite::protocol::{CloseFrame, Message};

use crate::admission::Counted;
use crate::limits::{Share, log};
use crate::refusal::refusal;
use crate::state::{AppState, Sockets};
use dispatch::{Dispatch, End};
use upgrade::{Sink, Socket, Upgrade, feed};

/// How long a client may take to answer our close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// How long a socket that the chat has ended may take to write what waits for it: if its login was revoked, everything
/// must be over within a second; else within the time that the server takes to stop.
const REVOKE_PATIENCE: Duration = Duration::from_millis(500);
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Heartbeats that may go unanswered.
const MISSED: u8 = 2;

/// `GET /ws`: 401 without a login; foreign origins were turned away before.
pub(crate) async fn upgrade(
    State(state): State<AppState>,
    visitor: Visitor,
    address: Option<Extension<ClientAddress>>,
    share: Option<Extension<Share>>,
    ready: Option<Extension<OnUpgrade>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let actor = match visitor.actor(&state.chat).await {
        Ok(actor) => actor,
        Err(error) => return refusal(error.into_fault()).into_response(),
    };
    let upgrade = match Upgrade::of(ready.map(|ready| ready.0), &headers, upgrade) {
        Ok(upgrade) => upgrade,
        Err(answer) => {
            log::no_upgrade(actor.user_id());
            return *answer;
        }
    };
    let Ok(place) = state.crowd.socket(actor.user_id()) else {
        log::held_back_user("sockets", actor.user_id());
        // Upgraded only to send the reason: a browser tells its page nothing about a refused upgrade.
        return upgrade.on_upgrade(async move |socket| {
            let (sink, stream) = socket.split();
            say_goodbye(sink, stream, End::TOO_MANY).await;
            drop(share); // holds its address's place until here
        });
    };
    let Sockets { threads, running } = state.sockets.clone();
    let running = running.token(); // from now on, even while it changes threads
    upgrade.on_upgrade(async move |socket| {
        let held = (running, place, share, Counted::of(metrics::gauge!("natter_sockets")));
        let address = address.map(|address| address.0.0);
        threads.spawn(async move {
            run(socket, state, actor, address).await;
            drop(held);
        });
    })
}

async fn run(socket: Socket, state: AppState, actor: Actor, address: Option<IpAddr>) {
    let conn = Arc::new(state.chat.connect(actor).from(address));
    let (mut sink, mut stream) = socket.split();
    let conversing = async {
        let end = converse(&mut sink, &mut stream, &state, &conn, address).await;
        if ![End::GONE, End::LEFT, End::SLOW].contains(&end) {
            let left = conn.left(); // among it the refusals that explain the close
            let _ = write(&mut sink, left).await;
        }
        end
    };
    let end = tokio::select! {
        end = conversing => end,
        end = overdue(&conn) => end,
    };
    if end == End::GONE {
        return;
    }
    drop(conn);
    Box::pin(say_goodbye(sink, stream, end)).await;
}

/// Waits until the chat has ended the socket, and then for as long as its client may take to read that: a client that
/// reads nothing must not keep a revoked login's socket open.
async fn overdue(conn: &Connection) -> End {
    let (code, _) = conn.closing().await;
    tokio::time::sleep(if code == close::LOGIN_REVOKED { REVOKE_PATIENCE } else { END_PATIENCE }).await;
    End::GONE
}

/// Greets, reads and writes until the socket ends; greets again each time it lagged.
async fn converse(
    sink: &mut Sink,
    stream: &mut SplitStream<Socket>,
    state: &AppState,
    conn: &Arc<Connection>,
    address: Option<IpAddr>,
) -> End {
    const LATE: End = End { code: close::POLICY, reason: "Hello must come first, and in time." };
    let mut hello = match timeout(state.config.patience, first_frame(stream)).await {
        Ok(Ok(Some(sessions))) => sessions,
        Ok(Err(end)) => return end,
        Ok(Ok(None)) | Err(_) => return LATE,
    };
    let mut dispatch = Dispatch::new(state.chat.clone(), conn.clone(), address);
    loop {
        // Boxed: it is over soon, but its memory would stay part of the socket's future.
        if let Err(end) = Box::pin(greet(sink, state, conn, hello)).await {
            return end;
        }
        hello = match talk(sink, stream, state, &mut dispatch).await {
            Ok(again) => again,
            Err(end) => return end,
        };
    }
}

/// Answers `Hello`. Nothing else is written before the answer is complete.
async fn greet(
    sink: &mut Sink,
    state: &AppState,
    conn: &Connection,
    hello: BTreeMap<SessionId, Position>,
) -> Result<(), End> {
    let mut greeting = state.chat.hello(conn, hello).await.map_err(End::of_failure)?;
    while let Some(frame) = greeting.next(&state.chat, conn).await.map_err(End::of_failure)? {
        if let Some((code, reason)) = conn.ending() {
            return Err(End { code, reason });
        }
        feed(sink, frame).await.map_err(End::of_error)?;
    }
    sink.flush().await.map_err(End::of_error)
}

async fn first_frame(stream: &mut SplitStream<Socket>) -> Result<Option<BTreeMap<SessionId, Position>>, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                return Ok(match ClientFrame::decode(&text) {
                    Ok(ClientFrame::Hello { sessions }) => Some(sessions),
                    _ => None,
                });
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Binary(_))) => return Ok(None),
            Some(Ok(Message::Close(_))) => return Err(End::LEFT),
            None => return Err(End::GONE),
            Some(Err(error)) => return Err(End::of_error(error)),
        }
    }
}

/// Reads and writes until either ends the socket, or the client answers `Lagged`: then returns its `Hello`.
async fn talk(
    sink: &mut Sink,
    stream: &mut SplitStream<Socket>,
    state: &AppState,
    dispatch: &mut Dispatch,
) -> Result<BTreeMap<SessionId, Position>, End> {
    let unanswered = AtomicU8::new(0);
    let conn = dispatch.conn().clone();
    let reading = async {
        loop {
            conn.room().await;
            let frame = match stream.next().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(End::of_error(error)),
                None => return Err(End::GONE),
            };
            unanswered.store(0, Ordering::Relaxed);
            if let Some(hello) = dispatch.take(frame).await? {
                return Ok(hello);
            }
        }
    };
    // The first to end ends both.
    tokio::select! {
        read = reading => read,
        end = write_all(sink, state, &conn, &unanswered) => Err(end),
    }
}

/// Writes what waits for the socket, and at each heartbeat the heads of its sessions, until the socket has to end.
async fn write_all(sink: &mut Sink, state: &AppState, conn: &Connection, unanswered: &AtomicU8) -> End {
    let stall = state.config.stall;
    let mut beat = tokio::time::interval(state.config.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await; // the first tick is immediate
    let mut told = None; // since when we wait for a `Hello`
    loop {
        let outgoing = tokio::select! {
            outgoing = conn.outgoing() => outgoing,
            _ = beat.tick(), if told.is_none() => { // nothing follows `Lagged` until its `Hello`
                if unanswered.fetch_add(1, Ordering::Relaxed) >= MISSED {
                    return End { code: close::SLOW, reason: "No answer." };
                }
                // Goes behind everything it counts: what is queued was published before it.
                let heads = conn.heads();
                let mut frames = conn.left();
                frames.push_back(heads);
                Outgoing::Frames(frames)
            }
            () = until(told.map(|since| since + stall)) => return End::SLOW,
        };
        let frames = match outgoing {
            Outgoing::Frames(frames) => frames,
            Outgoing::Lagged => {
                told = Some(Instant::now());
                [ServerFrame::Lagged.encode().into()].into()
            }
            Outgoing::Close(code, reason) => return End { code, reason },
        };
        if let Err(end) = write(sink, frames).await {
            return end;
        }
    }
}

/// Writes many frames with one flush. Times out when the client reads nothing of them: see `admission`.
async fn write(sink: &mut Sink, frames: VecDeque<Bytes>) -> Result<(), End> {
    for frame in frames {
        feed(sink, frame).await.map_err(End::of_error)?;
    }
    sink.flush().await.map_err(End::of_error)
}

/// Waits until `due`, or forever without one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Answers the client's close, or sends ours and reads on until the client answers it: unread data would reset the
/// connection and discard our close.
async fn say_goodbye(mut sink: Sink, mut stream: SplitStream<Socket>, end: End) {
    let goodbye = async {
        if end == End::LEFT {
            return sink.close().await;
        }
        let End { code, reason } = end;
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) };
        sink.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<_, tungstenite::Error>(())
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await; // too late to care how it went
}
