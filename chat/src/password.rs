//! Passwords: argon2id (RFC 9106) at OWASP's minimum, a bounded number at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use protocol::{Code, Fault};
use tokio::sync::Semaphore;

use crate::{Error, Result};

const BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// Most requests that wait for their turn; more are told to come back.
const QUEUE: usize = 64;

/// Hashes and checks passwords. One hash takes 19 MiB and tens of milliseconds of a core, so no more run at a
/// time than leaves a core for the chat.
#[derive(Clone)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            permits: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            waiting: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Passes a password that may be used.
    pub(crate) fn check(password: &str) -> Result<()> {
        if BYTES.contains(&password.len()) {
            return Ok(());
        }
        let (least, most) = (BYTES.start(), BYTES.end());
        let reason = format!("A password has {least} to {most} bytes; this one has {}.", password.len());
        Err(Fault::new(Code::UnusablePassword, reason).into())
    }

    /// The PHC string to store for this password. argon2's defaults are m=19 MiB, t=2, p=1 (OWASP, 2025).
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        self.run(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|phc| phc.to_string()).map_err(|error| Error::Password(error.to_string()))
        })
        .await
    }

    /// Whether this password has this PHC string.
    pub(crate) async fn verify(&self, password: String, phc: String) -> Result<bool> {
        self.run(move || {
            use argon2::password_hash::Error as Hash;
            match Argon2::default().verify_password(password.as_bytes(), phc.as_str()) {
                Ok(()) => Ok(true),
                Err(Hash::PasswordInvalid) => Ok(false),
                Err(error) => Err(Error::Password(error.to_string())),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let place = Place::take(&self.waiting)?;
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        drop(place);
        // The permit moves in: when the client goes away the hash still runs, and must still count.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| Error::Password(error.to_string()))?
    }
}

/// A place in the queue, given back on drop.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Result<Self> {
        let place = Self(waiting.clone());
        if waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            return Err(Error::Unavailable("too many logins at once"));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
