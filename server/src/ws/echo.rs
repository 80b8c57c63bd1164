//! A socket that says back what it hears, for the Autobahn test suite: the same upgrade, buffers and limits, the same
//! writing and the same end as those of the chat, without the chat. Only with the feature `echo`, never in a release.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures::{SinkExt, StreamExt};

use super::dispatch::End;
use super::{in_time, say_goodbye, shaped, write};

const STALL: Duration = Duration::from_secs(15);

/// `GET /echo`: for everybody.
pub(crate) async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    shaped(upgrade).on_upgrade(run)
}

async fn run(socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let end = loop {
        let said = match stream.next().await {
            Some(Ok(Message::Text(text))) => write(&mut sink, [text.into()].into(), STALL).await,
            Some(Ok(bytes @ Message::Binary(_))) => in_time(STALL, sink.send(bytes)).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => in_time(STALL, sink.flush()).await,
            Some(Ok(Message::Close(_))) => break End::LEFT,
            None => break End::GONE,
            Some(Err(error)) => break End::of_error(error),
        };
        if let Err(end) = said {
            break end;
        }
    };
    if end != End::GONE {
        say_goodbye(sink, stream, end).await;
    }
}
