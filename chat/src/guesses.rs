//! How much may be guessed: passwords of accounts, and which names there are. Pure: the time is handed in, so a test
//! lives through a day in no time.
//!
//! Kept in memory. Nothing here grows for ever: an account that nobody guesses at, an address that has asked nothing
//! for an hour are forgotten; so is everything when the server starts anew.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::logins::Lock;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Wrong passwords for one account from all devices that its owner has never signed in from, together: five at once,
/// then one in five minutes.
const STRANGERS: Rate = Rate { burst: 5, every: Duration::from_secs(5 * 60) };

/// The same from one device of its owner's: fingers slip.
const KNOWN: Rate = Rate { burst: 10, every: MINUTE };

/// Wrong passwords in a row (NIST SP 800-63B-4 3.2.2): then strangers have no more turns, and a known device counts as
/// a stranger, until the owner has signed in.
const IN_A_ROW: u32 = 100;

/// What was in a row is forgotten when nobody has guessed for so long.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Accounts that one address may have tried in vain in an hour, from strange devices: one person mistypes their own
/// name's password; a list of stolen passwords goes on to the next name (OWASP, "credential stuffing").
const ACCOUNTS: usize = 5;

/// Names that one address may learn about in an hour, namely that nobody has them (login) or somebody does (register).
const NAMES: usize = 20;

/// The same for all addresses together; beyond it each address may still learn about a few, or whoever has many
/// addresses could keep everybody from registering.
const ALL_NAMES: usize = 600;
const SPARE_NAMES: usize = 3;

/// Devices of one account whose mistakes are remembered at a time.
const DEVICES: usize = 8;

/// Tidied up every so many turns.
const TIDY_EVERY: u32 = 1024;

/// So many at once, then one in so long.
struct Rate {
    burst: u32,
    every: Duration,
}

/// Why not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Again after this time.
    For(Duration),
    /// Too many in a row: not before the owner has signed in.
    ForTheOwner,
}

/// What was guessed lately.
#[derive(Default)]
pub(crate) struct Guesses {
    accounts: HashMap<Lock, Account>,
    addresses: HashMap<IpAddr, Asked>,
    /// When anybody was told anything about a name, oldest first.
    told: VecDeque<Instant>,
    turns: u32,
}

#[derive(Default)]
struct Account {
    strangers: Bucket,
    /// The one used last is the last.
    devices: Vec<(u128, Bucket)>,
}

/// Wrong passwords, as a bucket that empties with time (GCRA): it holds the moment when it will be empty.
#[derive(Default)]
struct Bucket {
    empty_at: Option<Instant>,
    in_a_row: u32,
}

#[derive(Default)]
struct Asked {
    names: Vec<(String, Instant)>,
    accounts: Vec<(Lock, Instant)>,
}

/// Leave to learn about a name; given back by [`Guesses::not_told`] when nothing was learned.
#[derive(Debug)]
#[must_use]
pub(crate) struct Question {
    address: Option<IpAddr>,
    name: String,
    is_new: bool,
}

/// Leave to try a password.
#[derive(Debug)]
#[must_use]
pub(crate) struct Try {
    lock: Lock,
    device: Option<u128>,
    address: Option<IpAddr>,
}

impl Bucket {
    fn add(&mut self, now: Instant, rate: &Rate) -> Result<(), Wait> {
        if self.in_a_row >= IN_A_ROW {
            return Err(Wait::ForTheOwner);
        }
        let empty_at = self.empty_at.unwrap_or(now).max(now);
        let over = (empty_at + rate.every).saturating_duration_since(now + rate.every * rate.burst);
        if !over.is_zero() {
            return Err(Wait::For(over));
        }
        self.empty_at = Some(empty_at + rate.every);
        self.in_a_row += 1;
        Ok(())
    }

    /// The last one counts for nothing.
    fn take_back(&mut self, rate: &Rate) {
        self.empty_at = self.empty_at.and_then(|at| at.checked_sub(rate.every));
        self.in_a_row = self.in_a_row.saturating_sub(1);
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let kept = if self.in_a_row == 0 { Duration::ZERO } else { FORGOTTEN };
        self.empty_at.is_none_or(|at| at + kept <= now)
    }
}

impl Account {
    fn device(&mut self, number: u128) -> &mut Bucket {
        let bucket = match self.devices.iter().position(|(known, _)| *known == number) {
            Some(at) => self.devices.remove(at).1,
            None => Bucket::default(),
        };
        if self.devices.len() == DEVICES {
            self.devices.remove(0); // only the owner can have so many
        }
        self.devices.push((number, bucket));
        &mut self.devices.last_mut().expect("just pushed").1
    }

    fn bucket(&mut self, device: Option<u128>) -> (&mut Bucket, &'static Rate) {
        match device {
            Some(number) => (self.device(number), &KNOWN),
            None => (&mut self.strangers, &STRANGERS),
        }
    }
}

impl Guesses {
    /// Leave for this address to learn whether a name is there. To be asked before anybody looks.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        address: Option<IpAddr>,
        name: &str,
    ) -> Result<Question, Wait> {
        self.tidy(now);
        let mut question = Question { address, name: name.to_owned(), is_new: false };
        let Some(address) = address else { return Ok(question) };
        let asked = self.addresses.entry(address).or_default();
        asked.names.retain(|(_, at)| now < *at + HOUR);
        if asked.names.iter().any(|(known, _)| known == name) {
            return Ok(question); // it learned that before
        }
        while self.told.front().is_some_and(|at| *at + HOUR <= now) {
            self.told.pop_front();
        }
        let own = asked.names.first().filter(|_| asked.names.len() >= NAMES).map(|(_, at)| *at);
        let spent = self.told.len() >= ALL_NAMES && asked.names.len() >= SPARE_NAMES;
        let all = self.told.front().filter(|_| spent).copied();
        if let Some(first) = own.max(all) {
            return Err(Wait::For((first + HOUR).saturating_duration_since(now)));
        }
        asked.names.push((name.to_owned(), now));
        self.told.push_back(now);
        question.is_new = true;
        Ok(question)
    }

    /// The answer to a question was not about the name alone.
    pub(crate) fn not_told(&mut self, question: Question) {
        if !question.is_new {
            return;
        }
        if let Some(asked) = question.address.and_then(|address| self.addresses.get_mut(&address)) {
            asked.names.retain(|(name, _)| *name != question.name);
        }
        self.told.pop_back();
    }

    /// Leave to try a password for an account, on a device that is known for it or on a strange one. Counts as wrong
    /// until [`Guesses::right`] or [`Guesses::not_tried`], so that many at once are counted too.
    pub(crate) fn attempt(
        &mut self,
        now: Instant,
        lock: Lock,
        device: Option<u128>,
        address: Option<IpAddr>,
    ) -> Result<Try, Wait> {
        self.tidy(now);
        let account = self.accounts.entry(lock).or_default();
        let device = device.filter(|number| account.device(*number).in_a_row < IN_A_ROW);
        let strange = address.filter(|_| device.is_none());
        let asked = strange.map(|address| self.addresses.entry(address).or_default());
        if let Some(asked) = &asked {
            let fresh = asked.accounts.iter().filter(|(_, at)| now < *at + HOUR);
            let others: Vec<Instant> = fresh.filter(|(tried, _)| *tried != lock).map(|(_, at)| *at).collect();
            if let Some(first) = others.first().filter(|_| others.len() >= ACCOUNTS) {
                return Err(Wait::For((*first + HOUR).saturating_duration_since(now)));
            }
        }
        let (bucket, rate) = account.bucket(device);
        bucket.add(now, rate)?;
        if let Some(asked) = asked {
            asked.accounts.retain(|(tried, at)| *tried != lock && now < *at + HOUR);
            asked.accounts.push((lock, now));
        }
        Ok(Try { lock, device, address: strange })
    }

    /// The password was right.
    pub(crate) fn right(&mut self, attempt: Try) {
        let lock = attempt.lock;
        self.not_tried(attempt);
        if let Some(account) = self.accounts.get_mut(&lock) {
            account.strangers.in_a_row = 0;
            account.devices.iter_mut().for_each(|(_, bucket)| bucket.in_a_row = 0);
        }
    }

    /// The password was not looked at.
    pub(crate) fn not_tried(&mut self, attempt: Try) {
        let Try { lock, device, address } = attempt;
        if let Some(account) = self.accounts.get_mut(&lock) {
            let (bucket, rate) = account.bucket(device);
            bucket.take_back(rate);
        }
        if let Some(asked) = address.and_then(|address| self.addresses.get_mut(&address)) {
            asked.accounts.retain(|(tried, _)| *tried != lock);
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.turns = self.turns.wrapping_add(1);
        if !self.turns.is_multiple_of(TIDY_EVERY) {
            return;
        }
        self.accounts.retain(|_, account| {
            account.devices.retain(|(_, bucket)| !bucket.is_forgotten(now));
            !account.devices.is_empty() || !account.strangers.is_forgotten(now)
        });
        self.addresses.retain(|_, asked| {
            asked.names.retain(|(_, at)| now < *at + HOUR);
            asked.accounts.retain(|(_, at)| now < *at + HOUR);
            !asked.names.is_empty() || !asked.accounts.is_empty()
        });
    }
}
