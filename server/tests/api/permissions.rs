//! Who may do what with a group: every frame and every route, for everybody who may stand outside or inside of it. The
//! answers are written out; the lists that they have to cover come from the golden files and the router.

use std::collections::BTreeSet;
use std::path::Path;

use headless::{Client, Event, Http, Socket};
use protocol::{
    Answer, Asked, ClientFrame, InviteId, MessageId, Outcome, Position, Rev, Search, SendMessage, Seq,
    ServerFrame, SessionId,
};

use crate::support::{TestServer, accepted_session, fence, invited, knows, outcome, refused, session_of};

/// How Bob stands to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Stranger,
    Invited,
    Member,
    Owner,
    /// He left it.
    Former,
    Removed,
    /// He left it and came back.
    Again,
}

const STANDINGS: [Standing; 7] = [
    Standing::Stranger,
    Standing::Invited,
    Standing::Member,
    Standing::Owner,
    Standing::Former,
    Standing::Removed,
    Standing::Again,
];

/// What each frame is answered with, in the order of [`STANDINGS`]. `Search`, `Edit` and `Delete` mean several things.
#[rustfmt::skip]
const FRAMES: [(&str, [&str; 7]); 20] = [
    // Whether the Welcome names the group.
    ("Hello",                 ["nothing",  "nothing",  "named",    "named",    "nothing",  "nothing",  "named"]),
    ("Message",               ["NotFound", "NotFound", "Ack",      "Ack",      "NotFound", "NotFound", "Ack"]),
    // Sent again, of one's own: it is stored, and stays so.
    ("Message, stored",       ["NotFound", "NotFound", "Ack",      "Ack",      "Ack",      "Ack",      "Ack"]),
    ("Search, into it",       ["NotFound", "NotFound", "Pending",  "Pending",  "NotFound", "NotFound", "Pending"]),
    // An invitation that is somebody else's, and one's own if there is one.
    ("Search, an answer",     ["NotFound", "NotFound", "NotFound", "NotFound", "NotFound", "NotFound", "NotFound"]),
    ("Search, one's answer",  ["NotFound", "Session",  "NotFound", "NotFound", "NotFound", "NotFound", "NotFound"]),
    // What one's other device is told.
    ("Read",                  ["nothing",  "nothing",  "Read",     "Read",     "nothing",  "nothing",  "nothing"]),
    // What the others are told.
    ("Typing",                ["nothing",  "nothing",  "Typing",   "Typing",   "nothing",  "nothing",  "Typing"]),
    ("Fetch",                 ["NotFound", "NotFound", "Page",     "Page",     "NotFound", "NotFound", "Page"]),
    ("Edit, one's own",       ["NotFound", "NotFound", "Message",  "Message",  "NotFound", "NotFound", "Message"]),
    ("Edit, another's",       ["NotFound", "NotFound", "NotFound", "NotFound", "NotFound", "NotFound", "NotFound"]),
    ("Delete, one's own",     ["NotFound", "NotFound", "Message",  "Message",  "NotFound", "NotFound", "Message"]),
    ("Delete, another's",     ["NotFound", "NotFound", "NotFound", "NotFound", "NotFound", "NotFound", "NotFound"]),
    // The owner here began it, and is told what is there.
    ("Begin",                 ["Conflict", "Conflict", "Conflict", "Session",  "Conflict", "Conflict", "Conflict"]),
    ("Leave",                 ["NotFound", "NotFound", "Left",     "Left",     "NotFound", "NotFound", "Left"]),
    ("Remove",                ["NotFound", "NotFound", "NotOwner", "Session",  "NotFound", "NotFound", "NotOwner"]),
    ("Remove, oneself",       ["NotFound", "NotFound", "NotOwner", "Yourself", "NotFound", "NotFound", "NotOwner"]),
    ("Rename",                ["NotFound", "NotFound", "NotOwner", "Session",  "NotFound", "NotFound", "NotOwner"]),
    ("Owner",                 ["NotFound", "NotFound", "NotOwner", "Session",  "NotFound", "NotFound", "NotOwner"]),
    ("Pong",                  ["nothing",  "nothing",  "nothing",  "nothing",  "nothing",  "nothing",  "nothing"]),
];

/// What each route shows of the group to nobody, and then in the order of [`STANDINGS`].
#[rustfmt::skip]
const ROUTES: [(&str, [&str; 8]); 3] = [
    ("/api/load",    ["401", "nothing", "nothing", "group",   "group",   "nothing", "nothing", "group"]),
    ("/api/history", ["401", "404",     "404",     "group",   "group",   "404",     "404",     "group"]),
    // Everything that is no other route is a page, and this one the group's own.
    ("page",         ["303", "nothing", "nothing", "group",   "group",   "nothing", "nothing", "group"]),
];

/// Routes that are about no session. `/ws` carries the frames, and is tried here as nobody.
const ABOUT_NO_SESSION: [&str; 9] = [
    "/ws",
    "/api/register",
    "/api/login",
    "/api/logout",
    "/api/{*function}",
    "/register",
    "/login",
    "/logout",
    "/about",
];

/// People, and a group in which Bob stands somehow.
struct Scene {
    ada: Client,
    bob: Client,
    phone: Client,
    cleo: Client,
    dora: Client,
    session: SessionId,
    /// Somebody else's invitation into the group, and Bob's own.
    invites: (InviteId, Option<InviteId>),
    own: MessageId,
    others: MessageId,
}

impl Scene {
    async fn new(server: &TestServer) -> Self {
        let bob = server.online("Bob").await;
        Self {
            ada: server.online("Ada").await,
            phone: server.other_device(&bob).await,
            bob,
            cleo: server.online("Cleo").await,
            dora: server.online("Dora").await,
            session: SessionId::new(),
            invites: (InviteId::new(), None),
            own: MessageId::new(),
            others: MessageId::new(),
        }
    }

    /// Begins a group of Ada, Cleo and maybe Bob, who comes to stand there as named. Dora is invited.
    async fn set(&mut self, standing: Standing) {
        let Self { ada, bob, cleo, dora, phone, .. } = self;
        for client in [&mut *ada, bob, cleo, dora, phone] {
            fence(client).await;
            drop(client.take_frames()); // of the group before this one
        }
        let is_owner = standing == Standing::Owner;
        let (host, guest) = if is_owner { (&mut *bob, &mut *ada) } else { (&mut *ada, &mut *bob) };
        self.session = host.begin("A group").await.unwrap();
        let session = self.session;
        join(host, cleo, session).await;
        self.others = cleo.say_and_wait(session, "before").await.unwrap();
        self.own = MessageId::new();
        self.invites.1 = None;
        match standing {
            Standing::Stranger => {}
            Standing::Invited => {
                ask(host, "Bob", session).await;
                self.invites.1 = Some(guest.expect("an invitation", invited).await.unwrap().0);
            }
            _ => {
                join(host, guest, session).await;
                self.own = bob.say_and_wait(session, "while he is in").await.unwrap();
                let told =
                    |sync: &protocol::Sync| sync.rows(session).iter().any(|row| row.data == "while he is in");
                phone.wait_for("his words", told).await.unwrap();
            }
        }
        match standing {
            Standing::Former | Standing::Again => {
                bob.send(&ClientFrame::Leave { session_id: session }).await.unwrap()
            }
            Standing::Removed => {
                let remove = ClientFrame::Remove { session_id: session, user_id: bob.id() };
                ada.send(&remove).await.unwrap();
            }
            _ => {}
        }
        if matches!(standing, Standing::Former | Standing::Again | Standing::Removed) {
            for client in [&mut *bob, &mut *phone] {
                client.wait_for("the end", |sync| !sync.sessions().contains_key(&session)).await.unwrap();
            }
        }
        cleo.say_and_wait(session, "between").await.unwrap();
        if standing == Standing::Again {
            join(ada, bob, session).await;
            knows(phone, session).await;
        }
        cleo.say_and_wait(session, "afterwards").await.unwrap();
        ask(cleo, "Dora", session).await;
        self.invites.0 = dora.expect("an invitation", invited).await.unwrap().0;
    }

    /// Returns the frame of a row of [`FRAMES`].
    fn frame(&self, row: &str) -> ClientFrame {
        let session_id = self.session;
        let message = |message_id, data: &str| SendMessage {
            session_id,
            message_id,
            data: data.into(),
            time_stamp: None,
            sender: None,
        };
        let edit = |message_id| ClientFrame::Edit { session_id, message_id, data: "edited".into() };
        let answer = |invite_id| ClientFrame::Search(Search::Answer { invite_id, answer: Answer::Accepted });
        match row {
            "Hello" => {
                let sessions = [(session_id, Position { rev: Rev(0), epoch: None })].into();
                ClientFrame::Hello { sessions }
            }
            "Message" => ClientFrame::Message(message(MessageId::new(), "words")),
            "Message, stored" => ClientFrame::Message(message(self.own, "while he is in")),
            "Search, into it" => {
                let session_id = Some(session_id);
                ClientFrame::Search(Search::Ask(Asked { username: "Eve".into(), session_id, leave: true }))
            }
            "Search, an answer" => answer(self.invites.0),
            "Search, one's answer" => answer(self.invites.1.unwrap_or_else(InviteId::new)),
            "Read" => ClientFrame::Read { session_id, seq: Seq(3) },
            "Typing" => ClientFrame::Typing { session_id },
            "Fetch" => ClientFrame::Fetch { session_id, rev: Rev(0) },
            "Edit, one's own" => edit(self.own),
            "Edit, another's" => edit(self.others),
            "Delete, one's own" => ClientFrame::Delete { session_id, message_id: self.own },
            "Delete, another's" => ClientFrame::Delete { session_id, message_id: self.others },
            "Begin" => ClientFrame::Begin { session_id, title: "Mine".into() },
            "Leave" => ClientFrame::Leave { session_id },
            "Remove" => ClientFrame::Remove { session_id, user_id: self.cleo.id() },
            "Remove, oneself" => ClientFrame::Remove { session_id, user_id: self.bob.id() },
            "Rename" => ClientFrame::Rename { session_id, title: "Another name".into() },
            "Owner" => ClientFrame::Owner { session_id, user_id: self.cleo.id() },
            "Pong" => ClientFrame::Pong {},
            other => panic!("{other} is no row"),
        }
    }

    /// Sends the frame as Bob, and returns what came of it.
    async fn answer(&mut self, row: &str) -> String {
        let frame = self.frame(row);
        for client in [&mut self.bob, &mut self.phone, &mut self.ada] {
            fence(client).await;
            drop(client.take_frames());
        }
        if let ClientFrame::Hello { .. } = frame {
            let mut socket = Socket::open(&self.bob.handshake()).await.unwrap();
            socket.send_text(frame.encode()).await.unwrap();
            let Event::Text(welcome) = socket.next().await else { panic!("no Welcome") };
            let is_named = welcome.contains(&self.session.to_string());
            return if is_named { "named" } else { "nothing" }.into();
        }
        self.bob.send(&frame).await.unwrap();
        fence(&mut self.bob).await;
        let witness = match frame {
            ClientFrame::Read { .. } => &mut self.phone,
            ClientFrame::Typing { .. } => &mut self.ada,
            _ => &mut self.bob,
        };
        fence(witness).await;
        let frames = witness.take_frames();
        frames.iter().find_map(|frame| self.word(frame)).unwrap_or_else(|| "nothing".into())
    }

    /// Names a frame that concerns the group.
    fn word(&self, frame: &ServerFrame) -> Option<String> {
        if let Some(refused) = refused(frame) {
            return Some(refused.code.name().into());
        }
        if let Some(told) = outcome(frame) {
            return (told.status == Outcome::Pending).then(|| "Pending".into());
        }
        let (word, session) = match frame {
            ServerFrame::Ack { .. } => ("Ack", self.session),
            ServerFrame::Message(live) => ("Message", live.session_id),
            ServerFrame::Page { session_id, .. } => ("Page", *session_id),
            ServerFrame::Session(notice) => ("Session", notice.session_id),
            ServerFrame::Left { session_id } => ("Left", *session_id),
            ServerFrame::Read { session_id, .. } => ("Read", *session_id),
            ServerFrame::Typing { session_id, .. } => ("Typing", *session_id),
            _ => return None,
        };
        (session == self.session).then(|| word.into())
    }
}

async fn ask(host: &mut Client, name: &str, session: SessionId) {
    let asked = Asked { username: name.into(), session_id: Some(session), leave: false };
    host.ask(asked).await.unwrap();
    host.expect("it to wait", session_of(Outcome::Pending)).await.unwrap();
}

async fn join(host: &mut Client, guest: &mut Client, session: SessionId) {
    ask(host, &guest.me().username.clone(), session).await;
    let (invite, _) = guest.expect("an invitation", invited).await.unwrap();
    guest.answer(invite, Answer::Accepted).await.unwrap();
    assert_eq!(accepted_session(host).await, session);
    knows(guest, session).await;
}

#[tokio::test]
async fn every_frame_is_answered_as_the_table_says() {
    let server = TestServer::start().await;
    let mut scene = Scene::new(&server).await;
    server.user("Eve").await;
    let mut wrong = Vec::new();
    for (row, answers) in FRAMES {
        for (standing, expected) in STANDINGS.into_iter().zip(answers) {
            scene.set(standing).await;
            let answer = scene.answer(row).await;
            if answer != expected {
                wrong.push(format!("{row} as {standing:?}: {answer}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Says what an answer shows of the group: nothing it may not, and all that Bob may see.
fn shown(text: &str, standing: Standing) -> &'static str {
    let words = ["before", "while he is in", "between", "afterwards"].map(|words| text.contains(words));
    let all = match standing {
        Standing::Owner => [true; 4],
        Standing::Member => [false, true, true, true],
        Standing::Again => [false, true, false, true],
        _ => [false; 4],
    };
    match words {
        [false, false, false, false] if !text.contains("A group") => "nothing",
        words if words == all => "group",
        _ => "something else",
    }
}

#[tokio::test]
async fn every_route_shows_what_the_table_says() {
    let server = TestServer::start().await;
    let mut scene = Scene::new(&server).await;
    let mut wrong = Vec::new();
    for (route, [to_nobody, answers @ ..]) in ROUTES {
        for (standing, expected) in STANDINGS.into_iter().zip(answers) {
            scene.set(standing).await;
            let session = scene.session;
            let path = match route {
                "/api/history" => format!("/api/history?SessionID={session}"),
                "page" => format!("/chat/{session}"),
                other => other.to_owned(),
            };
            let answer = scene.bob.http.get(&path).await.unwrap();
            // Of other groups of Bob's there is the same on the page and in the load: look for this one alone.
            let text = answer.text();
            let own = match route {
                "/api/load" => {
                    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
                    all.get(session.to_string()).map(ToString::to_string).unwrap_or_default()
                }
                "page" => part_of_page(&text),
                _ => text,
            };
            let status = answer.status.to_string();
            let found =
                if status.starts_with('2') || route == "page" { shown(&own, standing) } else { &status };
            if found != expected {
                wrong.push(format!("{route} as {standing:?}: {found}, not {expected}"));
            }
            let stranger = Http::new(&server.base).get(&path).await.unwrap();
            if stranger.status.to_string() != to_nobody {
                wrong.push(format!("{route} as nobody: {}, not {to_nobody}", stranger.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(Http::new(&server.base).get("/ws").await.unwrap().status, 401);
}

/// Returns the open conversation of a page, without the list beside it.
fn part_of_page(html: &str) -> String {
    let from = html.find("<main").unwrap_or_default();
    let to = html[from..].find("</main>").map_or(html.len(), |length| from + length);
    html[from..to].to_owned()
}

#[test]
fn the_table_has_every_frame() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/wire");
    let mut types = BTreeSet::new();
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("client_") {
            let frame: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            types.insert(frame["type"].as_str().unwrap().to_owned());
        }
    }
    let rows = FRAMES.iter().map(|(row, _)| row.split(',').next().unwrap().to_owned());
    assert_eq!(rows.collect::<BTreeSet<_>>(), types);
}

#[test]
fn the_table_has_every_route() {
    let router = include_str!("../../src/router.rs");
    let mut routes: BTreeSet<&str> =
        router.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    routes.remove("/echo"); // of the build that tests the sockets
    routes.extend(leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path));
    let rows = ROUTES.iter().map(|(route, _)| *route).filter(|route| *route != "page");
    assert_eq!(rows.chain(ABOUT_NO_SESSION).collect::<BTreeSet<_>>(), routes);
}
