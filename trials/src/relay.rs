//! The bare durable relay: the least that a chat server can do and still keep every message on disk. It is the floor
//! that Natter's cost is measured against in the same run; it is not a chat.
//!
//! A socket's path names its group and person: no accounts, no logins, no rights, no numbers, no retries, no catching
//! up. One thread owns the database: it inserts everything that has queued in one synced transaction; then it
//! acknowledges to each sender and fans the text out to everybody else in the group.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path as Params, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The most messages in one transaction.
const BATCH: usize = 4_096;

/// Messages that may wait for the writer before sockets stop being read.
const QUEUE: usize = 16_384;

/// Frames that may wait for one socket; a socket with more is closed.
const SOCKET_QUEUE: usize = 1_024;

/// The most frames that one flush sends.
const FLUSH: usize = 64;

/// A socket's buffers, as in Natter.
const BUFFER: usize = 4 * 1024;

/// What a person sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Say<'a> {
    /// The message's ID.
    pub id: Uuid,
    /// Its text.
    #[serde(borrow)]
    pub text: std::borrow::Cow<'a, str>,
}

/// What a person receives: an acknowledgement, or somebody else's message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Hear<'a> {
    /// The message with this ID is on disk.
    Ack(Uuid),
    /// Somebody else in the group sent this.
    #[serde(borrow)]
    Said(Say<'a>),
}

/// Why the relay cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener, or a thread.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// A message on its way to the disk.
struct Post {
    group: usize,
    person: usize,
    id: Uuid,
    text: String,
}

#[derive(Clone)]
struct Relay {
    posts: mpsc::Sender<Post>,
    groups: Arc<Groups>,
}

/// Who listens in which group.
#[derive(Default)]
struct Groups(Mutex<HashMap<usize, Vec<Member>>>);

struct Member {
    person: usize,
    frames: mpsc::Sender<Utf8Bytes>,
}

/// Serves until the process ends, with its database in this folder.
///
/// # Errors
/// When the database or the listener fails.
pub async fn serve(listener: TcpListener, folder: &Path) -> Result<(), Error> {
    let database = Connection::open(folder.join("relay.sqlite"))?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.pragma_update(None, "synchronous", "full")?;
    database.execute_batch(
        "create table if not exists messages
         (number integer primary key, id blob not null, group_number integer not null, person integer not null, text text not null)",
    )?;
    let groups = Arc::new(Groups::default());
    let (posts, queue) = mpsc::channel(QUEUE);
    let relay = Relay { posts, groups: groups.clone() };
    std::thread::Builder::new().name("writer".into()).spawn(move || {
        if let Err(error) = write(database, queue, &groups) {
            eprintln!("The relay cannot store any more: {error}");
            std::process::exit(1);
        }
    })?;
    let router = Router::new().route("/ws/{group}/{person}", get(upgrade)).with_state(relay);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // slower without, not wrong
    });
    Ok(axum::serve(listener, router).await?)
}

/// The writer: group commit, then acknowledgements and deliveries in the order of the commit.
fn write(mut database: Connection, mut queue: mpsc::Receiver<Post>, groups: &Groups) -> Result<(), Error> {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let transaction = database.transaction()?;
        {
            let sql = "insert into messages (id, group_number, person, text) values (?1, ?2, ?3, ?4)";
            let mut insert = transaction.prepare_cached(sql)?;
            for Post { group, person, id, text } in &batch {
                insert.execute((id.as_bytes(), *group as i64, *person as i64, text))?;
            }
        }
        transaction.commit()?;
        groups.deliver(batch.drain(..));
    }
    Ok(())
}

impl Groups {
    fn deliver(&self, batch: impl Iterator<Item = Post>) {
        let mut groups = self.0.lock().expect("nobody panics with it");
        for Post { group, person: sender, id, text } in batch {
            let said = frame(&Hear::Said(Say { id, text: text.into() }));
            let Some(members) = groups.get_mut(&group) else { continue };
            // Drops members that do not keep up: the end of the queue closes the socket.
            members.retain(|member| {
                let frame = if member.person == sender { frame(&Hear::Ack(id)) } else { said.clone() };
                member.frames.try_send(frame).is_ok()
            });
        }
    }

    fn join(&self, group: usize, person: usize) -> mpsc::Receiver<Utf8Bytes> {
        let (frames, queue) = mpsc::channel(SOCKET_QUEUE);
        let mut groups = self.0.lock().expect("nobody panics with it");
        groups.entry(group).or_default().push(Member { person, frames });
        queue
    }
}

fn frame(hear: &Hear<'_>) -> Utf8Bytes {
    serde_json::to_string(hear).expect("it has string keys only").into()
}

async fn upgrade(
    State(relay): State<Relay>,
    Params((group, person)): Params<(usize, usize)>,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Before the answer: a connected person receives everything from then on.
    let frames = relay.groups.join(group, person);
    upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .on_upgrade(move |socket| talk(socket, relay, (group, person), frames))
}

async fn talk(
    socket: WebSocket,
    relay: Relay,
    (group, person): (usize, usize),
    mut frames: mpsc::Receiver<Utf8Bytes>,
) {
    let (mut sink, mut stream) = socket.split();
    let reading = async {
        while let Some(Ok(message)) = stream.next().await {
            let Message::Text(text) = message else { continue };
            let Ok(Say { id, text }) = serde_json::from_str(&text) else { return };
            let post = Post { group, person, id, text: text.into_owned() };
            if relay.posts.send(post).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = deliver(&mut sink, &mut frames) => {}
    }
}

/// Sends many frames per flush: under load a socket's frames leave in few writes.
async fn deliver(sink: &mut SplitSink<WebSocket, Message>, frames: &mut mpsc::Receiver<Utf8Bytes>) {
    let mut some = Vec::new();
    while frames.recv_many(&mut some, FLUSH).await > 0 {
        for frame in some.drain(..) {
            if sink.feed(Message::Text(frame)).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}
