//! An echo socket for the Autobahn test suite, with the same upgrade, buffers, limits, writing and closing as the
//! chat's socket, but without the chat. Only with the feature `echo`, never in a release.

use axum::extract::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use http::HeaderMap;
use hyper::upgrade::OnUpgrade;
use tungstenite::protocol::Message;

use super::dispatch::End;
use super::upgrade::{Socket, Upgrade};
use super::{say_goodbye, write};

/// `GET /echo`: needs no login.
pub(crate) async fn upgrade(
    ready: Option<Extension<OnUpgrade>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match Upgrade::of(ready.map(|ready| ready.0), &headers, upgrade) {
        Ok(upgrade) => upgrade.on_upgrade(run),
        Err(answer) => *answer,
    }
}

async fn run(socket: Socket) {
    let (mut sink, mut stream) = socket.split();
    let end = loop {
        let said = match stream.next().await {
            Some(Ok(Message::Text(text))) => write(&mut sink, [text.into()].into()).await,
            Some(Ok(bytes @ Message::Binary(_))) => sink.send(bytes).await.map_err(End::of_error),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => sink.flush().await.map_err(End::of_error),
            Some(Ok(Message::Close(_) | Message::Frame(_))) => break End::LEFT,
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
