//! The socket: upgrade, reading, writing, the end. What a frame means is in `dispatch`; what happens then, in the
//! chat.
//!
//! Reading and writing are two loops of one task. The reader hands frames to the chat one after the other, so a
//! person's messages keep their order, and stops reading while they are over a limit; the writer never waits for
//! the reader.

mod dispatch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use app::login::Visitor;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chat::{Actor, Connection, Outgoing};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::{ClientFrame, MAX_FRAME_BYTES, Position, SessionId, close};
use tokio::time::{MissedTickBehavior, timeout};

use crate::admission::Counted;
use crate::router::refusal;
use crate::state::AppState;
use dispatch::{Dispatch, End};

/// Buffers of one socket. The library's own are 128 KiB, taken at once.
const BUFFER: usize = 4 * 1024;

/// Most bytes that wait inside the library for one socket: room for one `Welcome`, which names every session. Not
/// taken before it is needed.
const WRITE_BUFFER: usize = 16 * 1024 * 1024;

/// A socket that takes nothing for this long is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client has to answer our close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Heartbeats that may go unanswered.
const MISSED: u8 = 2;

/// `GET /ws`: 401 without a login; foreign origins were turned away before.
pub(crate) async fn upgrade(
    State(state): State<AppState>,
    visitor: Visitor,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let actor = match visitor.actor(&state.chat).await {
        Ok(actor) => actor,
        Err(error) => return refusal(error.into_fault()).into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let sockets = state.sockets.clone();
    upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .on_upgrade(move |socket| sockets.track_future(run(socket, state, actor)))
}

async fn run(socket: WebSocket, state: AppState, actor: Actor) {
    let _counted = Counted::new("natter_sockets");
    let conn = Arc::new(state.chat.connect(actor));
    let (mut sink, mut stream) = socket.split();
    let end = match greet(&mut sink, &mut stream, &state, &conn).await {
        Ok(()) => talk(&mut sink, &mut stream, &state, &conn).await,
        Err(end) => Some(end),
    };
    if let Some(End { code, reason }) = end {
        let left = conn.left().into_iter().filter(|item| matches!(item, Outgoing::Frame(_)));
        let _ = write(&mut sink, left).await; // the refusals that explain the close
        drop(conn);
        say_goodbye(sink, stream, code, reason).await;
    }
}

/// Waits for `Hello` and answers it. Nothing else is written before that answer.
async fn greet(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    state: &AppState,
    conn: &Connection,
) -> Result<(), End> {
    const LATE: End = End { code: close::POLICY, reason: "Hello must come first, and in time." };
    let hello = timeout(state.config.patience, first_frame(stream)).await.map_err(|_| LATE)??;
    let sessions = hello.ok_or(LATE)?;
    let frames = state.chat.hello(conn, sessions).await.map_err(End::of_failure)?;
    write(sink, frames.into_iter().map(Outgoing::Frame)).await.map(drop)
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
            Some(Ok(Message::Close(_))) | None => return Err(End::GONE),
            Some(Err(error)) => return Err(End::of_error(error)),
        }
    }
}

/// Reads and writes until one of the two comes to an end.
async fn talk(
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
    state: &AppState,
    conn: &Arc<Connection>,
) -> Option<End> {
    let unanswered = AtomicU8::new(0);
    let mut dispatch = Dispatch::new(state.chat.clone(), conn.clone());
    let reading = async {
        loop {
            let frame = match stream.next().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return End::of_error(error),
                None => return End::GONE,
            };
            unanswered.store(0, Ordering::Relaxed);
            if let Err(end) = dispatch.take(frame).await {
                return end;
            }
        }
    };
    let writing = async {
        let mut beat = tokio::time::interval(state.config.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await; // the first is at once
        loop {
            let outgoing = tokio::select! {
                outgoing = conn.outgoing() => outgoing,
                _ = beat.tick() => {
                    if unanswered.fetch_add(1, Ordering::Relaxed) >= MISSED {
                        return End { code: close::SLOW, reason: "No answer." };
                    }
                    vec![Outgoing::Frame(conn.heads())]
                }
            };
            match write(sink, outgoing.into_iter()).await {
                Ok(None) => {}
                Ok(Some(end)) | Err(end) => return end,
            }
        }
    };
    // Whichever ends first ends both.
    let end = tokio::select! {
        end = reading => end,
        end = writing => end,
    };
    (end != End::GONE).then_some(end)
}

/// Writes many frames with one flush. Returns how the socket ends, when that was among them.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    outgoing: impl Iterator<Item = Outgoing>,
) -> Result<Option<End>, End> {
    let mut end = None;
    for item in outgoing {
        match item {
            Outgoing::Frame(bytes) => in_time(sink.feed(Message::Text(text(bytes)))).await?,
            Outgoing::Close(code, reason) => end = Some(End { code, reason }),
        }
    }
    in_time(sink.flush()).await?;
    Ok(end)
}

/// Each step by itself has to come to an end in time: a slow reader is one that takes nothing.
async fn in_time(writing: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match timeout(WRITE_PATIENCE, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::GONE),
    }
}

/// Frames come from our own encoder, so they are UTF-8.
fn text(bytes: Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(bytes).expect("frames are JSON")
}

/// Sends the close and reads on until the client has answered it: what it was still sending would make the
/// system throw our close away.
async fn say_goodbye(
    mut sink: SplitSink<WebSocket, Message>,
    mut stream: SplitStream<WebSocket>,
    code: u16,
    reason: &'static str,
) {
    let goodbye = async {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        sink.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<_, axum::Error>(())
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await; // gone is gone
}
