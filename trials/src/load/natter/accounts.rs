//! Accounts, logins and sessions, and the file that stores them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use protocol::{Answer, Asked, Code, Outcome, SearchNotice, ServerFrame, SessionId};
use serde::{Deserialize, Serialize};

use crate::load::{Error, Plan};
use headless::{Client, Http};

/// Everybody's password.
const PASSWORD: &str = "a load of messages";

/// Concurrent logins. Each keeps one of the server's cores busy for 24 ms; more would only wait there.
const LOGINS_AT_ONCE: usize = 4;

/// Groups brought together concurrently.
const GROUPS_AT_ONCE: usize = 16;

/// People handled between two saves of the file, from which a killed run can resume.
const BETWEEN_SAVINGS: usize = 500;

/// One person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Account {
    name: String,
    cookie: Option<String>,
    #[serde(rename = "SessionID")]
    session: Option<SessionId>,
}

impl Account {
    /// Returns the login's cookie, as a header value.
    pub fn cookie(&self) -> &str {
        self.cookie.as_deref().unwrap_or_default()
    }

    /// Returns the session that the person shares with their group.
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }
}

/// Everybody, by group size: a pair in one run is a pair in the next.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    file: Option<PathBuf>,
    by_group: BTreeMap<usize, Vec<Account>>,
}

impl Accounts {
    /// Reads the file; nobody when there is none yet.
    pub fn open(file: Option<PathBuf>) -> Result<Self, Error> {
        let by_group = match &file {
            Some(path) if path.exists() => serde_json::from_slice(&std::fs::read(path)?)?,
            _ => BTreeMap::new(),
        };
        Ok(Self { file, by_group })
    }

    /// Returns a prepared person.
    pub fn of(&self, plan: Plan, person: usize) -> Result<&Account, Error> {
        let found = self.by_group.get(&plan.group).and_then(|accounts| accounts.get(person));
        found.ok_or_else(|| Error::protocol("these people were not prepared"))
    }

    /// Gives everybody an account, a login and their session.
    pub async fn prepare(&mut self, base: &str, plan: Plan, progress: &ProgressBar) -> Result<(), Error> {
        let http = Http::new(base);
        let mut accounts = self.by_group.remove(&plan.group).unwrap_or_default();
        if !still_signed_in(&http, accounts.first()).await? {
            // Another server, or another database: nothing in the file is valid there.
            accounts.clear();
        }
        for person in accounts.len()..plan.people {
            let name = format!("load-{}-{person:05}", plan.group);
            accounts.push(Account { name, ..Account::default() });
        }
        progress.set_message("accounts");
        progress.set_length(plan.people as u64);
        for begin in (0..plan.people).step_by(BETWEEN_SAVINGS) {
            let some = &mut accounts[begin..plan.people.min(begin + BETWEEN_SAVINGS)];
            let new = some.iter().filter(|account| account.cookie.is_none()).count();
            stream::iter(some.iter_mut())
                .map(|account| async { account.sign_in(&http).await.inspect(|()| progress.inc(1)) })
                .buffer_unordered(LOGINS_AT_ONCE)
                .try_collect::<()>()
                .await?;
            self.save(plan, &accounts, new)?;
        }
        progress.set_message("sessions");
        progress.set_position(0);
        let per_saving = (BETWEEN_SAVINGS / plan.group).max(1) * plan.group;
        for begin in (0..plan.people).step_by(per_saving) {
            let some = &mut accounts[begin..plan.people.min(begin + per_saving)];
            let new = some.iter().filter(|account| account.session.is_none()).count();
            stream::iter(some.chunks_mut(plan.group))
                .map(|group| async {
                    bring_together(&http, group).await.inspect(|()| progress.inc(plan.group as u64))
                })
                .buffer_unordered(GROUPS_AT_ONCE)
                .try_collect::<()>()
                .await?;
            self.save(plan, &accounts, new)?;
        }
        self.by_group.insert(plan.group, accounts);
        Ok(())
    }

    fn save(&mut self, plan: Plan, accounts: &[Account], new: usize) -> Result<(), Error> {
        let Some(path) = self.file.as_ref().filter(|_| new > 0) else { return Ok(()) };
        self.by_group.insert(plan.group, accounts.to_vec());
        let next = path.with_extension("new");
        std::fs::write(&next, serde_json::to_vec(&self.by_group)?)?;
        Ok(std::fs::rename(next, path)?)
    }
}

/// Returns whether the server knows this login.
async fn still_signed_in(http: &Http, account: Option<&Account>) -> Result<bool, Error> {
    let Some(cookie) = account.and_then(|account| account.cookie.clone()) else { return Ok(false) };
    let mut http = http.clone();
    http.set_cookie(Some(cookie));
    Ok(http.get("/api/load").await?.status == 200)
}

impl Account {
    async fn sign_in(&mut self, http: &Http) -> Result<(), Error> {
        if self.cookie.is_some() {
            return Ok(());
        }
        let mut client = Client::with_http(http.clone());
        match client.register(&self.name, PASSWORD).await {
            Err(headless::Error::Refused { fault, .. }) if fault.error == Code::NameTaken => {}
            Err(error) => return Err(advised(error)),
            Ok(_) => {}
        }
        client.login(&self.name, PASSWORD).await.map_err(advised)?;
        self.cookie = client.http.cookie().map(str::to_owned);
        Ok(())
    }

    async fn online(&self, http: &Http) -> Result<Client, Error> {
        let mut client = Client::with_http(http.clone());
        client.http.set_cookie(self.cookie.clone());
        client.online().await?;
        Ok(client)
    }
}

/// Adds the remedy to a rate limit's refusal.
fn advised(error: headless::Error) -> Error {
    match error {
        headless::Error::Refused { status: 429, .. } => {
            Error::protocol("the server holds back floods: start it with --limits off for a load test")
        }
        error => error.into(),
    }
}

/// Gives people their session: two are a pair, and of more the first begins a group. The first invites the others.
async fn bring_together(http: &Http, group: &mut [Account]) -> Result<(), Error> {
    let (first, others) = group.split_first_mut().expect("a group has two at least");
    if others.iter().chain([&*first]).all(|account| account.session.is_some()) {
        return Ok(());
    }
    let mut host = first.online(http).await?;
    if others.len() > 1 && first.session.is_none() {
        first.session = Some(host.begin("A crowd").await?);
    }
    for guest in others {
        let mut other = guest.online(http).await?;
        let session_id = first.session;
        host.ask(Asked { username: guest.name.clone(), session_id, leave: false }).await?;
        // Either they are in it from an earlier run, or they have the invitation.
        let session = match host.expect("an answer to the search", outcome).await? {
            (Outcome::AlreadyConnected, Some(session)) => session,
            (Outcome::Pending, _) => {
                let invite_id = other.expect("an invitation", invited).await?;
                other.answer(invite_id, Answer::Accepted).await?;
                match host.expect("the session", outcome).await? {
                    (Outcome::Accepted, Some(session)) => session,
                    (outcome, _) => return Err(Error::protocol(format!("an invitation ended {outcome:?}"))),
                }
            }
            (outcome, _) => {
                return Err(Error::protocol(format!("{} cannot be invited: {outcome:?}", guest.name)));
            }
        };
        (first.session, guest.session) = (Some(session), Some(session));
    }
    Ok(())
}

fn outcome(frame: &ServerFrame) -> Option<(Outcome, Option<SessionId>)> {
    match frame {
        ServerFrame::Search(SearchNotice::Outcome { status, session_id, .. }) => Some((*status, *session_id)),
        _ => None,
    }
}

fn invited(frame: &ServerFrame) -> Option<protocol::InviteId> {
    match frame {
        ServerFrame::Search(SearchNotice::Invited { invite_id, .. }) => Some(*invite_id),
        _ => None,
    }
}
