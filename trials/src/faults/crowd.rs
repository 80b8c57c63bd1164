//! People and the sessions they are in.

use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{Answer, Asked, InviteId, Outcome, SearchNotice, ServerFrame, SessionId, Sync};

use headless::{Client, Error, Http};

const PASSWORD: &str = "correct horse battery staple";

/// Concurrent sign-ins. More would only wait for each other.
const AT_ONCE: usize = 4;

/// People who are signed in and connected, and their sessions.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) people: Vec<Client>,
    /// The sessions, each with its people as indices into `people`; the first created it.
    pub(super) sessions: Vec<(SessionId, Vec<usize>)>,
}

impl Crowd {
    /// Creates this many people in this many sessions of this many members each, spread evenly.
    pub(super) async fn gather(
        base: &str,
        people: usize,
        sessions: usize,
        members: usize,
    ) -> Result<Self, Error> {
        let http = Http::new(base);
        let signing_in = (0..people).map(|n| person(&http, format!("user-{n}")));
        let mut people: Vec<_> = stream::iter(signing_in).buffered(AT_ONCE).try_collect().await?;
        let apart = people.len() / sessions;
        let mut made = Vec::new();
        for session in 0..sessions {
            let members: Vec<_> = (0..members).map(|n| (session * apart + n) % people.len()).collect();
            made.push((begin(&mut people, &members).await?, members));
        }
        // Together, and only now: the server closes connections whose messages nobody reads.
        let mut crowd = Self { people, sessions: made };
        let theirs: Vec<_> = (0..crowd.people.len()).map(|person| crowd.sessions_of(person)).collect();
        try_join_all(crowd.people.iter_mut().zip(&theirs).map(|(person, theirs)| async {
            person.online().await?;
            let whole = |sync: &Sync, id| sync.sessions().get(id).is_some_and(|s| s.users.len() == members);
            person.wait_for("the sessions", |sync| theirs.iter().all(|id| whole(sync, id))).await
        }))
        .await?;
        Ok(crowd)
    }

    /// Creates another session of these people. None of them stays connected.
    pub(super) async fn meet(&mut self, members: &[usize]) -> Result<SessionId, Error> {
        let session = begin(&mut self.people, members).await?;
        self.sessions.push((session, members.to_vec()));
        Ok(session)
    }

    /// Returns a person's sessions.
    pub(super) fn sessions_of(&self, person: usize) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, members)| members.contains(&person)).map(|(id, _)| *id).collect()
    }
}

/// Creates an account and signs in, without connecting.
async fn person(http: &Http, name: String) -> Result<Client, Error> {
    let mut client = Client::with_http(http.clone());
    client.set_limit(crate::process::PATIENCE);
    client.register(&name, PASSWORD).await?;
    client.login(&name, PASSWORD).await?;
    Ok(client)
}

/// Signs a member of a crowd in again, as another login.
pub(super) async fn another_login(of: &Client) -> Result<Client, Error> {
    let mut client = Client::new(of.http.base());
    client.set_limit(crate::process::PATIENCE);
    client.login(&of.me().username, PASSWORD).await?;
    Ok(client)
}

/// Returns what a member of a crowd signs in with.
pub(super) fn credentials(of: &Client) -> serde_json::Value {
    serde_json::json!({ "Username": of.me().username, "Password": PASSWORD })
}

/// Returns another device with the same login, not connected.
pub(super) fn another_device(of: &Client) -> Client {
    Client::with_http(of.http.clone())
}

/// Creates a session of these people: two are a pair, and of more the first begins a group. The first invites the
/// others, one after another. Nobody stays connected.
async fn begin(people: &mut [Client], members: &[usize]) -> Result<SessionId, Error> {
    people[members[0]].online().await?;
    let mut session = match members {
        [_, _] => None,
        [host, ..] => Some(people[*host].begin("A crowd").await?),
        [] => None,
    };
    for &member in &members[1..] {
        people[member].online().await?;
        drop(people[member].take_frames()); // an earlier invitation may have arrived twice
        let username = people[member].me().username.clone();
        people[members[0]].ask(Asked { username, session_id: session, leave: false }).await?;
        let (invite, _) = people[member].expect("an invitation", invited).await?;
        people[member].answer(invite, Answer::Accepted).await?;
        session = Some(people[members[0]].expect("an acceptance", accepted).await?);
        people[member].kill();
    }
    people[members[0]].kill();
    session.ok_or(Error::NotConnected)
}

fn invited(frame: &ServerFrame) -> Option<(InviteId, String)> {
    match frame {
        ServerFrame::Search(SearchNotice::Invited { invite_id, username }) => {
            Some((*invite_id, username.clone()))
        }
        _ => None,
    }
}

fn accepted(frame: &ServerFrame) -> Option<SessionId> {
    match frame {
        ServerFrame::Search(SearchNotice::Outcome {
            status: Outcome::Accepted,
            session_id,
            invite_id: Some(_),
            ..
        }) => *session_id,
        _ => None,
    }
}
