//! One person's connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use tokio::net::TcpSocket;

use super::{Error, Heard, Talk};

/// One person's connection: a socket, how they talk over it, and the bytes in flight. Buffers are allocated only when
/// needed, so an idle line costs little.
#[derive(Debug)]
pub struct Line<T> {
    pub(super) stream: TcpStream,
    talk: T,
    /// The beginning of a frame whose rest has not arrived.
    input: Vec<u8>,
    /// What the socket has not taken yet.
    output: Vec<u8>,
}

impl<T: Talk> Line<T> {
    /// Creates a line over a connection whose handshake is done. `input` is what arrived after it, `output` what is
    /// still to be sent.
    ///
    /// # Errors
    /// When the system does not hand over the socket.
    pub fn new(
        stream: tokio::net::TcpStream,
        talk: T,
        input: Vec<u8>,
        output: Vec<u8>,
    ) -> Result<Self, Error> {
        Ok(Self { stream: TcpStream::from_std(stream.into_std()?), talk, input, output })
    }

    /// Queues a message. It goes out with the next [`Line::flush`].
    pub(super) fn say(&mut self, id: uuid::Uuid, text: &str) {
        self.talk.say(id, text, &mut self.output);
    }

    /// Sends what is queued. Returns false when the socket takes no more for now.
    pub(super) fn flush(&mut self) -> Result<bool, Error> {
        let mut sent = 0;
        let taken = loop {
            if sent == self.output.len() {
                break Ok(true);
            }
            match self.stream.write(&self.output[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error.into()),
            }
        };
        self.output.drain(..sent);
        taken
    }

    /// Returns whether something is waiting to be sent.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads everything the socket has, through `buffer`, which all lines share.
    pub(super) fn listen(
        &mut self,
        buffer: &mut [u8],
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), Error> {
        if !self.input.is_empty() {
            self.hear_on(&[], heard)?; // what came with the handshake
        }
        loop {
            let bytes = match self.stream.read(buffer) {
                Ok(0) => return Err(Error::protocol("the server closed the connection")),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.hear_on(&buffer[..bytes], heard)?;
            if bytes < buffer.len() {
                return Ok(()); // that was all: the loop gets an event when there is more
            }
        }
    }

    /// Processes `new`, after what was left over from earlier reads.
    fn hear_on(&mut self, new: &[u8], heard: &mut dyn FnMut(Heard<'_>)) -> Result<(), Error> {
        if self.input.is_empty() {
            let taken = self.talk.hear(new, &mut self.output, heard)?;
            self.input.extend_from_slice(&new[taken..]);
        } else {
            self.input.extend_from_slice(new);
            let taken = self.talk.hear(&self.input, &mut self.output, heard)?;
            self.input.drain(..taken);
        }
        if self.input.is_empty() && self.input.capacity() > 16 * 1024 {
            self.input = Vec::new();
        }
        Ok(())
    }
}

/// Connections from one source address before moving to the next: the system has some 28,000 ports for each.
const PER_SOURCE: usize = 20_000;

/// Opens a TCP connection for a person. Within this machine every 20,000 people share a source address, as one address
/// does not have enough ports for more.
///
/// # Errors
/// When the server is unreachable, or the system is out of sockets.
pub async fn dial(address: SocketAddr, person: usize) -> Result<tokio::net::TcpStream, Error> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) && person >= PER_SOURCE {
        let host = u8::try_from(2 + person / PER_SOURCE).unwrap_or(u8::MAX);
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0)))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
