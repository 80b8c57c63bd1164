//! What callers were told about names: at the doors, that a name is free (login) or taken (register); by a search, that
//! a name does not exist. One logic for all of them, counted per user and per network.

use std::collections::VecDeque;
use std::collections::hash_map::{HashMap, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Instant;

use protocol::UserId;

use super::wait::{HOUR, Wait};
use crate::network::{Scope, scopes};

/// Names that one address may learn about in an hour at the doors, and by searching: there each account has its own
/// count, and an address may have many people.
const AT_DOORS: usize = 20;
const BY_SEARCH: usize = 20;
const BY_SEARCHES: usize = 200;

/// The doors' limit for all addresses together; beyond it each may still learn about a few, or else an attacker with
/// many addresses could keep everybody from registering.
const ALL: usize = 600;
const SPARE: usize = 3;

/// Who the names are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Door(Scope),
    Searches(Scope),
    Searcher(UserId),
}

/// What was recently told about names.
#[derive(Default)]
pub(super) struct Names {
    /// Names by their hash: long ones take no more room.
    told: HashMap<Who, Vec<(u64, Instant)>>,
    /// Told at the doors, to anybody; oldest first.
    at_doors: VecDeque<Instant>,
    hasher: RandomState,
}

/// Permission to learn about a name; [`super::Guesses::not_told`] refunds it if nothing was learned.
#[derive(Debug)]
#[must_use]
pub(crate) struct Question {
    /// Empty if the caller knew already.
    of: Vec<Who>,
    name: u64,
    at_door: bool,
}

impl Names {
    /// Asks for permission to tell about a name at a door.
    pub(super) fn at_door(
        &mut self,
        now: Instant,
        address: Option<IpAddr>,
        name: &str,
    ) -> Result<Question, Wait> {
        let scopes = address.map(scopes).unwrap_or_default();
        let of = scopes.into_iter().map(|(scope, times)| (Who::Door(scope), AT_DOORS * times)).collect();
        self.ask(now, of, name, true)
    }

    /// Asks for permission to tell that a name does not exist.
    pub(super) fn by_search(
        &mut self,
        now: Instant,
        user: UserId,
        address: Option<IpAddr>,
        name: &str,
    ) -> Result<Question, Wait> {
        let scopes = address.map(scopes).unwrap_or_default();
        let wide = scopes.into_iter().map(|(scope, times)| (Who::Searches(scope), BY_SEARCHES * times));
        let of = std::iter::once((Who::Searcher(user), BY_SEARCH)).chain(wide).collect();
        self.ask(now, of, name, false)
    }

    fn ask(
        &mut self,
        now: Instant,
        of: Vec<(Who, usize)>,
        name: &str,
        at_door: bool,
    ) -> Result<Question, Wait> {
        let name = self.hasher.hash_one(name);
        let mut wait = None;
        for (who, most) in &of {
            let told = self.told.entry(*who).or_default();
            told.retain(|(_, at)| now < *at + HOUR);
            if told.iter().any(|(known, _)| *known == name) {
                return Ok(Question { of: Vec::new(), name, at_door }); // they already know
            }
            wait = wait.max(told.first().filter(|_| told.len() >= *most).map(|(_, at)| *at));
        }
        if at_door && let Some((widest, _)) = of.last() {
            while self.at_doors.front().is_some_and(|at| *at + HOUR <= now) {
                self.at_doors.pop_front();
            }
            let spent = self.at_doors.len() >= ALL && self.told[widest].len() >= SPARE;
            wait = wait.max(self.at_doors.front().filter(|_| spent).copied());
        }
        if let Some(first) = wait {
            return Err(Wait::For((first + HOUR).saturating_duration_since(now)));
        }
        let of: Vec<Who> = of.into_iter().map(|(who, _)| who).collect();
        for who in &of {
            self.told.entry(*who).or_default().push((name, now));
        }
        if at_door && !of.is_empty() {
            self.at_doors.push_back(now);
        }
        Ok(Question { of, name, at_door })
    }

    /// Refunds a question whose answer said nothing about the name alone.
    pub(super) fn not_told(&mut self, question: &Question) {
        for who in &question.of {
            if let Some(told) = self.told.get_mut(who) {
                told.retain(|(name, _)| *name != question.name);
            }
        }
        if question.at_door && !question.of.is_empty() {
            self.at_doors.pop_back();
        }
    }

    pub(super) fn tidy(&mut self, now: Instant) {
        self.told.retain(|_, told| {
            told.retain(|(_, at)| now < *at + HOUR);
            !told.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.told.len(), self.at_doors.len())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v4(n: usize) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into())
    }

    /// Makes an address in the nth /64 of a /48.
    fn v6(n: usize) -> Option<IpAddr> {
        let site = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
        Some(Ipv6Addr::from_bits(site + (u128::try_from(n).unwrap() << 64)).into())
    }

    #[test]
    fn an_address_learns_about_twenty_names_an_hour_and_all_together_about_six_hundred() {
        let (mut names, start) = (Names::default(), Instant::now());
        let mut learn = |now, from, name: &str| names.at_door(now, v4(from), name);
        let told = (0..10_000).filter(|n| learn(start, 1, &format!("name {n}")).is_ok()).count();
        assert_eq!(told, AT_DOORS);
        assert!(learn(start, 1, "name 3").is_ok(), "it knows that already");
        assert_eq!(learn(start, 1, "other").unwrap_err(), Wait::For(HOUR));
        assert!(learn(start + HOUR, 1, "other").is_ok());

        let told =
            (0..10_000).filter(|n| learn(start + HOUR, 2 + n % 60, &format!("name {n}")).is_ok()).count();
        assert_eq!(told, ALL - 1);
        let told =
            (0..10_000).filter(|n| learn(start + HOUR, 2 + n % 60, &format!("more {n}")).is_ok()).count();
        assert_eq!(told, 0, "nobody who has learned more than a few learns more");
        let spare = (0..10).filter(|n| learn(start + HOUR, 99, &format!("own {n}")).is_ok()).count();
        assert_eq!(spare, SPARE, "an address that has asked for nothing yet is not kept out by others");
        assert!(learn(start + 2 * HOUR, 99, "new").is_ok());
    }

    /// Security's finding 6: a /48 learned 1,140 names, each of its /64 a few.
    #[test]
    fn an_ipv6_home_learns_as_much_as_an_address_and_a_site_three_times_as_much() {
        let (mut names, now) = (Names::default(), Instant::now());
        let mut learn = |from, name: &str| names.at_door(now, v6(from), name).is_ok();
        let home = (0..2_000).filter(|n| learn(n % 256, &format!("name {n}"))).count();
        assert_eq!(home, AT_DOORS);
        let site = home + (0..5_000).filter(|n| learn(*n, &format!("other {n}"))).count();
        assert_eq!(site, 3 * AT_DOORS);
        for n in 0..600 {
            let _ = names.at_door(now, v4(n), &format!("their {n}"));
        }
        let spare = (0..5_000).filter(|n| names.at_door(now, v6(*n), &format!("new {n}")).is_ok()).count();
        assert_eq!(spare, 0, "what is kept for late comers is not kept for each of a site's homes");
    }

    #[test]
    fn a_searcher_is_told_twenty_times_an_hour_that_nobody_has_a_name_and_an_address_two_hundred_times() {
        let (mut names, start, ada) = (Names::default(), Instant::now(), UserId::new());
        let mut search = |now, user, from, name: &str| names.by_search(now, user, v4(from), name);
        let told = (0..500).filter(|n| search(start, ada, *n, &format!("name {n}")).is_ok()).count();
        assert_eq!(told, BY_SEARCH, "from wherever");
        assert!(search(start, ada, 1, "name 7").is_ok(), "told already");
        assert_eq!(search(start, ada, 1, "more").unwrap_err(), Wait::For(HOUR));
        assert!(search(start + HOUR, ada, 1, "more").is_ok());

        let crowd: Vec<UserId> = (0..30).map(|_| UserId::new()).collect();
        let told = (0..3_000).filter(|n| search(start, crowd[n % 30], 999, &format!("theirs {n}")).is_ok());
        assert_eq!(told.count(), BY_SEARCHES);
        let ours = names.at_door(start, v4(999), "ours");
        assert!(ours.is_ok(), "the doors have a count of their own");
    }

    #[test]
    fn questions_that_told_nothing_use_nothing_up() {
        let (mut names, now, ada) = (Names::default(), Instant::now(), UserId::new());
        for n in 0..1_000 {
            let question = names.at_door(now, v4(1), &format!("name {n}")).unwrap();
            names.not_told(&question);
            let question = names.by_search(now, ada, v4(1), &format!("name {n}")).unwrap();
            names.not_told(&question);
        }
        assert!(names.at_doors.is_empty());
        drop(names.at_door(now, v4(1), "nobody").unwrap());
        let again = names.at_door(now, v4(1), "nobody").unwrap();
        names.not_told(&again);
        assert_eq!(names.at_doors.len(), 1, "what was told before stays told");
    }
}
