//! Servers to test against, people to test with, and words for the frames they wait for.

use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Once;
use std::time::Duration;

use chat::OpenError;
use headless::{Backoff, Client, Http, LIMIT};
use protocol::{
    Answer, InviteId, LiveMessage, Outcome, Presence, Refused, SearchNotice, ServerFrame, SessionId, UserId,
};
use server::Config;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Everybody's password.
pub const PASSWORD: &str = "correct horse";

/// A server inside the test's process.
pub struct TestServer {
    pub base: String,
    data: TempDir,
    stop: oneshot::Sender<()>,
    served: Served,
}

type Served = JoinHandle<Result<(), server::Error>>;

impl TestServer {
    /// A server with an empty database and without limits.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), "127.0.0.1:0", change).await
    }

    async fn on(data: TempDir, address: &str, change: impl FnOnce(&mut Config)) -> Self {
        static DESCRIPTORS: Once = Once::new(); // both ends of every connection are this process's
        DESCRIPTORS.call_once(|| drop(rlimit::increase_nofile_limit(u64::MAX)));
        let mut config = Config::new(data.path());
        config.limits = None;
        change(&mut config);
        // A process that another test begins holds all that is open here until it has become its program: for a moment
        // what was closed is in use still.
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

    /// `None` when the address or the folder is in use.
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

    /// Stops in good order and starts again, at the same address with the same data.
    pub async fn restart(self) -> Self {
        let Self { base, data, stop, served } = self;
        stop.send(()).unwrap();
        within("the server to stop", served).await.unwrap().unwrap();
        Self::on(data, base.strip_prefix("http://").unwrap(), |_| {}).await
    }

    /// The folder with everything.
    pub fn folder(&self) -> &Path {
        self.data.path()
    }

    /// The database's file.
    pub fn database(&self) -> PathBuf {
        self.data.path().join("natter.sqlite")
    }

    /// Somebody without an account.
    pub fn client(&self) -> Client {
        let mut client = Client::new(&self.base);
        client.set_backoff(Backoff::new(Duration::from_millis(20), Duration::from_millis(200)));
        client
    }

    /// Somebody with an account, signed in, without a socket.
    pub async fn user(&self, name: &str) -> Client {
        let mut client = self.client();
        client.register(name, PASSWORD).await.unwrap();
        client.login(name, PASSWORD).await.unwrap();
        client
    }

    /// Somebody with an account, signed in and connected.
    pub async fn online(&self, name: &str) -> Client {
        let mut client = self.user(name).await;
        client.online().await.unwrap();
        client
    }

    /// Another device of the same person, connected.
    pub async fn other_device(&self, of: &Client) -> Client {
        let mut client = self.client();
        client.login(&of.me().username, PASSWORD).await.unwrap();
        client.online().await.unwrap();
        client
    }

    /// Ada and Bob, connected and in a session.
    pub async fn pair(&self) -> (Client, Client, SessionId) {
        let (mut ada, mut bob) = (self.online("Ada").await, self.online("Bob").await);
        let session = befriend(&mut ada, &mut bob).await;
        (ada, bob, session)
    }
}

/// One invites, the other accepts, both know the session.
pub async fn befriend(one: &mut Client, other: &mut Client) -> SessionId {
    one.search(&other.me().username).await.unwrap();
    let (invite, _) = other.expect("an invitation", invited).await.unwrap();
    other.answer(invite, Answer::Accepted).await.unwrap();
    let session = accepted_session(one).await;
    knows(one, session).await;
    knows(other, session).await;
    session
}

/// The session that an invitation led to, as its sender is told.
pub async fn accepted_session(client: &mut Client) -> SessionId {
    client.expect("the invitation to be accepted", session_of(Outcome::Accepted)).await.unwrap()
}

/// Waits until the client knows who is in a session.
pub async fn knows(client: &mut Client, session: SessionId) {
    let known = |sync: &protocol::Sync| sync.sessions().get(&session).is_some_and(|s| !s.users.is_empty());
    client.wait_for("the session", known).await.unwrap();
}

/// Opens a database beside the server that has it.
pub async fn open(database: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database).create_if_missing(true).connect().await.unwrap()
}

/// The texts a client holds of a session, in order.
pub fn texts(client: &Client, session: SessionId) -> Vec<String> {
    client.sync().rows(session).into_iter().map(|row| row.data).collect()
}

/// Waits until a client holds exactly these texts.
pub async fn holds(client: &mut Client, session: SessionId, wanted: &[&str]) {
    let held = |sync: &protocol::Sync| sync.rows(session).into_iter().map(|row| row.data).collect::<Vec<_>>();
    client.wait_for(&format!("{wanted:?}"), |sync| held(sync) == wanted).await.unwrap();
}

/// Lets everything that was sent to this client so far arrive: it asks for something whose answer comes last.
pub async fn fence(client: &mut Client) {
    let nobody = format!("nobody-{}", InviteId::new().0.simple()).chars().take(32).collect::<String>();
    client.search(&nobody).await.unwrap();
    client.expect("the fence", |frame| outcome(frame).filter(|o| o.username == nobody)).await.unwrap();
}

/// Waits, but not for ever.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// What a searcher is told.
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

pub fn card_closed(frame: &ServerFrame) -> Option<(InviteId, Answer)> {
    match frame {
        ServerFrame::Search(SearchNotice::Closed { invite_id, status }) => Some((*invite_id, *status)),
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

/// The binary itself, as a process of its own.
pub struct Natter {
    child: Child,
    pub base: String,
    /// Where it tells how it is, when it was asked to.
    pub private: Option<String>,
    data: PathBuf,
    args: Vec<String>,
    /// What a shell does before it becomes the server.
    shell: String,
}

impl Natter {
    /// Starts it on this data, at a free port and without limits, and waits until it says that it is listening.
    pub async fn start(data: &Path) -> Self {
        Self::with(data, &["--limits", "off"]).await
    }

    /// The same with other settings.
    pub async fn with(data: &Path, args: &[&str]) -> Self {
        Self::under("true", data, args).await
    }

    /// The same after a command of the shell, such as `ulimit`.
    pub async fn under(shell: &str, data: &Path, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self::at(shell.to_owned(), data, "127.0.0.1:0", args).await
    }

    async fn at(shell: String, data: &Path, address: &str, args: Vec<String>) -> Self {
        let mut child = natter_under(&shell, data)
            .args(["--listen", address])
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let base = address_in(&mut stdout, "Natter is listening on ").await;
        let private = match args.iter().any(|arg| arg == "--private-listen") {
            true => Some(address_in(&mut stdout, "Natter's private listener is on ").await),
            false => None,
        };
        Self { child, base, private, data: data.to_owned(), args, shell }
    }

    /// `kill -9`, and the same again: same data, same port.
    pub async fn kill_and_restart(&mut self) {
        self.child.kill().await.unwrap();
        self.start_again().await;
    }

    /// After its end: the same again, same data, same port.
    pub async fn start_again(&mut self) {
        let address = self.base.strip_prefix("http://").unwrap().to_owned();
        *self = Self::at(self.shell.clone(), &self.data, &address, self.args.clone()).await;
    }

    /// SIGTERM, as a service manager does it.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal.
    pub async fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
    }

    /// Waits until the process is gone.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the process to end", self.child.wait()).await.unwrap()
    }
}

/// The address in the next line of a program.
async fn address_in(stdout: &mut BufReader<ChildStdout>, before: &str) -> String {
    let mut line = String::new();
    within("the line on stdout", stdout.read_line(&mut line)).await.unwrap();
    line.trim().strip_prefix(before).unwrap_or_else(|| panic!("{line:?}")).to_owned()
}

/// The binary, to be run on this data, with nothing of this process's environment that could set it up.
pub fn natter(data: &Path) -> Command {
    natter_under("true", data)
}

/// The same after a command of the shell.
fn natter_under(shell: &str, data: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_natter")]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("NATTER_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).kill_on_drop(true);
    command
}

/// Runs a command to its end: exit code, stdout, stderr.
pub async fn run(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(input.as_bytes()).await; // it may not want any
    drop(stdin);
    let output = within("the command to end", child.wait_with_output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
