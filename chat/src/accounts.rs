//! Accounts: register, login, a new password.

use std::time::{Duration, Instant};

use protocol::{Code, Fault, Me, UserId};

use crate::guesses::{Guesses, Question, Wait};
use crate::logins::Lock;
use crate::name::Sought;
use crate::password::{Passwords, Turn, Verified};
use crate::store::{Taken, UserRow};
use crate::{Caller, Chat, Device, Error, Result, Username};

/// Somebody who gave the right password.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub me: Me,
    /// What their browser is to keep, so that it is known when it comes again.
    pub device: Device,
    /// What the password was right for.
    pub lock: Lock,
}

impl Chat {
    /// Makes an account, Offline until its first login.
    ///
    /// # Errors
    /// [`Code::RegistrationClosed`]; [`Code::UnusableName`]; [`Code::UnusablePassword`]; [`Code::NameTaken`];
    /// [`Error::TooMany`], when this address has heard of too many names already; the database failed.
    pub async fn register(&self, caller: &Caller, username: &str, password: String) -> Result<UserId> {
        if !self.0.options.open_registration {
            return Err(Error::refused(Code::RegistrationClosed));
        }
        let name = Username::parse(username)?;
        Passwords::check_new(&password, name.as_str())?;
        let question = self.ask_about(caller, name.key()).map_err(too_many)?;
        let made = self.make_account(&name, password).await;
        let is_taken = matches!(&made, Err(Error::Refused(fault)) if fault.error == Code::NameTaken);
        if !is_taken {
            self.not_told(question);
        }
        made
    }

    async fn make_account(&self, name: &Username, password: String) -> Result<UserId> {
        let turn = self.0.passwords.turn()?;
        // Before the hash, which is the expensive part; the writer decides all the same.
        if let Some(taken) = self.0.store.taken(name).await? {
            return Err(is_taken(name, taken).into());
        }
        let hash = self.0.passwords.hash(turn, password).await?;
        let made = self.0.store.create_user(name, hash).await?;
        made.map_err(|taken| is_taken(name, taken).into())
    }

    /// Checks a name and its password, and counts the user as Online for a while: the socket takes over.
    ///
    /// # Errors
    /// [`Code::InvalidUser`], also for a name that could not exist; [`Code::WrongPassword`]; [`Error::TooMany`];
    /// the database failed.
    pub async fn login(&self, caller: Caller, username: &str, password: String) -> Result<SignedIn> {
        let outcome = self.check_login(caller, username, password).await;
        let said = match &outcome {
            Ok(_) => "in",
            Err(Error::Refused(fault)) => fault.error.name(),
            Err(Error::TooMany { .. }) => Code::TooMany.name(),
            Err(_) => "failed",
        };
        metrics::counter!("natter_logins_total", "outcome" => said).increment(1);
        outcome
    }

    async fn check_login(&self, caller: Caller, username: &str, password: String) -> Result<SignedIn> {
        let name = Sought::of(username).ok_or_else(|| Error::refused(Code::InvalidUser))?;
        let turn = self.0.passwords.turn()?;
        let (mut user, known) = self.find(&caller, &name).await?;
        if let Some(renewed) = self.try_password(&caller, &user, known, turn, password).await? {
            user = self.with_renewed_hash(user, renewed).await?;
        }
        self.0.live.signed_in(user.user_id);
        let device = Device::after_login(caller.device, user.user_id, &user.password_hash);
        let lock = Lock::of(user.user_id, &user.password_hash);
        Ok(SignedIn { me: Me { user_id: user.user_id, username: user.username }, device, lock })
    }

    /// Who has this name, and the caller's device when it is known for them.
    async fn find(&self, caller: &Caller, name: &Sought) -> Result<(UserRow, Option<u128>)> {
        let question = self.ask_about(caller, &name.key);
        if let (Err(wait), None) = (&question, &caller.device) {
            return Err(too_many(*wait)); // before anybody looks whether the name is there
        }
        let user = self.0.store.user_named(name).await?;
        let known = caller.device.as_ref().and_then(|device| {
            // As much work for a name that is not there: how long it takes tells nothing.
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

    /// Checks a password. What is returned is to be stored in place of the hash, whose cost has risen.
    async fn try_password(
        &self,
        caller: &Caller,
        user: &UserRow,
        known: Option<u128>,
        turn: Turn,
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
                Ok(Verified::Wrong) => {} // counted already
                Err(_) => guesses.not_tried(attempt),
            });
        }
        match verified? {
            Verified::Right { renewed } => Ok(renewed),
            Verified::Wrong => Err(Error::refused(Code::WrongPassword)),
        }
    }

    /// The user with a hash of today's cost, once it is stored. Where nothing can be stored, the old one does.
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

    /// Leave to tell this caller whether a name is there.
    fn ask_about(&self, caller: &Caller, key: &str) -> std::result::Result<Option<Question>, Wait> {
        self.guesses(|guesses| guesses.ask(Instant::now(), caller.address, key)).transpose()
    }

    fn not_told(&self, question: Option<Question>) {
        if let Some(question) = question {
            self.guesses(|guesses| guesses.not_told(question));
        }
    }

    /// Something of what was guessed lately, unless nothing is held back.
    fn guesses<T>(&self, of: impl FnOnce(&mut Guesses) -> T) -> Option<T> {
        let guesses = self.0.guesses.as_ref()?;
        Some(of(&mut guesses.lock().expect("nothing panics under this lock")))
    }

    /// Sets a new password for somebody who lost theirs, and ends all their logins.
    ///
    /// # Errors
    /// [`Code::InvalidUser`]; [`Code::UnusablePassword`]; the database failed.
    pub async fn set_password(&self, username: &str, password: String) -> Result<()> {
        let unknown = || Error::refused(Code::InvalidUser);
        let name = Sought::of(username).ok_or_else(unknown)?;
        let user = self.0.store.user_named(&name).await?.ok_or_else(unknown)?;
        Passwords::check_new(&password, &user.username)?;
        let hash = self.0.passwords.hash(self.0.passwords.turn()?, password).await?;
        self.0.store.set_password(user.user_id, hash).await?;
        self.0.live.revoke_user(user.user_id);
        Ok(())
    }
}

fn is_taken(name: &Username, taken: Taken) -> Fault {
    let reason = match taken {
        Taken::Same => format!("The name “{}” is taken. Please choose another one.", name.as_str()),
        Taken::LooksSame => "This name looks too much like one that is taken.".to_owned(),
    };
    Fault::new(Code::NameTaken, reason)
}

fn too_many(wait: Wait) -> Error {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    match wait {
        Wait::For(wait) => {
            let seconds = wait.as_secs() + 1;
            let said = if seconds < 120 {
                format!("{seconds} seconds")
            } else {
                format!("{} minutes", seconds.div_ceil(60))
            };
            Error::TooMany { wait, reason: format!("Too many attempts. Please try again in {said}.") }
        }
        Wait::ForTheOwner => {
            let reason = "Too many wrong passwords. Please sign in where you have signed in before, or ask whoever \
                          runs this server for a new password.";
            Error::TooMany { wait: DAY, reason: reason.into() }
        }
    }
}
