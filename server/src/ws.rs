//! The socket: upgrade, reading, writing, the end. What a frame means is in `dispatch`; what happens then, in the
//! chat.
//!
//! Reading and writing are two loops of one task. The reader hands frames to the chat one after the other, so a
//! person's messages keep their order, and stops reading while they are over a limit; the writer never waits for
//! the reader. When the client read so slowly that frames for it were let go, both stop and it is greeted again.

mod dispatch;
#[cfg(feature = "echo")]
pub(crate) mod echo;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use app::login::{ClientAddress, Visitor};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chat::{Actor, Connection, Outgoing};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::{ClientFrame, MAX_FRAME_BYTES, Position, ServerFrame, SessionId, close};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::admission::{Counted, FAIR_PART};
use crate::limits::Share;
use crate::refusal::refusal;
use crate::state::{AppState, Sockets};
use dispatch::{Dispatch, End};

/// What is read from a socket at once: room for nearly every message. Taken for each socket, idle ones too; the library's
/// own are 128 KiB.
const READ_BUFFER: usize = 2 * 1024;

/// What is gathered for a socket before it is written. Taken only while something waits.
const GATHERED: usize = 4 * 1024;

/// Most bytes that wait inside the library for one socket: room for one `Welcome`, which names every session. Not
/// taken before it is needed.
const WRITE_BUFFER: usize = 16 * 1024 * 1024;

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
    share: Option<Extension<Share>>,
    address: Option<Extension<ClientAddress>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let actor = match visitor.actor(&state.chat).await {
        Ok(actor) => actor,
        Err(error) => return refusal(error.into_fault()).into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => shaped(upgrade),
        Err(rejection) => return rejection.into_response(),
    };
    let Ok(place) = state.crowd.socket(actor.user_id()) else {
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
        threads.spawn(async move {
            run(socket, state, actor, address.map(|Extension(ClientAddress(address))| address)).await;
            drop(held);
        });
    })
}

/// The buffers and limits of every socket.
fn shaped(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(GATHERED)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
}

async fn run(socket: WebSocket, state: AppState, actor: Actor, address: Option<IpAddr>) {
    let conn = Arc::new(state.chat.connect(actor));
    let (mut sink, mut stream) = socket.split();
    let conversing = async {
        let end = converse(&mut sink, &mut stream, &state, &conn, address).await;
        if ![End::GONE, End::LEFT, End::SLOW].contains(&end) {
            let left = conn.left(); // the refusals that explain the close
            let _ = write(&mut sink, left, state.config.stall).await;
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
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
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
    sink: &mut SplitSink<WebSocket, Message>,
    state: &AppState,
    conn: &Connection,
    hello: BTreeMap<SessionId, Position>,
) -> Result<(), End> {
    let mut stall = state.config.stall;
    let mut greeting = state.chat.hello(conn, hello).await.map_err(End::of_failure)?;
    while let Some(frame) = greeting.next(&state.chat, conn).await.map_err(End::of_failure)? {
        if let Some((code, reason)) = conn.ending() {
            return Err(End { code, reason });
        }
        // A first picture may be long, and a line slow: so much time for each part of it.
        let parts = u32::try_from(frame.len() / FAIR_PART).unwrap_or(u32::MAX).saturating_add(1);
        stall = stall.max(state.config.stall.saturating_mul(parts));
        in_time(stall, sink.feed(Message::Text(text(frame)))).await?;
    }
    in_time(stall, sink.flush()).await
}

async fn first_frame(
    stream: &mut SplitStream<WebSocket>,
) -> Result<Option<BTreeMap<SessionId, Position>>, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                return Ok(match ClientFrame::decode(&text) {
                    Ok(ClientFrame::Hello { sessions }) => Some(sessions),
                    _ => None,
                });
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Ok(None),
            Some(Ok(Message::Close(_))) => return Err(End::LEFT),
            None => return Err(End::GONE),
            Some(Err(error)) => return Err(End::of_error(error)),
        }
    }
}

/// Reads and writes until one of the two comes to an end, or the client answers `Lagged`: then gives its `Hello`.
async fn talk(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
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
async fn write_all(
    sink: &mut SplitSink<WebSocket, Message>,
    state: &AppState,
    conn: &Connection,
    unanswered: &AtomicU8,
) -> End {
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
        if let Err(end) = write(sink, frames, stall).await {
            return end;
        }
    }
}

/// Writes many frames with one flush.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    frames: VecDeque<Bytes>,
    stall: Duration,
) -> Result<(), End> {
    for frame in frames {
        in_time(stall, sink.feed(Message::Text(text(frame)))).await?;
    }
    in_time(stall, sink.flush()).await
}

/// Each step by itself has to come to an end in time: a stalled reader is one that takes nothing.
async fn in_time(stall: Duration, writing: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match timeout(stall, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::GONE),
        Err(_) => Err(End::SLOW),
    }
}

/// Waits until then; for ever without a time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Frames come from our own encoder, so they are UTF-8.
fn text(bytes: Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(bytes).expect("frames are JSON")
}

/// Answers the client's close. Or sends ours and reads on until the client has answered it: what it was still sending
/// would make the system throw our close away.
async fn say_goodbye(mut sink: SplitSink<WebSocket, Message>, mut stream: SplitStream<WebSocket>, end: End) {
    let goodbye = async {
        if end == End::LEFT {
            return sink.close().await;
        }
        let End { code, reason } = end;
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        sink.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<_, axum::Error>(())
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await; // gone is gone
}
