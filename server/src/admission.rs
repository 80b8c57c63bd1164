//! Who may have a connection, and what it holds until it closes: even as a WebSocket, which outlives the HTTP
//! connection that it began as.
//!
//! There are as many places as file descriptors, less a few for everything else, and a quota for each address. A
//! trusted proxy brings everybody's connections from one address, so it has no quota, but each address behind it has
//! one, request by request (see `limits`).

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
use crate::slots::{Slot, Slots};

/// File descriptors reserved for everything else: the database's files, the log, the listeners, and connections that
/// are being refused.
const SPARE: usize = 128;

/// Most connections that are being refused with a reason at a time.
const TOLD: usize = 64;

/// Admits connections.
pub(crate) struct Gate {
    all: Arc<Semaphore>,
    addresses: Option<Slots<IpAddr>>,
    proxies: Vec<IpNet>,
    told: Arc<Semaphore>,
    open: Gauge,
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The server has no room for anybody.
    Server,
    /// This address is at its quota.
    Address,
}

/// What a connection holds until it closes.
pub(crate) struct Admission {
    _place: OwnedSemaphorePermit,
    _address: Option<Slot<IpAddr>>,
    _counted: Counted,
}

impl Gate {
    /// Creates the gate of the public listener.
    pub(crate) fn new(config: &Config) -> Self {
        let most = config.connections.unwrap_or_else(room);
        tracing::debug!(most, "connections at a time");
        Self {
            all: Arc::new(Semaphore::new(most)),
            addresses: config.limits.map(|limits| Slots::new(limits.connections_per_address)),
            proxies: config.trusted_proxies.clone(),
            told: Arc::new(Semaphore::new(TOLD)),
            open: metrics::gauge!("natter_connections"),
        }
    }

    /// Creates the gate of the private listener, which few use and whose connections do not count as users'.
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

    /// Takes a place for a connection from this address.
    pub(crate) fn admit(&self, peer: IpAddr) -> Result<Admission, Full> {
        let place = self.all.clone().try_acquire_owned().map_err(|_| Full::Server)?;
        let peer = peer.to_canonical();
        let is_proxy = self.proxies.iter().any(|net| net.contains(&peer));
        let address = match &self.addresses {
            Some(addresses) if !is_proxy => Some(addresses.take(household(peer)).ok_or(Full::Address)?),
            _ => None,
        };
        Ok(Admission { _place: place, _address: address, _counted: Counted::of(self.open.clone()) })
    }

    /// Returns a permit to refuse one more connection with a reason, unless too many are being refused already.
    pub(crate) fn room_to_refuse(&self) -> Option<OwnedSemaphorePermit> {
        self.told.clone().try_acquire_owned().ok()
    }
}

/// Returns how many connections this process has file descriptors for.
fn room() -> usize {
    const FEW: usize = 16;
    let (soft, _) = rlimit::Resource::NOFILE.get().unwrap_or((1024, 1024));
    let most = usize::try_from(soft).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    most.saturating_sub(SPARE).max(FEW)
}

impl Full {
    /// Returns a whole HTTP response, for a request that was not read.
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

/// Counts one more in a gauge for as long as it lives.
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

/// How long a client may read nothing of what waits for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Of a response.
    pub(crate) answer: Duration,
    /// Of what a WebSocket sends.
    pub(crate) socket: Duration,
}

/// The phase of a connection, shared between the task that serves it and [`Admitted`].
#[derive(Default)]
pub(crate) struct Stage {
    no_more_http: AtomicBool,
}

impl Stage {
    /// Marks the connection as closed or upgraded to a WebSocket.
    pub(crate) fn no_more_http(&self) {
        self.no_more_http.store(true, Ordering::Relaxed);
    }
}

/// The byte stream of an admitted connection. Writing fails with [`io::ErrorKind::TimedOut`] when the client has read
/// nothing for too long. Any progress, however small, restarts the clock: a slow line is no attack, and what it holds
/// is bounded elsewhere (its place here, and the bytes in flight to it).
pub(crate) struct Admitted {
    stream: TcpStream,
    patience: Patience,
    stage: Arc<Stage>,
    /// Set while a write waits for the client.
    waiting: Option<Box<Waiting>>,
    _ticket: Admission,
}

/// Since when the client has read nothing. What the kernel still buffers for it counts as unread.
struct Waiting {
    look: Pin<Box<Sleep>>,
    taken_at: Instant,
    held: Option<usize>,
}

/// How often progress is checked within the patience, which is only as exact as one of these intervals.
const LOOKS: u32 = 5;

impl Admitted {
    pub(crate) fn new(stream: TcpStream, ticket: Admission, patience: Patience) -> (Self, Arc<Stage>) {
        let stage = Arc::<Stage>::default();
        let shared = stage.clone();
        (Self { stream, patience, stage, waiting: None, _ticket: ticket }, shared)
    }

    /// Passes on the result of a write, or fails it once the client is out of time.
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

/// Returns the bytes that the kernel buffers and the client's kernel has not acknowledged. `None` where the platform
/// cannot tell: there only a write that succeeds counts as progress.
#[cfg(target_os = "linux")]
fn held(stream: &TcpStream) -> Option<usize> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    #[expect(unsafe_code, reason = "nobody has wrapped it")]
    // SAFETY: the descriptor stays open while the stream is borrowed, and SIOCOUTQ (tcp(7)), which has the same number
    // as TIOCOUTQ, writes one int.
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
