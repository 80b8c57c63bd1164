//! Accounts: registering, signing in, setting a new password.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use protocol::{Code, Fault, Me, UserId};

use crate::guesses::{Guesses, Question, Wait};
use crate::logins::Lock;
use crate::name::Sought;
use crate::network::network;
use crate::password::{HashTurn, Passwords, Verified, Whose};
use crate::registrations::Registrations;
use crate::store::{Taken, UserRow};
use crate::{Caller, Chat, Device, Error, Result, Username, audit, clock};

/// How long a repeated registration counts as the same one, in milliseconds.
const SAME_REGISTRATION: u64 = 10 * 60 * 1000;

const NO_PANIC: &str = "nothing panics under this lock";

/// A user who gave the right password.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The user.
    pub me: Me,
    /// For the browser to keep, so that it is recognized next time.
    pub device: Device,
    /// The account and password they proved.
    pub lock: Lock,
}

impl Chat {
    /// Creates an account, Offline until its first login. A repeat with the same name and password, from the same
    /// network and before that login, is the same registration: a double click, or a lost answer.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`]; [`Code::UnusableName`]; [`Code::UnusablePassword`]; [`Code::NameTaken`];
    /// [`Error::TooMany`], if this address has learned about too many names already, or too many have registered from
    /// its network; the database failed.
    pub async fn register(&self, caller: &Caller, username: &str, password: String) -> Result<UserId> {
        if !self.0.options.open_registration {
            return Err(Error::refused(Code::RegistrationClosed));
        }
        let name = Username::parse(username)?;
        Passwords::check_new(&password, name.as_str())?;
        let (question, may_learn) = match self.ask_about(caller, name.key()) {
            Ok(question) => (question, Ok(())),
            Err(wait) => (None, Err(too_many(wait))),
        };
        let made = self.make_account(caller, &name, password, may_learn).await;
        let is_taken = matches!(&made, Err(Error::Refused(fault)) if fault.error == Code::NameTaken);
        if !is_taken {
            self.not_told(question);
        }
        if let Ok(user) = &made {
            audit::registered(caller, *user);
        }
        made
    }

    async fn make_account(
        &self,
        caller: &Caller,
        name: &Username,
        password: String,
        may_learn: Result<()>,
    ) -> Result<UserId> {
        let turn = self.turn(self.stranger(caller))?;
        // Checked before the hash, which is the expensive part; the writer still has the final say.
        if let Some(taken) = self.0.store.taken(name).await? {
            let again = self.registered_before(caller, name, turn, password).await?;
            // Only callers who could learn that a name is free may learn that it is taken.
            let may_learn = || may_learn.and(self.may_register(caller)).err();
            return again.ok_or_else(|| may_learn().unwrap_or_else(|| is_taken(name, taken).into()));
        }
        may_learn?;
        let place = self.begin_registration(caller)?;
        let hash = self.0.passwords.hash(turn, password.clone()).await?;
        match self.0.store.create_user(name, hash, form(caller, name)).await? {
            Ok(user) => {
                place.keep();
                Ok(user)
            }
            Err(taken) => {
                // Was the same form submitted twice concurrently?
                let turn = self.turn(self.stranger(caller))?;
                let again = self.registered_before(caller, name, turn, password).await?;
                again.ok_or_else(|| is_taken(name, taken).into())
            }
        }
    }

    /// Returns the user, if this request repeats the registration that just created them. Counts as a guess.
    async fn registered_before(
        &self,
        caller: &Caller,
        name: &Username,
        turn: HashTurn,
        password: String,
    ) -> Result<Option<UserId>> {
        let Some(sought) = Sought::of(name.as_str()) else { return Ok(None) };
        let Some(user) = self.0.store.user_named(&sought).await? else { return Ok(None) };
        let Some((from, at)) = self.0.store.never_signed_in(user.user_id).await? else { return Ok(None) };
        if Some(from) != form(caller, name) || clock::now().0.abs_diff(at.0) > SAME_REGISTRATION {
            return Ok(None);
        }
        match self.try_password(caller, &user, None, turn, password).await {
            Ok(_) => Ok(Some(user.user_id)),
            Err(Error::Refused(_) | Error::TooMany { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks whether one more account may be created from this caller's network.
    fn may_register(&self, caller: &Caller) -> Result<()> {
        let (Some(registrations), Some(address)) = (&self.0.registrations, caller.address) else {
            return Ok(());
        };
        let may = registrations.lock().expect(NO_PANIC).may(Instant::now(), network(address));
        may.map_err(enough_today)
    }

    /// Does the same, and counts the registration unless the result is dropped without [`Begun::keep`].
    fn begin_registration(&self, caller: &Caller) -> Result<Begun<'_>> {
        let (Some(registrations), Some(address)) = (&self.0.registrations, caller.address) else {
            return Ok(Begun(None));
        };
        let network = network(address);
        registrations.lock().expect(NO_PANIC).begin(Instant::now(), network).map_err(enough_today)?;
        Ok(Begun(Some((registrations, network))))
    }

    /// Returns who an unknown caller's password is hashed for. Without limits, all strangers are one.
    fn stranger(&self, caller: &Caller) -> Whose {
        let told_apart = self.0.options.hold_back_guesses;
        Whose::Stranger(caller.address.filter(|_| told_apart).map(network))
    }

    fn turn(&self, whose: Whose) -> Result<HashTurn> {
        self.0.passwords.turn(whose)
    }

    /// Checks a name and its password, and counts the user as Online for a while, until the socket takes over.
    ///
    /// # Errors
    /// [`Code::InvalidUser`], also for an impossible name; [`Code::WrongPassword`]; [`Error::TooMany`]; the database
    /// failed.
    pub async fn login(&self, caller: Caller, username: &str, password: String) -> Result<SignedIn> {
        let mut tried = None;
        let outcome = self.check_login(caller.clone(), username, password, &mut tried).await;
        let refusal = match &outcome {
            Err(Error::Refused(fault)) => Some(fault.error),
            Err(Error::TooMany { .. }) => Some(Code::TooMany),
            _ => None,
        };
        match (&outcome, refusal) {
            (Ok(signed_in), _) => audit::signed_in(&caller, signed_in.me.user_id),
            (_, Some(code)) => audit::sign_in_refused(&caller, tried, code),
            _ => {} // the failure is logged where it is translated
        }
        let said = refusal.map_or(if outcome.is_ok() { "in" } else { "failed" }, Code::name);
        metrics::counter!("natter_logins_total", "outcome" => said).increment(1);
        outcome
    }

    /// Sets `tried` to the account, once known.
    async fn check_login(
        &self,
        caller: Caller,
        username: &str,
        password: String,
        tried: &mut Option<UserId>,
    ) -> Result<SignedIn> {
        let name = Sought::of(username).ok_or_else(|| Error::refused(Code::InvalidUser))?;
        // A turn comes before any lookup, except for a caller who claims a known device: that is checked first, because
        // it may earn a turn that no stranger can have.
        let early = match caller.device {
            None => Some(self.turn(self.stranger(&caller))?),
            Some(_) => None,
        };
        let (mut user, known) = self.find(&caller, &name).await?;
        *tried = Some(user.user_id);
        let turn = match (early, known) {
            (Some(turn), _) => turn,
            (None, None) => self.turn(self.stranger(&caller))?,
            (None, Some(_)) => {
                let own = self.turn(Whose::Known(user.user_id));
                own.or_else(|_| self.turn(self.stranger(&caller)))?
            }
        };
        if let Some(renewed) = self.try_password(&caller, &user, known, turn, password).await? {
            user = self.with_renewed_hash(user, renewed).await?;
        }
        self.0.live.signed_in(user.user_id);
        let device = Device::after_login(caller.device, user.user_id, &user.password_hash);
        let lock = Lock::of(user.user_id, &user.password_hash);
        Ok(SignedIn { me: Me { user_id: user.user_id, username: user.username }, device, lock })
    }

    /// Finds who has this name, and the caller's device number if the device is known for them.
    async fn find(&self, caller: &Caller, name: &Sought) -> Result<(UserRow, Option<u128>)> {
        let question = self.ask_about(caller, &name.key);
        if let (Err(wait), None) = (&question, &caller.device) {
            return Err(too_many(*wait)); // before checking whether the name exists
        }
        let user = self.0.store.user_named(name).await?;
        let known = caller.device.as_ref().and_then(|device| {
            // The same work for a name that does not exist: timing reveals nothing.
            let nobody = (UserId(uuid::Uuid::nil()), "");
            let (id, hash) = user.as_ref().map_or(nobody, |user| (user.user_id, user.password_hash.as_str()));
            device.known_to(id, hash).filter(|_| user.is_some())
        });
        let question = match (question, known) {
            (Err(wait), None) => return Err(too_many(wait)),
            (question, _) => question.unwrap_or_default(),
        };
        let user = user.ok_or_else(|| Error::refused(Code::InvalidUser))?;
        self.not_told(question);
        Ok((user, known))
    }

    /// Checks a password. Returns a new hash to store if the cost has risen since the old one.
    async fn try_password(
        &self,
        caller: &Caller,
        user: &UserRow,
        known: Option<u128>,
        turn: HashTurn,
        password: String,
    ) -> Result<Option<String>> {
        let lock = Lock::of(user.user_id, &user.password_hash);
        let attempt = self.guesses(|guesses| guesses.attempt(Instant::now(), lock, known, caller.address));
        let attempt = attempt.transpose().map_err(too_many)?;
        let verified = if Passwords::may_be_somebodys(&password) {
            self.0.passwords.verify(turn, password, user.password_hash.clone()).await
        } else {
            Ok(Verified::Wrong)
        };
        if let Some(attempt) = attempt {
            self.guesses(|guesses| match verified {
                Ok(Verified::Right { .. }) => guesses.right(attempt),
                Ok(Verified::Wrong) => {} // already counted
                Err(_) => guesses.not_tried(attempt),
            });
        }
        match verified? {
            Verified::Right { renewed } => Ok(renewed),
            Verified::Wrong => Err(Error::refused(Code::WrongPassword)),
        }
    }

    /// Stores a hash of today's cost and returns the user with it. If nothing can be stored, the old hash stays valid.
    async fn with_renewed_hash(&self, mut user: UserRow, renewed: String) -> Result<UserRow> {
        match self.0.store.renew_password_hash(user.user_id, &user.password_hash, &renewed).await {
            Ok(true) => user.password_hash = renewed,
            Ok(false) => {
                return Err(Error::Unavailable("the password was set, or its hash renewed, meanwhile"));
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a hash was not renewed"),
        }
        Ok(user)
    }

    /// Asks for permission to tell this caller whether a name exists.
    fn ask_about(&self, caller: &Caller, key: &str) -> std::result::Result<Option<Question>, Wait> {
        self.guesses(|guesses| guesses.ask(Instant::now(), caller.address, key)).transpose()
    }

    pub(crate) fn not_told(&self, question: Option<Question>) {
        if let Some(question) = question {
            self.guesses(|guesses| guesses.not_told(&question));
        }
    }

    /// Runs `of` on the recent guesses, unless nothing is throttled.
    pub(crate) fn guesses<T>(&self, of: impl FnOnce(&mut Guesses) -> T) -> Option<T> {
        let guesses = self.0.guesses.as_ref()?;
        Some(of(&mut guesses.lock().expect(NO_PANIC)))
    }

    /// Sets a new password for a user who lost theirs, and ends all their logins.
    ///
    /// # Errors
    /// [`Code::InvalidUser`]; [`Code::UnusablePassword`]; the database failed.
    pub async fn set_password(&self, username: &str, password: String) -> Result<()> {
        let unknown = || Error::refused(Code::InvalidUser);
        let name = Sought::of(username).ok_or_else(unknown)?;
        let user = self.0.store.user_named(&name).await?.ok_or_else(unknown)?;
        Passwords::check_new(&password, &user.username)?;
        let hash = self.0.passwords.hash(self.turn(Whose::Stranger(None))?, password).await?;
        self.0.store.set_password(user.user_id, hash).await?;
        self.0.live.revoke_user(user.user_id);
        audit::password_set(user.user_id);
        Ok(())
    }
}

/// Returns the key that identifies a repeated form: the network, and the name exactly as typed. Another spelling of the
/// name is another person's form.
fn form(caller: &Caller, name: &Username) -> Option<String> {
    caller.address.map(|address| format!("{} {}", network(address), name.typed()))
}

fn is_taken(name: &Username, taken: Taken) -> Fault {
    let reason = match taken {
        Taken::Same => format!("The name “{}” is taken. Please choose another one.", name.as_str()),
        Taken::LooksSame => "This name looks too much like one that is taken.".to_owned(),
    };
    Fault::new(Code::NameTaken, reason)
}

/// A registration in progress.
struct Begun<'a>(Option<(&'a Mutex<Registrations>, IpAddr)>);

impl Begun<'_> {
    /// Keeps the registration: the account was created.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some((registrations, network)) = self.0.take() {
            registrations.lock().expect(NO_PANIC).not_made(network);
        }
    }
}

fn enough_today(wait: Duration) -> Error {
    let reason =
        format!("Enough people have registered from your network today. Please try again in {}.", said(wait));
    Error::TooMany { wait, reason }
}

pub(crate) fn too_many(wait: Wait) -> Error {
    let (wait, reason) = match wait {
        Wait::For(wait) => (wait, format!("Too many attempts. Please try again in {}.", said(wait))),
        Wait::ForTheOwner(wait) => {
            let reason = format!(
                "Too many wrong passwords. Please sign in where you have signed in before, or try again in {}.",
                said(wait)
            );
            (wait, reason)
        }
    };
    Error::TooMany { wait, reason }
}

/// Formats a waiting time for people, rounded up.
fn said(wait: Duration) -> String {
    match wait.as_secs() + 1 {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds @ 120..7_200 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3_600)),
    }
}
