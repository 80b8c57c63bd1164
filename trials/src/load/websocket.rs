//! As much of RFC 6455 as a load program needs, at little cost: it writes frames into an existing buffer, and reads
//! them in place.
//!
//! Its mask is all zeros. Masking protects proxies from what scripts in browsers send; here there are neither, and
//! any mask costs a server the same work.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Error, dial};

/// Opcodes (RFC 6455, 5.2).
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The key of every handshake: nobody checks the server's proof that it read it.
const KEY: &str = "bm8gc2VjcmV0cyBoZXJlIQ==";

/// Opens a WebSocket for a person. Returns the connection and any bytes that followed the handshake.
///
/// # Errors
/// When the server is unreachable, or answers with anything but 101.
pub async fn open(
    address: SocketAddr,
    person: usize,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<(TcpStream, Vec<u8>), Error> {
    let mut stream = dial(address, person).await?;
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").expect("a string takes everything");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(at) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(Error::protocol("the server closed the connection during the handshake"));
        }
    };
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        let status = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
        return Err(Error::protocol(format!("the handshake was answered with: {status}")));
    }
    answer.drain(..end);
    Ok((stream, answer))
}

/// Appends a text frame.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write(TEXT, text.as_bytes(), out);
}

fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        bytes @ 0..=125 => out.push(0x80 | u8::try_from(bytes).expect("7 bits")),
        bytes => match u16::try_from(bytes) {
            Ok(bytes) => {
                out.push(0x80 | 126);
                out.extend_from_slice(&bytes.to_be_bytes());
            }
            Err(_) => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(bytes as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Reads whole text frames, answers pings, and returns how many bytes it read.
///
/// # Errors
/// When the server closes, or sends what none of ours sends: fragments, binary frames, masked frames.
pub fn read(
    input: &[u8],
    out: &mut Vec<u8>,
    mut text: impl FnMut(&str, &mut Vec<u8>) -> Result<(), Error>,
) -> Result<usize, Error> {
    let mut at = 0;
    while let Some((opcode, payload)) = frame(&input[at..])? {
        match opcode {
            TEXT => {
                let payload = std::str::from_utf8(payload)
                    .map_err(|error| Error::protocol(format!("a text frame is not UTF-8: {error}")))?;
                text(payload, out)?;
            }
            PING => write(PONG, payload, out),
            PONG => {}
            CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Err(Error::protocol(format!("the server closed the socket with {code:?}")));
            }
            _ => return Err(Error::protocol(format!("a frame with the opcode {opcode}"))),
        }
        at += payload_end(&input[at..], payload);
    }
    Ok(at)
}

/// Returns where a payload ends within its frame's bytes.
fn payload_end(input: &[u8], payload: &[u8]) -> usize {
    header_bytes(input[1]) + payload.len()
}

fn header_bytes(length: u8) -> usize {
    match length {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

/// Returns the frame at the beginning of `input`, when it is complete.
fn frame(input: &[u8]) -> Result<Option<(u8, &[u8])>, Error> {
    let &[first, length, ..] = input else { return Ok(None) };
    if first & 0xf0 != 0x80 || length & 0x80 != 0 {
        return Err(Error::protocol("a frame that is fragmented, extended or masked"));
    }
    let Some(header) = input.get(2..header_bytes(length)) else { return Ok(None) };
    let bytes = match *header {
        [] => usize::from(length),
        _ => header.iter().fold(0, |bytes, byte| bytes << 8 | usize::from(*byte)),
    };
    let begin = header_bytes(length);
    Ok(input.get(begin..begin.saturating_add(bytes)).map(|payload| (first & 0x0f, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame as a server sends it.
    fn served(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(opcode, payload, &mut bytes);
        let mask = bytes.len() - payload.len() - 4;
        bytes.drain(mask..mask + 4);
        bytes[1] &= 0x7f;
        bytes
    }

    #[test]
    fn frames_of_every_length_are_read_whole_wherever_they_are_cut() {
        let texts = [String::new(), "a".repeat(125), "b".repeat(126), "c".repeat(70_000)];
        let stream: Vec<u8> = texts.iter().flat_map(|text| served(TEXT, text.as_bytes())).collect();
        for cut in [0, 1, 2, 3, 127, 128, 130, 131, 300, stream.len()] {
            let (mut heard, mut out, mut held) = (Vec::new(), Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part);
                let taken = read(&held, &mut out, |text, _| {
                    heard.push(text.to_owned());
                    Ok(())
                });
                held.drain(..taken.unwrap());
            }
            assert_eq!(heard, texts, "cut at {cut}");
            assert!(held.is_empty() && out.is_empty());
        }
    }

    #[test]
    fn a_ping_is_answered_and_a_close_is_an_error_with_its_code() {
        let mut out = Vec::new();
        let ping = served(PING, b"are you there");
        assert_eq!(read(&ping, &mut out, |_, _| Ok(())).unwrap(), ping.len());
        assert_eq!(out[..2], [0x80 | PONG, 0x80 | 13]);
        let closed = read(&served(CLOSE, &4008_u16.to_be_bytes()), &mut out, |_, _| Ok(()));
        assert!(closed.unwrap_err().to_string().contains("4008"));
    }
}
