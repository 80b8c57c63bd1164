//! People and the sessions they are in.

use futures::{StreamExt, TryStreamExt, stream};
use protocol::{Answer, Asked, InviteId, Outcome, SearchNotice, ServerFrame, SessionId};

use crate::{Client, Error, Http};

const PASSWORD: &str = "correct horse battery staple";

/// People who sign in at the same time: a server puts off whom it cannot let in within 2 s.
const AT_ONCE: usize = 4;

/// People who are signed in and connected, and who is in which session with whom.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) people: Vec<Client>,
    /// The sessions, each with its people by their place in `people`; the first began it.
    pub(super) sessions: Vec<(SessionId, Vec<usize>)>,
}

impl Crowd {
    /// So many people in so many sessions of so many each, spread evenly.
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
        Ok(Self { people, sessions: made })
    }

    /// The sessions of a person.
    pub(super) fn sessions_of(&self, person: usize) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, members)| members.contains(&person)).map(|(id, _)| *id).collect()
    }
}

/// Somebody with an account, signed in and connected.
async fn person(http: &Http, name: String) -> Result<Client, Error> {
    let mut client = Client::with_http(http.clone());
    client.set_limit(crate::process::PATIENCE);
    client.register(&name, PASSWORD).await?;
    client.login(&name, PASSWORD).await?;
    client.online().await?;
    Ok(client)
}

/// Signs somebody of a crowd in once more, as another login.
pub(super) async fn another_login(of: &Client) -> Result<Client, Error> {
    let mut client = Client::new(of.http.base());
    client.set_limit(crate::process::PATIENCE);
    client.login(&of.me().username, PASSWORD).await?;
    Ok(client)
}

/// What somebody of a crowd signs in with.
pub(super) fn credentials(of: &Client) -> serde_json::Value {
    serde_json::json!({ "Username": of.me().username, "Password": PASSWORD })
}

/// Another device of somebody, with the same login, not connected.
pub(super) fn another_device(of: &Client) -> Client {
    Client::with_http(of.http.clone())
}

/// A session of these people: the first two begin it, the first asks the others in.
async fn begin(people: &mut [Client], members: &[usize]) -> Result<SessionId, Error> {
    let name = |people: &[Client], n: usize| people[members[n]].me().username.clone();
    let mut session = None;
    for n in 1..members.len() {
        let asked = Asked { username: name(people, n), session_id: session, leave: false };
        people[members[0]].ask(asked).await?;
        let (invite, _) = people[members[n]].expect("an invitation", invited).await?;
        people[members[n]].answer(invite, Answer::Accepted).await?;
        session = Some(people[members[0]].expect("an acceptance", accepted).await?);
    }
    let session = session.ok_or(Error::NotConnected)?;
    for &member in members {
        let all = |sync: &protocol::Sync| {
            sync.sessions().get(&session).is_some_and(|held| held.users.len() == members.len())
        };
        people[member].wait_for("the session", all).await?;
    }
    Ok(session)
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
