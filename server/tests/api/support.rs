//! Test servers, test users, and matchers for the frames they wait for.

mod natter;
mod passwords;

use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use chat::OpenError;
use headless::{Backoff, Client, Http, LIMIT};
pub use natter::{Natter, natter, run};
pub use passwords::{patiently, set_password};
use protocol::{
    Answer, Asked, InviteId, LiveMessage, Outcome, Presence, Refused, SearchNotice, ServerFrame, SessionId,
    UserId,
};
use server::Config;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The public origin of a server behind https.
pub const PUBLIC: &str = "https://chat.example.org";

/// Everybody's password.
pub const PASSWORD: &str = "correct horse";

/// A server inside the test process.
pub struct TestServer {
    pub base: String,
    data: TempDir,
    stop: oneshot::Sender<()>,
    served: Served,
}

type Served = JoinHandle<Result<(), server::Error>>;

impl TestServer {
    /// Starts a server with an empty database and without limits.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), "127.0.0.1:0", change).await
    }

    async fn on(data: TempDir, address: &str, change: impl FnOnce(&mut Config)) -> Self {
        static DESCRIPTORS: Once = Once::new(); // both ends of every connection are in this process
        DESCRIPTORS.call_once(server::more_descriptors);
        let mut config = Config::new(data.path());
        config.limits = None;
        change(&mut config);
        // A process that another test forks keeps our open files until its `exec`, so what we closed may still be in
        // use for a moment.
        within("the server to start", async move {
            loop {
                match Self::attempt(&config, address).await {
                    Some((base, stop, served)) => return Self { base, data, stop, served },
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        })
        .await
    }

    /// Returns `None` if the address or the folder is in use.
    async fn attempt(config: &Config, address: &str) -> Option<(String, oneshot::Sender<()>, Served)> {
        let listener = match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => return None,
            listener => listener.unwrap(),
        };
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served =
            tokio::spawn(server::serve(config.clone(), listener, async move { drop(stopped.await) }));
        match Http::new(&base).get("/api/nothing").await {
            Ok(_) => Some((base, stop, served)),
            Err(error) => match served.await.unwrap() {
                Err(server::Error::Open(OpenError::InUse(_))) => None,
                ended => panic!("{ended:?}: {error}"),
            },
        }
    }

    /// Starts a server configured as if behind a proxy that terminates TLS.
    pub async fn behind_https(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(|config| {
            config.public_origin = Some(PUBLIC.parse().unwrap());
            change(config);
        })
        .await
    }

    /// Returns a client without an account that uses the public address of a server behind https.
    pub fn outside(&self) -> Client {
        let mut client = self.client();
        client.http = Http::new(&self.base).with_header("Host", "chat.example.org");
        client
    }

    /// Stops gracefully and starts again, at the same address with the same data.
    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same, with some settings changed.
    pub async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { base, data, stop, served } = self;
        stop.send(()).unwrap();
        within("the server to stop", served).await.unwrap().unwrap();
        Self::on(data, base.strip_prefix("http://").unwrap(), change).await
    }

    /// Returns the database file.
    pub fn database(&self) -> PathBuf {
        self.data.path().join("natter.sqlite")
    }

    /// Returns a client without an account.
    pub fn client(&self) -> Client {
        client(&self.base)
    }

    /// Returns a client with an account, signed in, without a socket.
    pub async fn user(&self, name: &str) -> Client {
        user(&self.base, name).await
    }

    /// Returns a client with an account, signed in and connected.
    pub async fn online(&self, name: &str) -> Client {
        let mut client = self.user(name).await;
        client.online().await.unwrap();
        client
    }

    /// Connects another device of the same user.
    pub async fn other_device(&self, of: &Client) -> Client {
        let mut client = self.client();
        client.login(&of.me().username, PASSWORD).await.unwrap();
        client.online().await.unwrap();
        client
    }

    /// Returns Ada and Bob, connected and in a session.
    pub async fn pair(&self) -> (Client, Client, SessionId) {
        let (mut ada, mut bob) = (self.online("Ada").await, self.online("Bob").await);
        let session = befriend(&mut ada, &mut bob).await;
        (ada, bob, session)
    }
}

/// Returns a client without an account that reconnects quickly.
fn client(base: &str) -> Client {
    let mut client = Client::new(base);
    client.set_backoff(Backoff::new(Duration::from_millis(20), Duration::from_millis(200)));
    client
}

/// Returns a client with an account, signed in.
async fn user(base: &str, name: &str) -> Client {
    let mut client = client(base);
    client.register(name, PASSWORD).await.unwrap();
    client.login(name, PASSWORD).await.unwrap();
    client
}

/// Lets `one` invite `other`, who accepts, and waits until both know the session.
pub async fn befriend(one: &mut Client, other: &mut Client) -> SessionId {
    one.search(&other.me().username).await.unwrap();
    let (invite, _) = other.expect("an invitation", invited).await.unwrap();
    other.answer(invite, Answer::Accepted).await.unwrap();
    let session = accepted_session(one).await;
    knows(one, session).await;
    knows(other, session).await;
    session
}

/// Begins a group and takes others into it, who all know everybody in the end.
pub async fn gather(host: &mut Client, guests: &mut [&mut Client]) -> SessionId {
    let session = host.begin("A group").await.unwrap();
    for guest in &mut *guests {
        let username = guest.me().username.clone();
        host.ask(Asked { username, session_id: Some(session), leave: false }).await.unwrap();
        let (invite, _) = guest.expect("an invitation", invited).await.unwrap();
        guest.answer(invite, Answer::Accepted).await.unwrap();
        assert_eq!(accepted_session(host).await, session);
    }
    let all = guests.len() + 1;
    let everybody =
        |sync: &protocol::Sync| sync.sessions().get(&session).is_some_and(|s| s.users.len() == all);
    host.wait_for("everybody", everybody).await.unwrap();
    for guest in guests {
        guest.wait_for("everybody", everybody).await.unwrap();
    }
    session
}

/// Waits for the session that an invitation led to, as reported to its sender.
pub async fn accepted_session(client: &mut Client) -> SessionId {
    client.expect("the invitation to be accepted", session_of(Outcome::Accepted)).await.unwrap()
}

/// Waits until the client knows a session's members.
pub async fn knows(client: &mut Client, session: SessionId) {
    let known = |sync: &protocol::Sync| sync.sessions().get(&session).is_some_and(|s| !s.users.is_empty());
    client.wait_for("the session", known).await.unwrap();
}

/// Opens a database while its server has it open.
pub async fn open(database: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database).create_if_missing(true).connect().await.unwrap()
}

/// Returns the texts that a client has of a session, in order.
pub fn texts(client: &Client, session: SessionId) -> Vec<String> {
    client.sync().rows(session).into_iter().map(|row| row.data).collect()
}

/// Waits until a client has exactly these texts.
pub async fn holds(client: &mut Client, session: SessionId, wanted: &[&str]) {
    let held = |sync: &protocol::Sync| sync.rows(session).into_iter().map(|row| row.data).collect::<Vec<_>>();
    client.wait_for(&format!("{wanted:?}"), |sync| held(sync) == wanted).await.unwrap();
}

/// Waits until everything sent to this client so far has arrived: it requests something whose answer comes last.
pub async fn fence(client: &mut Client) {
    let nobody = format!("nobody-{}", InviteId::new().0.simple()).chars().take(32).collect::<String>();
    client.search(&nobody).await.unwrap();
    client.expect("the fence", |frame| outcome(frame).filter(|o| o.username == nobody)).await.unwrap();
}

/// Waits, with a timeout.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// The answer to a search.
pub struct Told {
    pub username: String,
    pub status: Outcome,
    pub reason: String,
    pub invite_id: Option<InviteId>,
    pub session_id: Option<SessionId>,
}

pub fn outcome(frame: &ServerFrame) -> Option<Told> {
    match frame.clone() {
        ServerFrame::Search(SearchNotice::Outcome { username, status, reason, invite_id, session_id }) => {
            Some(Told { username, status, reason, invite_id, session_id })
        }
        _ => None,
    }
}

pub fn outcome_is(wanted: Outcome) -> impl FnMut(&ServerFrame) -> Option<Told> {
    move |frame| outcome(frame).filter(|told| told.status == wanted)
}

pub fn session_of(wanted: Outcome) -> impl FnMut(&ServerFrame) -> Option<SessionId> {
    move |frame| outcome(frame).filter(|told| told.status == wanted)?.session_id
}

pub fn invited(frame: &ServerFrame) -> Option<(InviteId, String)> {
    match frame {
        ServerFrame::Search(SearchNotice::Invited { invite_id, username }) => {
            Some((*invite_id, username.clone()))
        }
        _ => None,
    }
}

pub fn card_closed(frame: &ServerFrame) -> Option<(InviteId, Outcome)> {
    match frame {
        ServerFrame::Search(SearchNotice::Closed { invite_id, status, .. }) => Some((*invite_id, *status)),
        _ => None,
    }
}

/// Matches the session that an invitation led to, as reported to the user who accepted it.
pub fn closed_with(frame: &ServerFrame) -> Option<Option<SessionId>> {
    match frame {
        ServerFrame::Search(SearchNotice::Closed { session_id, .. }) => Some(*session_id),
        _ => None,
    }
}

pub fn refused(frame: &ServerFrame) -> Option<Refused> {
    match frame {
        ServerFrame::Refused(refused) => Some(refused.clone()),
        _ => None,
    }
}

pub fn message(frame: &ServerFrame) -> Option<LiveMessage> {
    match frame {
        ServerFrame::Message(live) => Some(live.clone()),
        _ => None,
    }
}

pub fn status_of(user: UserId, wanted: Presence) -> impl FnMut(&ServerFrame) -> Option<()> {
    move |frame| match frame {
        ServerFrame::Status { user_id, status } if (*user_id, *status) == (user, wanted) => Some(()),
        _ => None,
    }
}
