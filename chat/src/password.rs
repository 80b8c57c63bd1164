//! Passwords: argon2id (RFC 9106) at OWASP's minimum, a bounded number at a time, at lower priority than everything
//! else.

mod guessable;
mod line;

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use guessable::{Guessable, guessable};
use protocol::{Code, Fault};
use tokio::sync::oneshot;

use crate::{Error, Result, stand_back};
pub(crate) use line::{HashTurn, Whose};
use line::{Job, Line};

/// In characters as NIST counts them (SP 800-63B-4 3.1.1.2): code points, regardless of their bytes.
const LEAST: usize = 8;
const MOST_BYTES: usize = 512;

/// How long a request waits for its answer before it is sent away to retry. Other tests wait longer, on any machine.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });

/// How far hashing's priority is below that of messages: it still gets a tenth of a core that they keep busy.
const BEHIND: i32 = 10;

const TOO_MANY: Error = Error::Unavailable("too many people sign in at once");

/// Hashes and checks passwords. One hash takes 19 MiB and tens of milliseconds of a core, so at most as many run
/// concurrently as leave a core for the chat. They run on their own threads, whose number is that bound, so a client
/// that disconnects cannot loosen it. Their priority is below the chat's, which a thread of the runtime's blocking pool
/// could not undo. The threads end with the last handle.
#[derive(Clone)]
pub(crate) struct Passwords {
    line: Arc<Line>,
    _open: Arc<Open>,
}

/// Ends the threads.
struct Open(Arc<Line>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The result of checking a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    /// It does not match.
    Wrong,
    /// It matches.
    Right {
        /// The hash to store in place of the one that was checked.
        renewed: Option<String>,
    },
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let line = Arc::<Line>::default();
        for _ in 0..threads() {
            let line = line.clone();
            let thread = std::thread::Builder::new().name("passwords".into());
            thread.spawn(move || work(&line)).expect("the system has room for a thread");
        }
        Self { line: line.clone(), _open: Arc::new(Open(line)) }
    }

    /// Accepts a password that may be set for the account with this name.
    ///
    /// # Errors
    /// [`Code::UnusablePassword`], whose sentence says why.
    pub(crate) fn check_new(password: &str, name: &str) -> Result<()> {
        let unusable = |reason: String| Err(Fault::new(Code::UnusablePassword, reason).into());
        let characters = password.chars().count();
        if characters < LEAST {
            return unusable(format!(
                "A password has at least {LEAST} characters; this one has {characters}."
            ));
        }
        if password.len() > MOST_BYTES {
            return unusable(format!(
                "A password has at most {MOST_BYTES} bytes; this one has {}.",
                password.len()
            ));
        }
        match guessable(password, name) {
            Some(Guessable::Common) => unusable(
                "Many people have this password: it is guessed first. Please choose another one.".into(),
            ),
            Some(Guessable::Name) => unusable(
                "This password is little more than a name: it is guessed first. Please choose another one."
                    .into(),
            ),
            None => Ok(()),
        }
    }

    /// Whether this could be a valid password: one that could never have been set is not worth a hash.
    pub(crate) fn may_be_somebodys(password: &str) -> bool {
        (LEAST..=MOST_BYTES).contains(&password.len())
    }

    /// Makes the PHC string to store for this password. argon2's defaults are m=19 MiB, t=2, p=1 (OWASP, 2025).
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it took too long.
    pub(crate) async fn hash(&self, turn: HashTurn, password: String) -> Result<String> {
        self.run(turn, move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|phc| phc.to_string()).map_err(|error| Error::Password(error.to_string()))
        })
        .await
    }

    /// Checks a password against a PHC string. If it matches and the string was made at a lower cost than today's, also
    /// returns one at today's cost.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it took too long.
    pub(crate) async fn verify(&self, turn: HashTurn, password: String, phc: String) -> Result<Verified> {
        self.run(turn, move || {
            use argon2::password_hash::Error as Hash;
            match Argon2::default().verify_password(password.as_bytes(), phc.as_str()) {
                Ok(()) => Ok(Verified::Right { renewed: renewed(&password, &phc) }),
                Err(Hash::PasswordInvalid) => Ok(Verified::Wrong),
                Err(error) => Err(Error::Password(error.to_string())),
            }
        })
        .await
    }

    /// Reserves a turn at hashing. A caller that gets none is refused before any other work is done: in a flood, that
    /// is nearly everybody.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if too many have one.
    pub(crate) fn turn(&self, whose: Whose) -> Result<HashTurn> {
        self.line.enter(whose).ok_or(TOO_MANY)
    }

    async fn run<T: Send + 'static>(
        &self,
        turn: HashTurn,
        hash: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |turn_has_come| match turn_has_come {
            true if answer.is_closed() => {} // the caller is gone
            true => drop(answer.send(hash())),
            false => drop(answer.send(Err(TOO_MANY))),
        });
        turn.take(job).map_err(|_| TOO_MANY)?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(hashed)) => hashed,
            Ok(Err(_)) => Err(Error::Password("the thread that hashes panicked".into())),
            Err(_) => Err(TOO_MANY),
        }
    }
}

/// Makes a hash at today's cost for a password whose hash had a lower one.
fn renewed(password: &str, phc: &str) -> Option<String> {
    let params = PasswordHash::new(phc).ok().and_then(|hash| Params::try_from(&hash).ok());
    let (has, wants) = (params?, Params::default());
    let is_cheap = has.m_cost() < wants.m_cost() || has.t_cost() < wants.t_cost();
    let hash = is_cheap.then(|| Argon2::default().hash_password(password.as_bytes()))?;
    hash.ok().map(|phc| phc.to_string())
}

/// Returns how many hashes run concurrently.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1)
}

fn work(line: &Line) {
    stand_back(BEHIND);
    while let Some(job) = line.next() {
        // A panic costs one answer, not a thread.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(true)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use super::line::STRANGERS as QUEUE;
    use super::*;

    const ANYBODY: Whose = Whose::Stranger(None);

    #[tokio::test]
    async fn a_password_is_its_own_and_no_two_hashes_are_the_same() {
        let passwords = Passwords::new();
        let turn = || passwords.turn(ANYBODY).unwrap();
        let hash = || passwords.hash(turn(), "correct horse".into());
        let (one, two) = (hash().await.unwrap(), hash().await.unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(one, two);
        let right = passwords.verify(turn(), "correct horse".into(), one.clone()).await.unwrap();
        assert_eq!(right, Verified::Right { renewed: None });
        assert_eq!(passwords.verify(turn(), "battery staple".into(), one).await.unwrap(), Verified::Wrong);
        assert!(matches!(
            passwords.verify(turn(), "x".into(), "no hash".into()).await,
            Err(Error::Password(_))
        ));
    }

    #[tokio::test]
    async fn a_hash_that_cost_less_than_todays_is_made_anew_when_the_password_is_right() {
        let passwords = Passwords::new();
        let cheap = Argon2::from(Params::new(64, 1, 1, None).unwrap());
        let phc = cheap.hash_password(b"correct horse").unwrap().to_string();
        let verify = |password: &str, phc: &str| {
            passwords.verify(passwords.turn(ANYBODY).unwrap(), password.to_owned(), phc.to_owned())
        };
        assert_eq!(verify("battery staple", &phc).await.unwrap(), Verified::Wrong);
        let Verified::Right { renewed: Some(renewed) } = verify("correct horse", &phc).await.unwrap() else {
            panic!("it was cheap")
        };
        assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{renewed}");
        assert_eq!(verify("correct horse", &renewed).await.unwrap(), Verified::Right { renewed: None });
    }

    #[test]
    fn a_new_password_has_8_characters_to_512_bytes_and_is_not_guessed_first() {
        let said = |password: &str| match Passwords::check_new(password, "Ada") {
            Err(Error::Refused(fault)) => Some(fault.reason),
            other => other.map(|()| None).unwrap(),
        };
        for (password, hint) in [
            ("", "has 0"),
            ("1234567", "has 7"),
            ("🦀🦀🦀", "has 3"),
            ("пароль1", "has 7"),
            (&"x".repeat(513), "has 513"),
            (&"ä".repeat(257), "has 514"),
            ("password", "Many people"),
            ("Adaadaada", "a name"),
        ] {
            let reason = said(password).unwrap_or_else(|| panic!("{password} was taken"));
            assert!(reason.contains(hint) && reason.ends_with('.'), "{password}: {reason}");
        }
        for password in ["🦀🦀🦀🦀🦀🦀🦀🦀", "  sp aces  ", "пароль-пароль", &"x".repeat(512)]
        {
            assert_eq!(said(password), None, "{password}");
        }
    }

    /// Reliability's T4: a flood, half of which disconnects midway.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_half_of_which_goes_away_never_runs_more_than_its_threads() {
        let passwords = Passwords::new();
        let phc = passwords.hash(passwords.turn(ANYBODY).unwrap(), "correct horse".into()).await.unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = || {
            let (now, most, passwords) = (now.clone(), most.clone(), passwords.clone());
            let hash = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let hashed = Argon2::default().hash_password(b"correct horse");
                now.fetch_sub(1, Ordering::SeqCst);
                hashed.map(drop).map_err(|error| Error::Password(error.to_string()))
            };
            async move { passwords.run(passwords.turn(ANYBODY)?, hash).await }
        };
        let (mut waiting, mut leaving, mut turned_away) = (Vec::new(), Vec::new(), 0);
        for nth in 0..4 * (threads() + QUEUE) {
            let mut login = Box::pin(counted());
            match futures::poll!(&mut login) {
                Poll::Pending if nth % 2 == 0 => leaving.push(login),
                Poll::Pending => waiting.push(login),
                Poll::Ready(Err(Error::Unavailable(_))) => turned_away += 1,
                Poll::Ready(answered) => answered.unwrap(), // this thread had to wait for a core
            }
        }
        assert!(turned_away >= QUEUE, "the rest is told at once: {turned_away}");
        assert!(leaving.len() >= QUEUE / 4 && waiting.len() >= QUEUE / 4);
        waiting.remove(0).await.unwrap();
        drop(leaving);
        for login in waiting {
            login.await.expect("who came first and stays is answered");
        }
        assert!((1..=threads()).contains(&most.load(Ordering::SeqCst)));
        let turn = passwords.turn(ANYBODY).unwrap();
        let verified = passwords.verify(turn, "correct horse".into(), phc).await.unwrap();
        assert_ne!(verified, Verified::Wrong, "and then all is well again");
    }

    #[tokio::test]
    async fn nothing_is_hashed_for_somebody_who_has_gone() {
        let passwords = Passwords::new();
        let hashed = Arc::new(AtomicUsize::new(0));
        // Occupies every thread until released.
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (blocked, gates): (Vec<_>, Vec<_>) = (0..threads())
            .map(|_| {
                let (passwords, begun) = (passwords.clone(), begun.clone());
                let (gate, opened) = std::sync::mpsc::channel::<()>();
                let wait = move || {
                    begun.send(()).unwrap();
                    let _ = opened.recv();
                    Ok(())
                };
                (tokio::spawn(async move { passwords.run(passwords.turn(ANYBODY)?, wait).await }), gate)
            })
            .unzip();
        for _ in 0..threads() {
            begins.recv().await.unwrap();
        }
        let counted = hashed.clone();
        let gone = passwords.run(passwords.turn(ANYBODY).unwrap(), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert!(futures::FutureExt::now_or_never(gone).is_none(), "it waits, and is dropped");
        drop(gates);
        for blocked in blocked {
            blocked.await.unwrap().unwrap();
        }
        passwords.hash(passwords.turn(ANYBODY).unwrap(), "correct horse".into()).await.unwrap();
        assert_eq!(hashed.load(Ordering::Relaxed), 0);
    }
}
