//! The socket: upgrade, reading, writing, the end. What a frame means is in `dispatch`; what happens then, in the
//! chat.
//!
//! Reading and writing are two loops of one task. The reader hands frames to the chat one after the other, so a
//! person's messages keep their order, and stops reading while they are over a limit; the writer never waits for
//! the reader. When the client read so slowly that frames for it were let go, both stop and it is greeted again.

mod dispatch;
#[cfg(feature = "echo")]
pub(crate) mod echo;
mod upgrade;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use app::login::{ClientAddress, Visitor};
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

/// How long a client has to answer our close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// How long what waits for a socket may take to be written once the chat has ended it: when its login was revoked, all
/// is to be over within a second; else within the time that a stop of the server takes.
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
        // Upgraded only to be told why: a browser shows a page nothing of a refused upgrade.
        return upgrade.on_upgrade(async move |socket| {
            let (sink, stream) = socket.split();
            say_goodbye(sink, stream, End::TOO_MANY).await;
            drop(share); // it keeps its address's place until then
        });
    };
    let Sockets { threads, running } = state.sockets.clone();
    let running = running.token(); // from now on, also while it changes threads
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
            let left = conn.left(); // the refusals that explain the close
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

/// Waits until the chat has ended the socket, and then for as long as its client may take to hear of it: a client that
/// reads nothing must not keep a revoked login's socket open.
async fn overdue(conn: &Connection) -> End {
    let (code, _) = conn.closing().await;
    tokio::time::sleep(if code == close::LOGIN_REVOKED { REVOKE_PATIENCE } else { END_PATIENCE }).await;
    End::GONE
}

/// Greets, reads and writes until the socket ends; greets again whenever it has lagged.
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
        // Boxed: it is over soon, and its room would stay.
        if let Err(end) = Box::pin(greet(sink, state, conn, hello)).await {
            return end;
        }
        hello = match talk(sink, stream, state, &mut dispatch).await {
            Ok(again) => again,
            Err(end) => return end,
        };
    }
}

/// Answers `Hello`. Nothing else is written before that answer.
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

/// Reads and writes until one of the two comes to an end, or the client answers `Lagged`: then gives its `Hello`.
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
    // Whichever ends first ends both.
    tokio::select! {
        read = reading => read,
        end = write_all(sink, state, &conn, &unanswered) => Err(end),
    }
}

/// Writes what waits for the socket, and where its sessions stand, until it has to end.
async fn write_all(sink: &mut Sink, state: &AppState, conn: &Connection, unanswered: &AtomicU8) -> End {
    let stall = state.config.stall;
    let mut beat = tokio::time::interval(state.config.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await; // the first is at once
    let mut told = None; // since when a `Hello` is waited for
    loop {
        let outgoing = tokio::select! {
            outgoing = conn.outgoing() => outgoing,
            _ = beat.tick(), if told.is_none() => { // nothing follows `Lagged` until its `Hello`
                if unanswered.fetch_add(1, Ordering::Relaxed) >= MISSED {
                    return End { code: close::SLOW, reason: "No answer." };
                }
                // Behind all that it counts: what waits was published before.
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

/// Writes many frames with one flush. Fails when the client takes nothing of them for as long as it may: see
/// `admission`.
async fn write(sink: &mut Sink, frames: VecDeque<Bytes>) -> Result<(), End> {
    for frame in frames {
        feed(sink, frame).await.map_err(End::of_error)?;
    }
    sink.flush().await.map_err(End::of_error)
}

/// Waits until then; for ever without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Answers the client's close. Or sends ours and reads on until the client has answered it: what it was still sending
/// would make the system throw our close away.
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
    let _ = timeout(CLOSE_PATIENCE, goodbye).await; // gone is gone
}
