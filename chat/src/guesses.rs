//! How much may be guessed: passwords of accounts, and which names there are. Pure: the time is handed in, so a test
//! lives through a day in no time.
//!
//! Kept in memory. Nothing here grows for ever: an account that nobody guesses at, an address that has asked nothing
//! for an hour are forgotten; so is everything when the server starts anew.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use protocol::UserId;
use sha2::{Digest, Sha256};

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

/// The same for all addresses together.
const ALL_NAMES: usize = 600;

/// Devices of one account whose mistakes are remembered at a time.
const DEVICES: usize = 8;

/// Tidied up every so many turns.
const TIDY_EVERY: u32 = 1024;

/// An account with its password as it is now: under a new password everything begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lock([u8; 32]);

impl Lock {
    pub(crate) fn of(user: UserId, password_hash: &str) -> Self {
        Self(Sha256::new().chain_update(user.0).chain_update(password_hash).finalize().into())
    }
}

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
        let all = self.told.front().filter(|_| self.told.len() >= ALL_NAMES).copied();
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn lock() -> Lock {
        Lock::of(UserId::new(), "hash")
    }

    fn address(n: usize) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into())
    }

    /// Guesses that came through, of one every `pause`.
    fn through(guesses: &mut Guesses, from: Instant, times: u32, pause: Duration, lock: Lock) -> u32 {
        let tries = (0..times).map(|n| guesses.attempt(from + pause * n, lock, None, None).is_ok());
        u32::try_from(tries.filter(|ok| *ok).count()).unwrap()
    }

    #[test]
    fn a_new_password_begins_anew() {
        let (mut guesses, now, ada) = (Guesses::default(), Instant::now(), UserId::new());
        assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, Lock::of(ada, "old")), 5);
        assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, Lock::of(ada, "new")), 5);
    }

    #[test]
    fn strangers_have_five_guesses_at_once_then_one_in_five_minutes() {
        let (mut guesses, now, ada) = (Guesses::default(), Instant::now(), lock());
        assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, ada), 5);
        assert_eq!(guesses.attempt(now, ada, None, None).unwrap_err(), Wait::For(STRANGERS.every));
        let half = now + STRANGERS.every / 2;
        assert_eq!(guesses.attempt(half, ada, None, None).unwrap_err(), Wait::For(STRANGERS.every / 2));
        assert_eq!(through(&mut guesses, now + STRANGERS.every, 10, Duration::ZERO, ada), 1);
        assert_eq!(
            through(&mut guesses, now + HOUR, 10, Duration::ZERO, ada),
            5,
            "and five again after a rest"
        );
        assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, lock()), 5, "each account has its own");
    }

    /// reliability's figure: 10,000 guesses from 200 addresses on 20 accounts, in an hour.
    #[test]
    fn ten_thousand_guesses_from_two_hundred_addresses_try_at_most_twenty_passwords_an_account_and_hour() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let users: Vec<Lock> = (0..20).map(|_| lock()).collect();
        let mut tried: HashMap<Lock, u32> = HashMap::new();
        for n in 0..10_000 {
            let now = start + HOUR * u32::try_from(n).unwrap() / 10_000;
            let user = users[n % users.len()];
            if guesses.attempt(now, user, None, address(n / 7 % 200)).is_ok() {
                *tried.entry(user).or_default() += 1;
            }
        }
        assert_eq!(tried.len(), users.len());
        assert!(tried.values().all(|tries| (10..=20).contains(tries)), "{tried:?}");
    }

    /// A day of failures by strangers, one a second: the owner signs in every quarter of an hour on a known device, and
    /// mistypes now and then.
    #[test]
    fn a_day_of_guessing_never_locks_the_owner_out_of_a_known_device() {
        let (mut guesses, start, ada) = (Guesses::default(), Instant::now(), lock());
        let mut tried = 0;
        for second in 0..24 * 60 * 60 {
            let now = start + Duration::from_secs(second);
            tried += u32::from(guesses.attempt(now, ada, None, address(1 + second as usize % 500)).is_ok());
            if second % 900 == 0 {
                let slips = second / 900 % 4;
                for _ in 0..slips {
                    let _wrong = guesses.attempt(now, ada, Some(7), address(0)).unwrap();
                }
                let right = guesses.attempt(now, ada, Some(7), address(0)).unwrap();
                guesses.right(right);
            }
        }
        assert!(tried <= 5 + 24 * 12, "{tried}");
    }

    #[test]
    fn after_a_hundred_in_a_row_strangers_wait_for_the_owner() {
        let (mut guesses, start, ada) = (Guesses::default(), Instant::now(), lock());
        let day = 24 * 12 * 2;
        assert_eq!(through(&mut guesses, start, day, STRANGERS.every, ada), IN_A_ROW);
        let later = start + STRANGERS.every * day;
        assert_eq!(guesses.attempt(later, ada, None, None).unwrap_err(), Wait::ForTheOwner);
        let owner = guesses.attempt(later, ada, Some(7), None).unwrap();
        guesses.right(owner);
        assert!(guesses.attempt(later, ada, None, None).is_ok());
    }

    #[test]
    fn a_known_device_that_goes_on_failing_becomes_a_stranger() {
        let (mut guesses, start, ada) = (Guesses::default(), Instant::now(), lock());
        for n in 0..IN_A_ROW {
            let _wrong = guesses.attempt(start + KNOWN.every * n, ada, Some(7), None).unwrap();
        }
        let later = start + KNOWN.every * (IN_A_ROW + 60);
        let tries = (0..20).filter(|_| guesses.attempt(later, ada, Some(7), None).is_ok()).count();
        assert_eq!(tries, 5, "as many as a stranger has");
        assert!(
            guesses.attempt(later, ada, Some(8), None).is_ok(),
            "the owner's other device is still known"
        );
    }

    #[test]
    fn right_passwords_and_tries_that_were_none_use_nothing_up() {
        let (mut guesses, now, ada) = (Guesses::default(), Instant::now(), lock());
        for n in 0..1_000 {
            let attempt = guesses.attempt(now, ada, None, address(1)).unwrap();
            if n % 2 == 0 { guesses.right(attempt) } else { guesses.not_tried(attempt) }
        }
        assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, ada), 5);
    }

    /// 5,000 pairs of names and stolen passwords over 5,000 accounts from 50 addresses, in an hour.
    #[test]
    fn a_list_of_stolen_passwords_gets_five_accounts_an_address_and_hour() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let mut tried = 0;
        for n in 0..5_000 {
            let now = start + HOUR * u32::try_from(n).unwrap() / 5_001;
            tried += usize::from(guesses.attempt(now, lock(), None, address(n % 50)).is_ok());
        }
        assert!(tried <= 5_000 / 20, "{tried}");
        // Who gets the password right in the end uses nothing up.
        let (mut household, home) = (Guesses::default(), address(1));
        for _ in 0..100 {
            let user = lock();
            let _wrong = household.attempt(start, user, None, home).unwrap();
            let right = household.attempt(start, user, None, home).unwrap();
            household.right(right);
        }
    }

    #[test]
    fn an_address_learns_about_twenty_names_an_hour_and_all_together_about_six_hundred() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let mut learn = |now, from, name: &str| guesses.ask(now, address(from), name);
        let told = (0..10_000).filter(|n| learn(start, 1, &format!("name {n}")).is_ok()).count();
        assert_eq!(told, NAMES);
        assert!(learn(start, 1, "name 3").is_ok(), "it knows that already");
        assert_eq!(learn(start, 1, "other").unwrap_err(), Wait::For(HOUR));
        assert!(learn(start + HOUR, 1, "other").is_ok());

        let told =
            (0..10_000).filter(|n| learn(start + HOUR, 2 + n % 60, &format!("name {n}")).is_ok()).count();
        assert_eq!(told, ALL_NAMES - 1);
        assert!(learn(start + HOUR, 99, "new").is_err());
        assert!(learn(start + 2 * HOUR, 99, "new").is_ok());
    }

    #[test]
    fn questions_that_told_nothing_use_nothing_up() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        for n in 0..1_000 {
            let question = guesses.ask(now, address(1), &format!("name {n}")).unwrap();
            guesses.not_told(question);
        }
        assert!(guesses.told.is_empty());
        let question = guesses.ask(now, address(1), "nobody").unwrap();
        drop(question);
        let again = guesses.ask(now, address(1), "nobody").unwrap();
        guesses.not_told(again);
        assert_eq!(guesses.told.len(), 1, "what was told before stays told");
    }

    #[test]
    fn nothing_is_kept_for_ever() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        for n in 0..5_000 {
            let now = start + MINUTE * u32::try_from(n).unwrap();
            let _ = guesses.ask(now, address(n), "nobody").map(drop);
            let _ = guesses.attempt(now, lock(), None, address(n)).map(drop);
        }
        assert!(guesses.addresses.len() <= 60 + TIDY_EVERY as usize, "{}", guesses.addresses.len());
        let later = start + FORGOTTEN * 2;
        for _ in 0..TIDY_EVERY {
            let _ = guesses.ask(later, address(1), "nobody").map(drop);
        }
        assert_eq!((guesses.accounts.len(), guesses.addresses.len()), (0, 1));
        assert_eq!(guesses.told.len(), 1);
    }
}
