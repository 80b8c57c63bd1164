//! A proxy that breaks connections: it sits between the clients and the server and gives each connection a fate.
//!
//! The fates come from a seed, in the order of the connections. Of WebSockets it knows only where the server's frames
//! begin and end, so that it can drop whole ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Result;

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Passed,
    /// It is cut after `up` bytes from the client or `down` bytes from the server.
    Cut { up: usize, down: usize },
    /// After this many bytes from the server nothing more comes from it, and neither side notices.
    HalfOpen { down: usize },
    /// Every chunk from the server waits this long.
    Delayed(Duration),
    /// Everything the client sends also goes over a second connection, whose answers are discarded.
    Doubled,
    /// One in this many of the server's messages is lost, and the connection lives on.
    Lossy { one_in: usize },
}

/// How many connections got each fate. A connection may end before its fate strikes.
#[derive(Debug, Default)]
pub(super) struct Fates {
    passed: AtomicUsize,
    cut: AtomicUsize,
    half_open: AtomicUsize,
    delayed: AtomicUsize,
    doubled: AtomicUsize,
    lossy: AtomicUsize,
    frames_lost: AtomicUsize,
}

impl Fates {
    /// Returns whether every fate was given to some connection, and some frames were lost.
    pub(super) fn all_met(&self) -> bool {
        let Self { passed, cut, half_open, delayed, doubled, lossy, frames_lost } = self;
        let all = [passed, cut, half_open, delayed, doubled, lossy, frames_lost];
        all.iter().all(|met| met.load(Ordering::Relaxed) > 0)
    }
}

impl std::fmt::Display for Fates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} cut, {} half open, {} delayed, {} doubled, {} lossy ({} frames lost), {} passed",
            n(&self.cut),
            n(&self.half_open),
            n(&self.delayed),
            n(&self.doubled),
            n(&self.lossy),
            n(&self.frames_lost),
            n(&self.passed),
        )
    }
}

/// A running proxy. Dropping this ends it and all its connections.
pub(super) struct Proxy {
    /// Where it listens.
    pub(super) base: String,
    pub(super) fates: Arc<Fates>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Starts a proxy in front of the server at `base`.
    pub(super) async fn start(base: &str, random: fastrand::Rng) -> Result<Self> {
        let server = base.strip_prefix("http://").unwrap_or(base).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let (fates, random) = (Arc::new(Fates::default()), Mutex::new(random));
        let counted = fates.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let fate = fate(&mut random.lock().expect("nothing panics under this lock"), &counted);
                connections.spawn(carry(client, server.clone(), fate, counted.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { base, fates, accepting })
    }
}

fn fate(random: &mut fastrand::Rng, fates: &Fates) -> Fate {
    let (fate, counter) = match random.u32(..10) {
        0..=2 => (Fate::Cut { up: random.usize(400..12_000), down: random.usize(200..60_000) }, &fates.cut),
        3 => (Fate::HalfOpen { down: random.usize(1_000..60_000) }, &fates.half_open),
        4 => (Fate::Delayed(Duration::from_millis(random.u64(1..30))), &fates.delayed),
        5 | 6 => (Fate::Doubled, &fates.doubled),
        7 | 8 => (Fate::Lossy { one_in: random.usize(5..50) }, &fates.lossy),
        _ => (Fate::Passed, &fates.passed),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    fate
}

async fn carry(client: TcpStream, server: String, fate: Fate, fates: Arc<Fates>) {
    let Ok(upstream) = TcpStream::connect(&server).await else { return };
    let twin = match fate {
        Fate::Doubled => TcpStream::connect(&server).await.ok(),
        _ => None,
    };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    let (answers, mut twin) = twin.map(TcpStream::into_split).unzip();
    let unread = tokio::spawn(async move {
        if let Some(mut answers) = answers {
            let _ = tokio::io::copy(&mut answers, &mut tokio::io::sink()).await;
        }
    });
    let up = async {
        let limit = if let Fate::Cut { up, .. } = fate { up } else { usize::MAX };
        let _ = pass(&mut from_client, &mut to_server, limit, Duration::ZERO, twin.as_mut()).await;
    };
    let down = async {
        let (limit, wait) = match fate {
            Fate::Cut { down, .. } | Fate::HalfOpen { down } => (down, Duration::ZERO),
            Fate::Delayed(wait) => (usize::MAX, wait),
            _ => (usize::MAX, Duration::ZERO),
        };
        let _ = match fate {
            Fate::Lossy { one_in } => pass_lossy(&mut from_server, &mut to_client, one_in, &fates).await,
            _ => pass(&mut from_server, &mut to_client, limit, wait, None).await,
        };
    };
    match fate {
        // Neither side notices: the client's bytes still go up, and nothing comes down any more.
        Fate::HalfOpen { .. } => drop(tokio::join!(up, down)),
        // The direction that ends first ends both.
        _ => tokio::select! { () = up => {}, () = down => {} },
    }
    unread.abort();
}

/// Forwards up to `limit` bytes, each chunk after a wait, and also to the twin if there is one.
async fn pass(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut limit: usize,
    wait: Duration,
    mut twin: Option<&mut OwnedWriteHalf>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    while limit > 0 {
        let room = buffer.len().min(limit);
        let count = from.read(&mut buffer[..room]).await?;
        if count == 0 {
            break;
        }
        sleep(wait).await;
        if let Some(twin) = &mut twin {
            let _ = twin.write_all(&buffer[..count]).await; // the twin does not matter
        }
        to.write_all(&buffer[..count]).await?;
        limit = limit.saturating_sub(count);
    }
    Ok(())
}

/// Forwards what the server sends, except some of the messages. It never drops anything else: TCP guarantees that
/// answers arrive, but a message may get lost between a server's parts.
async fn pass_lossy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    one_in: usize,
    fates: &Fates,
) -> std::io::Result<()> {
    let head = read_head(from).await?;
    to.write_all(&head).await?;
    if !head.starts_with(b"HTTP/1.1 101") {
        return tokio::io::copy(from, to).await.map(drop);
    }
    let mut messages = 0;
    loop {
        let frame = read_frame(from).await?;
        let payload = frame.bytes.get(frame.payload..).unwrap_or_default();
        if payload.starts_with(br#"{"type":"Message""#) {
            messages += 1;
            if messages % one_in == 0 {
                fates.frames_lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        to.write_all(&frame.bytes).await?;
    }
}

/// Reads the head of an HTTP answer, including its empty line.
async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    Ok(head)
}

/// A frame as sent on the wire (RFC 6455 5.2), and where its payload begins.
struct Frame {
    bytes: Vec<u8>,
    payload: usize,
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let mut bytes = vec![0; 2];
    from.read_exact(&mut bytes).await?;
    let extended = match bytes[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = vec![0; extended];
    from.read_exact(&mut length).await?;
    let size = match extended {
        0 => usize::from(bytes[1] & 0x7f),
        _ => length.iter().fold(0, |size, byte| (size << 8) | usize::from(*byte)),
    };
    bytes.extend(&length);
    let payload = bytes.len();
    bytes.resize(payload + size, 0);
    from.read_exact(&mut bytes[payload..]).await?; // a server does not mask
    Ok(Frame { bytes, payload })
}
