//! The bare WebSocket: sends anything, shows everything.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;

use futures::{Sink, SinkExt, StreamExt};
use http::HeaderMap;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

use crate::Error;

/// How to open a socket.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// The server, such as `http://127.0.0.1:3000`.
    pub base: String,
    /// Headers beside those of the upgrade itself: cookie, origin.
    pub headers: HeaderMap,
    /// How many bytes the system buffers before they are read; small, for a slow reader.
    pub receive_buffer: Option<u32>,
    /// The local address to connect from, when it matters.
    pub from: Option<IpAddr>,
}

/// What comes out of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A text frame.
    Text(String),
    /// A binary frame, which Natter never sends.
    Binary(Vec<u8>),
    /// The end, with the server's code when it sent one. Nothing follows.
    Closed(Option<u16>),
}

/// An open WebSocket. Dropping it drops the TCP connection, without a close frame.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// Messages accepted for sending but not handed to the socket yet: kept here so that a caller who stops waiting
    /// halfway loses none.
    outgoing: VecDeque<Message>,
}

async fn connect(
    authority: &str,
    receive_buffer: Option<u32>,
    from: Option<IpAddr>,
) -> std::io::Result<TcpStream> {
    if receive_buffer.is_none() && from.is_none() {
        return TcpStream::connect(authority).await;
    }
    let unknown = || std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    let address = tokio::net::lookup_host(authority).await?.next().ok_or_else(unknown)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?; // takes effect only before connecting
    }
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(address).await
}

impl Socket {
    /// Opens a socket.
    ///
    /// # Errors
    /// [`Error::Upgrade`] with the status when the server answers with anything but 101.
    pub async fn open(handshake: &Handshake) -> Result<Self, Error> {
        let authority = handshake.base.strip_prefix("http://").unwrap_or(&handshake.base);
        let tcp = connect(authority, handshake.receive_buffer, handshake.from).await?;
        tcp.set_nodelay(true)?;
        let mut request = format!("ws://{authority}/ws").into_client_request()?;
        for (name, value) in &handshake.headers {
            if name == http::header::HOST {
                request.headers_mut().remove(name); // there is one already, and there may be only one
            }
            request.headers_mut().append(name, value.clone());
        }
        // Small buffers: a load program holds thousands of these.
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        match tokio_tungstenite::client_async_with_config(request, tcp, Some(config)).await {
            Ok((stream, _)) => Ok(Self { stream, outgoing: VecDeque::new() }),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                Err(Error::Upgrade(answer.status().as_u16()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Queues a text for the next [`Socket::flush`].
    pub fn queue(&mut self, text: String) {
        self.outgoing.push_back(Message::text(text));
    }

    /// Sends what is queued. Cancel safe: dropped halfway and called again, it loses nothing and sends nothing twice.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn flush(&mut self) -> Result<(), Error> {
        while !self.outgoing.is_empty() {
            poll_fn(|cx| Pin::new(&mut self.stream).poll_ready(cx)).await?;
            if let Some(message) = self.outgoing.pop_front() {
                Pin::new(&mut self.stream).start_send(message)?;
            }
        }
        Ok(SinkExt::<Message>::flush(&mut self.stream).await?)
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.queue(text.into());
        self.flush().await
    }

    /// Sends a binary frame.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.outgoing.push_back(Message::binary(bytes));
        self.flush().await
    }

    /// Sends a frame marked as text, with any bytes.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send_broken_text(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        self.outgoing.push_back(Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true)));
        self.flush().await
    }

    /// Waits for the next event. Never an error: a broken connection is [`Event::Closed`] without a code.
    pub async fn next(&mut self) -> Event {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Event::Text(text.to_string()),
                Some(Ok(Message::Binary(bytes))) => return Event::Binary(bytes.to_vec()),
                Some(Ok(Message::Close(frame))) => {
                    return Event::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(_)) | None => return Event::Closed(None),
            }
        }
    }

    /// Sends a close frame, and waits for the server's.
    ///
    /// # Errors
    /// When the socket is gone already.
    pub async fn close(mut self) -> Result<(), Error> {
        self.stream.close(None).await?;
        while self.stream.next().await.is_some_and(|message| message.is_ok()) {}
        Ok(())
    }
}
