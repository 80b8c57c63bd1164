//! Accepts connections. HTTP/1 only, on hyper's own builder, because it times out a silent connection: `axum::serve`
//! and hyper-util's auto builder keep one open forever (measured, see docs/ARCHITECTURE.md).
//!
//! Every phase has a deadline: the request head and keep-alive idle time here, the body in `router`, reading the
//! response or what a WebSocket sends in `admission`.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::admission::{Admission, Admitted, Full, Gate, Patience};
use crate::limits;

/// Connections that the kernel queues until we accept them: a storm of reconnects must not be refused. The system may
/// allow fewer (net.core.somaxconn, 4096 on today's Linux).
const BACKLOG: u32 = 4096;

/// How long to back off after accept fails, most likely for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Most unsent bytes that the kernel buffers for a connection before it counts as full, so we notice a client that does
/// not read after these, not after the megabytes that the kernel would buffer. Linux only.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 16 * 1024;

/// Most bytes of a request head, and of a response that hyper buffers: what a stranger can make us hold in memory.
const HEAD: usize = 32 * 1024;

/// How long a client may take to read that there is no room.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// What a listener does with its connections.
pub(crate) struct Door {
    /// The threads that serve their HTTP.
    pub(crate) threads: Handle,
    pub(crate) gate: Gate,
    pub(crate) router: Router,
    /// How long a whole request head may take, from the connection's start or the end of the last response.
    pub(crate) patience: Duration,
    /// How long a client may read nothing of what waits for it.
    pub(crate) taking: Patience,
}

/// Listens for connections, even while some of a server that just stopped linger on the address.
///
/// # Errors
/// The address is in use, or not this machine's.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections forever. On `stop` each finishes its request and closes.
pub(crate) async fn accept(
    listener: TcpListener,
    door: Arc<Door>,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                failing = false;
                match door.gate.admit(peer.ip()) {
                    Ok(ticket) => {
                        let served = serve(stream, peer, ticket, door.clone(), stop.clone());
                        connections.spawn_on(served, &door.threads);
                    }
                    // Gets the reason as long as there is room even for that; else just closed.
                    Err(full) => {
                        if full == Full::Address {
                            limits::log::held_back("connections at once", peer.ip());
                        }
                        if let Some(room) = door.gate.room_to_refuse() {
                            let told = async move {
                                turn_away(stream, full).await;
                                drop(room);
                            };
                            connections.spawn_on(told, &door.threads);
                        }
                    }
                }
            }
            // That connection was gone before we accepted it.
            Err(error) if concerns_one(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no connections are taken");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    ticket: Admission,
    door: Arc<Door>,
    stop: CancellationToken,
) {
    prepare(&stream);
    let (stream, stage) = Admitted::new(stream, ticket, door.taking);
    let service =
        door.router.clone().map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(door.patience)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    stage.no_more_http();
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

fn prepare(stream: &TcpStream) {
    // Frames are small and each is flushed when due: never wait to coalesce them (RFC 896).
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

/// Sends the reason, then reads until the client closes: closing with unread bytes would reset the connection and
/// discard our answer.
async fn turn_away(mut stream: TcpStream, full: Full) {
    let told = async {
        stream.write_all(full.answer().as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(TURN_AWAY, told).await; // too late to care how it went
}
