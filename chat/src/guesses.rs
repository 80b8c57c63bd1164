//! Limits on guessing: the passwords of accounts, and which names exist. Pure: the caller passes the time, so a test
//! simulates a day in no time.
//!
//! Kept in memory. Nothing here grows forever: an account that nobody guesses at and an address that has asked nothing
//! for an hour are forgotten; a restart forgets everything.

mod names;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use protocol::UserId;

use crate::logins::Lock;
use crate::network::{Scope, network, scopes};
use names::Names;
pub(crate) use names::Question;
use wait::HOUR;
pub(crate) use wait::Wait;

const MINUTE: Duration = Duration::from_secs(60);

/// Wrong passwords for one account from one network, on devices its owner has never signed in from: a burst of five,
/// then one every five minutes. So an attacker locks out only their own network.
const NETWORK: Rate = Rate { burst: 5, every: Duration::from_secs(5 * 60) };

/// The same from all networks together, per hour.
const STRANGERS: usize = 20;

/// The same from one of the owner's devices: typos happen.
const KNOWN: Rate = Rate { burst: 10, every: MINUTE };

/// After this many wrong passwords in a row, a known device counts as a stranger, and all strangers together get
/// [`AFTER_MANY`] an hour until the owner has signed in. NIST SP 800-63B-4 3.2.2 wants none at all then, but that would
/// let anybody lock out for good an owner who has no other device.
const IN_A_ROW: u32 = 100;
const AFTER_MANY: usize = 1;

/// How long after the last guess the count in a row is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Accounts that one address may fail at in an hour, from unknown devices: a person mistypes the password of their own
/// name; a list of stolen passwords moves on to the next name (OWASP, "credential stuffing").
const ACCOUNTS: usize = 5;

/// Devices per account whose mistakes are remembered.
const DEVICES: usize = 8;

/// Stale entries are removed every this many calls.
const TIDY_EVERY: u32 = 1024;

/// A burst of so many, then one per period.
struct Rate {
    burst: u32,
    every: Duration,
}

/// Recent guesses.
#[derive(Default)]
pub(crate) struct Guesses {
    accounts: HashMap<Lock, Account>,
    /// Accounts that an address failed at.
    addresses: HashMap<Scope, Vec<(Lock, Instant)>>,
    names: Names,
    turns: u32,
}

#[derive(Default)]
struct Account {
    strangers: Strangers,
    /// Most recently used last.
    devices: Vec<(u128, Device)>,
}

/// Wrong passwords from unknown devices.
#[derive(Default)]
struct Strangers {
    networks: HashMap<Option<IpAddr>, Bucket>,
    /// In the last hour, oldest first.
    lately: VecDeque<Instant>,
    in_a_row: u32,
    last: Option<Instant>,
}

/// Wrong passwords from a known device.
#[derive(Default)]
struct Device {
    bucket: Bucket,
    in_a_row: u32,
}

/// Wrong passwords, as a leaky bucket (GCRA): it stores the moment when it will be empty.
#[derive(Default)]
struct Bucket {
    empty_at: Option<Instant>,
}

/// Permission to try a password.
#[derive(Debug)]
#[must_use]
pub(crate) struct Try {
    lock: Lock,
    device: Option<u128>,
    address: Option<IpAddr>,
    at: Instant,
}

impl Bucket {
    fn add(&mut self, now: Instant, rate: &Rate) -> Result<(), Wait> {
        let empty_at = self.empty_at.unwrap_or(now).max(now);
        let over = (empty_at + rate.every).saturating_duration_since(now + rate.every * rate.burst);
        if !over.is_zero() {
            return Err(Wait::For(over));
        }
        self.empty_at = Some(empty_at + rate.every);
        Ok(())
    }

    /// Uncounts the last one.
    fn take_back(&mut self, rate: &Rate) {
        self.empty_at = self.empty_at.and_then(|at| at.checked_sub(rate.every));
    }

    fn is_empty(&self, now: Instant) -> bool {
        self.empty_at.is_none_or(|at| at <= now)
    }
}

impl Strangers {
    fn add(&mut self, now: Instant, network: Option<IpAddr>) -> Result<(), Wait> {
        while self.lately.front().is_some_and(|at| *at + HOUR <= now) {
            self.lately.pop_front();
        }
        self.networks.retain(|_, bucket| !bucket.is_empty(now));
        let many = self.in_a_row >= IN_A_ROW;
        let most = if many { AFTER_MANY } else { STRANGERS };
        if let Some(first) = self.lately.len().checked_sub(most).map(|at| self.lately[at]) {
            let wait = (first + HOUR).saturating_duration_since(now);
            return Err(if many { Wait::ForTheOwner(wait) } else { Wait::For(wait) });
        }
        self.networks.entry(network).or_default().add(now, &NETWORK)?;
        self.lately.push_back(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last = Some(now);
        Ok(())
    }

    fn take_back(&mut self, at: Instant, network: Option<IpAddr>) {
        if let Some(bucket) = self.networks.get_mut(&network) {
            bucket.take_back(&NETWORK);
        }
        if let Some(place) = self.lately.iter().rposition(|then| *then == at) {
            self.lately.remove(place);
        }
        self.in_a_row = self.in_a_row.saturating_sub(1);
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let kept = if self.in_a_row == 0 { HOUR } else { FORGOTTEN };
        self.last.is_none_or(|at| at + kept <= now)
    }
}

impl Device {
    fn add(&mut self, now: Instant) -> Result<(), Wait> {
        self.bucket.add(now, &KNOWN)?;
        self.in_a_row = self.in_a_row.saturating_add(1);
        Ok(())
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let kept = if self.in_a_row == 0 { Duration::ZERO } else { FORGOTTEN };
        self.bucket.empty_at.is_none_or(|at| at + kept <= now)
    }
}

impl Account {
    fn device(&mut self, number: u128) -> &mut Device {
        let device = match self.devices.iter().position(|(known, _)| *known == number) {
            Some(at) => self.devices.remove(at).1,
            None => Device::default(),
        };
        if self.devices.len() == DEVICES {
            self.devices.remove(0); // only the owner can have this many
        }
        self.devices.push((number, device));
        &mut self.devices.last_mut().expect("just pushed").1
    }
}

impl Guesses {
    /// Asks whether this address may learn at a door whether a name exists. Call before the lookup.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        address: Option<IpAddr>,
        name: &str,
    ) -> Result<Question, Wait> {
        self.tidy(now);
        self.names.at_door(now, address, name)
    }

    /// Asks whether this user, at this address, may learn by a search that a name does not exist. Call before the
    /// lookup.
    pub(crate) fn search(
        &mut self,
        now: Instant,
        user: UserId,
        address: Option<IpAddr>,
        name: &str,
    ) -> Result<Question, Wait> {
        self.tidy(now);
        self.names.by_search(now, user, address, name)
    }

    /// Refunds a question whose answer said nothing about the name alone.
    pub(crate) fn not_told(&mut self, question: &Question) {
        self.names.not_told(question);
    }

    /// Asks whether a password may be tried for an account, on a device known for it or an unknown one. Counts as wrong
    /// until [`Guesses::right`] or [`Guesses::not_tried`], so that concurrent attempts count too.
    pub(crate) fn attempt(
        &mut self,
        now: Instant,
        lock: Lock,
        device: Option<u128>,
        address: Option<IpAddr>,
    ) -> Result<Try, Wait> {
        self.tidy(now);
        let account = self.accounts.entry(lock).or_default();
        if let Some(number) = device
            && account.device(number).in_a_row < IN_A_ROW
        {
            account.device(number).add(now)?;
            return Ok(Try { lock, device, address: None, at: now });
        }
        let scopes = address.map(scopes).unwrap_or_default();
        for (scope, times) in &scopes {
            let tried = self.addresses.entry(*scope).or_default();
            tried.retain(|(_, at)| now < *at + HOUR);
            let mut others = tried.iter().filter(|(tried, _)| *tried != lock).map(|(_, at)| *at);
            let first = others.next();
            if let Some(first) = first.filter(|_| 1 + others.count() >= ACCOUNTS * times) {
                return Err(Wait::For((first + HOUR).saturating_duration_since(now)));
            }
        }
        account.strangers.add(now, address.map(network))?;
        for (scope, _) in scopes {
            let tried = self.addresses.entry(scope).or_default();
            tried.retain(|(tried, _)| *tried != lock);
            tried.push((lock, now));
        }
        Ok(Try { lock, device: None, address, at: now })
    }

    /// Notes that the password was right.
    pub(crate) fn right(&mut self, attempt: Try) {
        let lock = attempt.lock;
        self.not_tried(attempt);
        if let Some(account) = self.accounts.get_mut(&lock) {
            account.strangers.in_a_row = 0;
            account.devices.iter_mut().for_each(|(_, device)| device.in_a_row = 0);
        }
    }

    /// Notes that the password was not checked.
    pub(crate) fn not_tried(&mut self, attempt: Try) {
        let Try { lock, device, address, at } = attempt;
        if let Some(account) = self.accounts.get_mut(&lock) {
            match device {
                Some(number) => {
                    let device = account.device(number);
                    device.bucket.take_back(&KNOWN);
                    device.in_a_row = device.in_a_row.saturating_sub(1);
                }
                None => account.strangers.take_back(at, address.map(network)),
            }
        }
        for (scope, _) in address.map(scopes).unwrap_or_default() {
            if let Some(tried) = self.addresses.get_mut(&scope) {
                tried.retain(|(tried, _)| *tried != lock);
            }
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.turns = self.turns.wrapping_add(1);
        if !self.turns.is_multiple_of(TIDY_EVERY) {
            return;
        }
        self.accounts.retain(|_, account| {
            account.devices.retain(|(_, device)| !device.is_forgotten(now));
            !account.devices.is_empty() || !account.strangers.is_forgotten(now)
        });
        self.addresses.retain(|_, tried| {
            tried.retain(|(_, at)| now < *at + HOUR);
            !tried.is_empty()
        });
        self.names.tidy(now);
    }
}
