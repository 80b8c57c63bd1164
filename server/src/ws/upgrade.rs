//! Upgrades a request to a WebSocket, and writes to it.
//!
//! axum only validates the upgrade request. The rest is here because axum's socket takes whole messages only: one of
//! megabytes would sit in the library's buffer all at once, and the buffer would keep that size as long as the socket
//! lives.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::SinkExt;
use futures::stream::SplitSink;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use protocol::MAX_FRAME_BYTES;
use tokio_tungstenite::WebSocketStream;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Message, Role, WebSocketConfig};
use tungstenite::{Error, Utf8Bytes};

/// A WebSocket on an upgraded connection.
pub(super) type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// The writing half.
pub(super) type Sink = SplitSink<Socket, Message>;

/// Size of the read buffer: room for nearly every message. Allocated for each socket, even idle ones; the library's
/// default is 128 KiB.
const READ_BUFFER: usize = 2 * 1024;

/// How much is buffered before it is written. Allocated only while something waits.
const GATHERED: usize = 4 * 1024;

/// Most bytes of a message in one fragment. The library copies each fragment.
const PIECE: usize = 64 * 1024;

/// Most bytes that the library buffers for one socket: a fragment, with what was buffered before it.
const WRITE_BUFFER: usize = 4 * PIECE;

/// A request that asks for an upgrade.
pub(crate) struct Upgrade {
    key: HeaderValue,
    ready: OnUpgrade,
}

impl Upgrade {
    /// Combines axum's verdict with what the upgrade needs; returns the refusal if the request is no upgrade.
    pub(super) fn of(
        ready: Option<OnUpgrade>,
        headers: &HeaderMap,
        found: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    ) -> Result<Self, Box<Response>> {
        let _ = found.map_err(|rejection| Box::new(rejection.into_response()))?; // only its checks are of use
        let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        let refused = || Box::new(StatusCode::UPGRADE_REQUIRED.into_response());
        let (key, ready) = key.zip(ready).ok_or_else(refused)?;
        Ok(Self { key, ready })
    }

    /// Answers the request, and calls `run` with the socket once the answer is written.
    pub(super) fn on_upgrade<F>(self, run: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { key, ready } = self;
        tokio::spawn(async move {
            // Fails if the client has gone away before.
            if let Ok(upgraded) = ready.await {
                let io = TokioIo::new(upgraded);
                run(WebSocketStream::from_raw_socket(io, Role::Server, Some(shape())).await).await;
            }
        });
        let accept = derive_accept_key(key.as_bytes());
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).expect("base64")),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

/// The buffers and limits of every socket.
fn shape() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(GATHERED)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
}

/// Writes a text message, a large one in fragments (RFC 6455 5.4): each waits until the one before is written. The
/// client sees one message.
pub(super) async fn feed(sink: &mut Sink, text: Bytes) -> Result<(), Error> {
    if text.len() <= PIECE {
        // Frames come from our own encoder, so they are UTF-8.
        let text = Utf8Bytes::try_from(text).expect("frames are JSON");
        return sink.feed(Message::Text(text)).await;
    }
    let (mut rest, mut kind) = (text, Data::Text);
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(PIECE));
        sink.feed(Message::Frame(Frame::message(piece, OpCode::Data(kind), rest.is_empty()))).await?;
        kind = Data::Continue;
    }
    Ok(())
}
