//! The server as a function: [`serve`] takes the settings, a listener and a future that resolves when it is time to
//! stop, so tests run the same server as `natter`.
//!
//! `router` lists every route and layer on one screen, and each file beside it is one of them: `ws` is the socket,
//! `forms` the plain forms, `page` the rendered pages, `assets` the files; `origin`, `limits`, `headers` and `client`
//! are middleware. None of them holds a rule of the chat: those live in `chat`.

// A page is one type, and the futures that render it nest deeply.
#![recursion_limit = "256"]

mod accept;
mod admission;
mod answer;
mod assets;
pub mod cli;
mod client;
pub mod config;
mod cookies;
mod device;
mod flash;
mod forms;
mod front;
mod headers;
pub mod host;
mod hosts;
mod limits;
mod logins;
mod origin;
mod page;
mod plain;
mod private;
mod public_origin;
mod refusal;
mod router;
mod slots;
mod state;
pub mod telemetry;
mod ws;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chat::{Chat, Options};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use accept::Door;
use admission::{Gate, Patience};
pub use config::{Config, Limits};
use front::Front;
use hosts::Hosts;
pub use public_origin::PublicOrigin;
use state::{AppState, Sockets};

/// Connections still open this long after the stop are cut.
const LAST_CALL: Duration = Duration::from_secs(10);

/// How long shutdown waits for the last commits: a stuck disk must not keep the process alive.
const LAST_COMMITS: Duration = Duration::from_secs(4);

/// Why the server could not start, or a command failed: sentences for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder or its database cannot be opened.
    #[error(transparent)]
    Open(#[from] chat::OpenError),
    /// A backup could not be made or restored.
    #[error(transparent)]
    Backup(#[from] chat::BackupError),
    /// The address is in use, or not this machine's.
    #[error("{0} cannot be listened on: {1}. Name another address with {2}.")]
    Listen(SocketAddr, std::io::Error, &'static str),
    /// The new password or its user was refused.
    #[error("{0}")]
    Refused(String),
    /// Standard input or output failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether the settings have to change: the data is in a folder where others could replace Natter's files.
    #[must_use]
    pub fn is_a_wrong_setting(&self) -> bool {
        match self {
            Self::Open(error) | Self::Backup(chat::BackupError::Open(error)) => error.is_unsafe_folder(),
            _ => false,
        }
    }
}

/// Serves until SIGTERM or Ctrl-C. Prints one line on standard output once it listens. Call [`more_descriptors`] first.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(serve: cli::Serve) -> Result<(), Error> {
    for name in cli::unknown_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!(name, "this variable is no setting of this version; see natter --help");
    }
    let address = serve.listen;
    let config = Config::from(serve);
    if config.limits.is_none() {
        tracing::warn!("limits are off: anybody can flood this server; this is for load tests only");
    }
    let listener = bind(address, "--listen")?;
    serve_until(config, listener, told_to_stop()?, |bound, private| {
        let private = private.map(|private| format!("\nNatter's private listener is on http://{private}"));
        println!("Natter is listening on http://{bound}{}", private.unwrap_or_default()); // in a single write
    })
    .await
}

/// Serves on a listener until `shutdown` resolves, then drains the connections, within 15 s.
///
/// # Errors
/// The data folder cannot be used.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    serve_until(config, listener, shutdown, |_, _| {}).await
}

async fn serve_until(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
    listening: impl FnOnce(SocketAddr, Option<SocketAddr>),
) -> Result<(), Error> {
    let private = match config.private_listen {
        Some(address) => Some(bind(address, "--private-listen")?),
        None => None,
    };
    if private.is_some() {
        telemetry::count();
    }
    let mut shutdown = std::pin::pin!(shutdown);
    let chat = tokio::select! {
        chat = Chat::open(&config.data, options(&config)) => chat?,
        () = &mut shutdown => return Ok(()), // stopped during a long check
    };
    let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
    let front = Front::open()?;
    let is_open = !config.public_origin.as_ref().is_some_and(PublicOrigin::is_secure);
    let (gate, window) = (Gate::new(&config), config.drain_window);
    let patience = config.patience;
    let taking = Patience { answer: config.answer_patience, socket: config.stall };
    let sockets = Sockets { threads: Handle::current(), running: connections.clone() };
    let hosts = Hosts::new(config.public_origin.clone(), &config.also_hosts);
    let router = router::router(AppState::new(chat.clone(), config, sockets));
    let door = Arc::new(Door { threads: front.handle(), gate, router, patience, taking });
    let bound = listener.local_addr()?;
    tracing::info!(%bound, "listening");
    if is_open && !bound.ip().to_canonical().is_loopback() {
        tracing::warn!(
            %bound,
            "plain http beyond this machine: whoever is on the way reads passwords and messages; put a proxy with TLS \
             in front and name its address with --public-origin https://..."
        );
    }
    listening(bound, private.as_ref().and_then(|private| private.local_addr().ok()));
    let _private = private.map(|private| watched(private, &chat, hosts, stop.clone(), &door));
    tokio::select! {
        () = accept::accept(listener, door, stop.clone(), connections.clone()) => {}
        () = &mut shutdown => tracing::info!("stopping"),
    }
    stop.cancel(); // fails readiness first
    chat.drain(window);
    connections.close();
    if tokio::time::timeout(LAST_CALL, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "cutting the connections that are left");
    }
    if tokio::time::timeout(LAST_COMMITS, chat.close()).await.is_err() {
        tracing::error!("the disk does not take the last commits: what was not acknowledged may be lost");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Serves the private listener until the returned handle drops, at the very end of the server.
fn watched(
    listener: TcpListener,
    chat: &Chat,
    hosts: Hosts,
    stopping: CancellationToken,
    users: &Door,
) -> AbortOnDropHandle<()> {
    let router = private::router(chat.clone(), hosts, stopping);
    let Door { patience, taking, .. } = *users;
    let door = Arc::new(Door { threads: Handle::current(), gate: Gate::private(), router, patience, taking });
    AbortOnDropHandle::new(tokio::spawn(async move {
        let (never, connections) = (CancellationToken::new(), TaskTracker::new());
        tokio::join!(accept::accept(listener, door, never, connections), private::upkeep());
    }))
}

fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, Error> {
    accept::listen(address).map_err(|error| Error::Listen(address, error, setting))
}

/// File descriptors that the kernel's table has room for from the start: 128 KiB of its memory.
const DESCRIPTORS: u64 = 16 * 1024;

/// Raises the limit of open files as far as this process may, since every connection is a file descriptor. The usual
/// 1,024 is a default, kept low for programs that use `select`.
///
/// Call it before starting threads. Linux doubles its descriptor table whenever that is full, and in a threaded process
/// it waits for an RCU grace period each time (`expand_fdtable` and `synchronize_rcu` in `fs/file.c`): 20 ms in which
/// nothing can be opened or accepted, five times while a thousand connections arrive.
pub fn more_descriptors() {
    let most = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the limit of open files stays as it is");
        1024
    });
    let highest = i32::try_from(most.min(DESCRIPTORS)).unwrap_or(i32::MAX).saturating_sub(1);
    // Duplicates a descriptor to the highest slot and closes it again: the table never shrinks.
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), highest) {
        tracing::debug!(%error, "descriptors are made room for as they come");
    }
}

/// Sets a new password, read from the first line of standard input, and ends the user's logins.
///
/// # Errors
/// A sentence for the operator.
pub async fn set_password(data: &Path, name: &str) -> Result<(), Error> {
    use std::io::IsTerminal;
    if !data.join("natter.sqlite").exists() {
        let reason = format!("There is no Natter in the folder {}. Name it with --data.", data.display());
        return Err(Error::Refused(reason));
    }
    let password = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("New password for {name}: "))?
    } else {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    let chat = Chat::open_beside(data).await?;
    let done = chat.set_password(name, password).await;
    chat.close().await;
    done.map_err(|error| Error::Refused(error.into_fault().reason))?;
    println!("{name} has a new password and is signed out everywhere.");
    Ok(())
}

/// Writes everything into one new file, even while a server runs, and reports it on standard output.
///
/// # Errors
/// A sentence for the operator.
pub async fn backup(data: &Path, file: &Path) -> Result<(), Error> {
    let chat::Contents { bytes, users, messages } = chat::backup(data, file).await?;
    let (file, kib) = (file.display(), bytes.div_ceil(1024));
    println!("{file} holds {users} users and {messages} messages now, in {kib} KiB.");
    Ok(())
}

/// Replaces the database with a backup, and reports it on standard output.
///
/// # Errors
/// A sentence for the operator.
pub async fn restore(data: &Path, file: &Path) -> Result<(), Error> {
    let chat::Restored { contents, replaced, logins } = chat::restore(data, file).await?;
    let chat::Contents { users, messages, .. } = contents;
    let what = format!("{} is back: {users} users and {messages} messages", file.display());
    let who = match logins {
        0 => "everybody signs in again".into(),
        logins => format!("{logins} logins go on"),
    };
    match replaced {
        Some(replaced) => println!(
            "{what}; {who}. What it replaced is {}: remove it when you do not need it, since no deletion reaches it.",
            replaced.display()
        ),
        None => println!("{what}; {who}."),
    }
    Ok(())
}

fn options(config: &Config) -> Options {
    Options {
        open_registration: config.open_registration,
        registrations_per_day: config.limits.map(|limits| limits.registrations_per_day),
        hold_back_guesses: config.limits.is_some(),
        hold_back_invitations: config.limits.is_some(),
        logins_per_user: config.logins_per_user,
        messages_per_second: config.limits.map(|limits| limits.messages_per_second),
        message_burst: config.limits.unwrap_or_default().message_burst,
        reading_pace: config.limits.map(|limits| limits.reading_pace()),
        under_way: config.limits.map(|limits| limits.under_way()),
        conversations: config.limits.map(|limits| limits.conversations_per_user),
        text_per_second: config.limits.map(|limits| limits.text_per_second.saturating_mul(1024)),
        text_burst: config.limits.unwrap_or_default().text_burst.saturating_mul(1024),
        text_per_day: config.limits.map(|limits| u64::from(limits.text_per_day) << 20),
        disk_floor: config.limits.map(|limits| u64::from(limits.disk_floor) << 20).filter(|floor| *floor > 0),
        ..Options::default()
    }
}

/// Resolves on SIGTERM or Ctrl-C. Catches signals from this call on, even before the future is awaited.
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
