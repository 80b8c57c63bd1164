//! Who may have a connection, and what is kept for it until it is closed: also as a WebSocket, which outlives the HTTP
//! connection that it began as.
//!
//! There are as many places in all as there are file descriptors, less a few for everything else, and so many for each
//! address. A trusted proxy brings everybody's connections from one address: it is not counted, but each address behind
//! it is, request by request (see `limits`).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use chat::household;
use http::StatusCode;
use ipnet::IpNet;
use metrics::Gauge;
use protocol::{Code, Fault};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::config::Config;
use crate::places::{Place, Places};

/// File descriptors kept for everything else: the database's files, the log, the listeners, and whoever is being told
/// that there is no room.
const SPARE: usize = 128;

/// Most connections that are being told so at a time.
const TOLD: usize = 64;

/// What lets connections in.
pub(crate) struct Gate {
    all: Arc<Semaphore>,
    addresses: Option<Places<IpAddr>>,
    proxies: Vec<IpNet>,
    told: Arc<Semaphore>,
    open: Gauge,
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// There is no room for anybody.
    Server,
    /// This address has as many as it may.
    Address,
}

/// What a connection holds until it is closed.
pub(crate) struct Ticket {
    _place: OwnedSemaphorePermit,
    _address: Option<Place<IpAddr>>,
    _counted: Counted,
}

impl Gate {
    /// The gate of everybody's listener.
    pub(crate) fn new(config: &Config) -> Self {
        let most = config.connections.unwrap_or_else(room);
        tracing::debug!(most, "connections at a time");
        Self {
            all: Arc::new(Semaphore::new(most)),
            addresses: config.limits.map(|limits| Places::new(limits.connections_per_address)),
            proxies: config.trusted_proxies.clone(),
            told: Arc::new(Semaphore::new(TOLD)),
            open: metrics::gauge!("natter_connections"),
        }
    }

    /// The gate of the private listener, where few come: theirs are not counted as users'.
    pub(crate) fn private() -> Self {
        const FEW: usize = 16;
        Self {
            all: Arc::new(Semaphore::new(FEW)),
            addresses: None,
            proxies: Vec::new(),
            told: Arc::new(Semaphore::new(0)),
            open: Gauge::noop(),
        }
    }

    /// A place for a connection from this address.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Ticket, Full> {
        let place = self.all.clone().try_acquire_owned().map_err(|_| Full::Server)?;
        let peer = peer.to_canonical();
        let is_proxy = self.proxies.iter().any(|net| net.contains(&peer));
        let address = match &self.addresses {
            Some(addresses) if !is_proxy => Some(addresses.take(household(peer)).ok_or(Full::Address)?),
            _ => None,
        };
        Ok(Ticket { _place: place, _address: address, _counted: Counted::of(self.open.clone()) })
    }

    /// Leave to tell one more that there is no room, while not too many are being told.
    pub(crate) fn room_to_refuse(&self) -> Option<OwnedSemaphorePermit> {
        self.told.clone().try_acquire_owned().ok()
    }
}

/// As many connections as this process has file descriptors for.
fn room() -> usize {
    const FEW: usize = 16;
    let (soft, _) = rlimit::Resource::NOFILE.get().unwrap_or((1024, 1024));
    let most = usize::try_from(soft).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    most.saturating_sub(SPARE).max(FEW)
}

impl Full {
    /// A whole HTTP answer, for a request that was not read.
    pub(crate) fn answer(self) -> String {
        let (status, code, seconds, reason) = match self {
            Full::Server => {
                let reason =
                    "The server has no room for more connections. Please try again in half a minute.";
                (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, 30, reason)
            }
            Full::Address => {
                let reason =
                    "Too many connections from your address at once. Please close some and try again.";
                (StatusCode::TOO_MANY_REQUESTS, Code::TooMany, 5, reason)
            }
        };
        let body = serde_json::to_string(&Fault::new(code, reason)).expect("two texts");
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: {seconds}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// One more in a gauge, for as long as the value lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn of(gauge: Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// How long a client may take nothing of what waits for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Of an answer.
    pub(crate) answer: Duration,
    /// Of what a WebSocket writes.
    pub(crate) socket: Duration,
}

/// What a connection is at this moment, as its server tells its bytes.
#[derive(Default)]
pub(crate) struct Stage {
    no_more_http: AtomicBool,
}

impl Stage {
    /// The connection is closed, or a WebSocket.
    pub(crate) fn no_more_http(&self) {
        self.no_more_http.store(true, Ordering::Relaxed);
    }
}

/// The bytes of a connection that was let in. Writing fails with [`io::ErrorKind::TimedOut`] when the client has taken
/// nothing for as long as it may. However little it takes, and however much waits for it, the time begins again: a slow
/// line is no attack, and what it holds is bounded elsewhere (its place here, and the bytes on their way to it).
pub(crate) struct Admitted {
    stream: TcpStream,
    patience: Patience,
    stage: Arc<Stage>,
    /// While it waits for the client.
    waiting: Option<Box<Waiting>>,
    _ticket: Ticket,
}

/// Since when the client has taken nothing. What the system holds for it counts as not taken.
struct Waiting {
    look: Pin<Box<Sleep>>,
    taken_at: Instant,
    held: Option<usize>,
}

/// How many looks there are in the time in which nothing may be taken: it is exact to one of them.
const LOOKS: u32 = 5;

impl Admitted {
    pub(crate) fn new(stream: TcpStream, ticket: Ticket, patience: Patience) -> (Self, Arc<Stage>) {
        let stage = Arc::<Stage>::default();
        let shared = stage.clone();
        (Self { stream, patience, stage, waiting: None, _ticket: ticket }, shared)
    }

    /// Passes on how a write went; an error when the client has had its time.
    fn in_time(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let Patience { answer, socket } = self.patience;
        let patience = if self.stage.no_more_http.load(Ordering::Relaxed) { socket } else { answer };
        let stream = &self.stream;
        let waiting = self.waiting.get_or_insert_with(|| {
            let look = Box::pin(tokio::time::sleep(patience / LOOKS));
            Box::new(Waiting { look, taken_at: Instant::now(), held: held(stream) })
        });
        while waiting.look.as_mut().poll(cx).is_ready() {
            let (now, held) = (Instant::now(), held(stream));
            if held.zip(waiting.held).is_some_and(|(now, before)| now < before) {
                (waiting.held, waiting.taken_at) = (held, now);
            } else if now - waiting.taken_at >= patience {
                self.waiting = None;
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            waiting.look.as_mut().reset(now + patience / LOOKS);
        }
        Poll::Pending
    }
}

/// The bytes that the system holds for a client and that the client's system has not acknowledged. `None` where nobody
/// can tell: there only what can be written again counts as taken.
#[cfg(target_os = "linux")]
fn held(stream: &TcpStream) -> Option<usize> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    #[expect(unsafe_code, reason = "nobody has wrapped it")]
    // SAFETY: the descriptor is open for as long as the stream is borrowed, and SIOCOUTQ (tcp(7)), which has the number of
    // TIOCOUTQ, writes one int.
    let done = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    (done == 0).then(|| usize::try_from(bytes).ok()).flatten()
}

#[cfg(not(target_os = "linux"))]
fn held(_: &TcpStream) -> Option<usize> {
    None
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
