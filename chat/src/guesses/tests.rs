use std::net::Ipv4Addr;

use protocol::UserId;

use super::*;

fn lock() -> Lock {
    Lock::of(UserId::new(), "hash")
}

fn address(n: usize) -> Option<IpAddr> {
    Some(Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into())
}

/// Counts the guesses that came through, at one every `pause`.
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
fn a_network_has_five_guesses_at_once_then_one_in_five_minutes() {
    let (mut guesses, now, ada) = (Guesses::default(), Instant::now(), lock());
    assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, ada), 5);
    assert_eq!(guesses.attempt(now, ada, None, None).unwrap_err(), Wait::For(NETWORK.every));
    let half = now + NETWORK.every / 2;
    assert_eq!(guesses.attempt(half, ada, None, None).unwrap_err(), Wait::For(NETWORK.every / 2));
    assert_eq!(through(&mut guesses, now + NETWORK.every, 10, Duration::ZERO, ada), 1);
    assert_eq!(through(&mut guesses, now + HOUR, 10, Duration::ZERO, ada), 5, "and five again after a rest");
    assert_eq!(through(&mut guesses, now, 50, Duration::ZERO, lock()), 5, "each account has its own");
}

/// Reliability's figure: 10,000 guesses from 200 addresses on 20 accounts, in an hour.
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
    assert!(tried <= 24 * 20, "{tried}");
}

/// Security's finding 16: five guesses by anybody locked the owner out of every new device.
#[test]
fn whoever_guesses_shuts_out_their_own_network_alone() {
    let (mut guesses, now, ada) = (Guesses::default(), Instant::now(), lock());
    let from = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let mut tries =
        |from: Option<IpAddr>| (0..50).filter(|_| guesses.attempt(now, ada, None, from).is_ok()).count();
    assert_eq!(tries(from("203.0.113.66")), 5);
    assert_eq!(tries(from("203.0.113.1")), 0, "the same network");
    assert_eq!(tries(from("198.51.100.7")), 5);
    assert_eq!(tries(from("2001:db8:1:2::3")), 5);
    assert_eq!(tries(from("2001:db8:1:ffff::3")), 0);
    assert_eq!(tries(from("2001:db8:2::3")), 5);
    assert_eq!(tries(from("192.0.2.1")), 0, "20 an hour from all of them");
    let later = guesses.attempt(now, ada, None, from("192.0.2.1")).unwrap_err();
    assert_eq!(later, Wait::For(HOUR));
    assert!(guesses.attempt(now + HOUR, ada, None, from("192.0.2.1")).is_ok());
}

#[test]
fn no_hour_has_more_than_twenty_guesses_of_strangers() {
    let (mut guesses, start, ada) = (Guesses::default(), Instant::now(), lock());
    let mut tried = Vec::new();
    for n in 0..12 * 60 {
        let now = start + MINUTE * u32::try_from(n).unwrap() / 6;
        if guesses.attempt(now, ada, None, address(n << 8)).is_ok() {
            tried.push(now);
        }
    }
    assert!(tried.windows(STRANGERS + 1).all(|some| some[STRANGERS] - some[0] >= HOUR), "{}", tried.len());
    assert_eq!(tried.len(), 2 * STRANGERS);
}

#[test]
fn after_a_hundred_in_a_row_strangers_have_one_an_hour_until_the_owner_has_signed_in() {
    let (mut guesses, start, ada) = (Guesses::default(), Instant::now(), lock());
    let mut tries = |from: Instant, hours: u32| {
        let tries = (0..hours * 60).filter(|n| {
            guesses.attempt(from + MINUTE * *n, ada, None, address(usize::try_from(*n).unwrap() << 8)).is_ok()
        });
        u32::try_from(tries.count()).unwrap()
    };
    assert_eq!(tries(start, 5), IN_A_ROW);
    let later = start + HOUR * 6;
    assert_eq!(tries(later, 24), 24);
    let now = later + HOUR * 24;
    assert!(guesses.attempt(now, ada, None, address(1)).is_ok());
    assert_eq!(guesses.attempt(now, ada, None, address(1)).unwrap_err(), Wait::ForTheOwner(HOUR));
    let owner = guesses.attempt(now, ada, Some(7), None).unwrap();
    guesses.right(owner);
    assert!(guesses.attempt(now, ada, None, address(1)).is_ok());
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
    assert!(guesses.attempt(later, ada, Some(8), None).is_ok(), "the owner's other device is still known");
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

/// 5,000 pairs of names and stolen passwords for 5,000 accounts from 50 addresses, in an hour.
#[test]
fn a_list_of_stolen_passwords_gets_five_accounts_an_address_and_hour() {
    let (mut guesses, start) = (Guesses::default(), Instant::now());
    let mut tried = 0;
    for n in 0..5_000 {
        let now = start + HOUR * u32::try_from(n).unwrap() / 5_001;
        tried += usize::from(guesses.attempt(now, lock(), None, address(n % 50)).is_ok());
    }
    assert!(tried <= 5_000 / 20, "{tried}");
    let site = (0..1_000u128).filter(|n| {
        let from = std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + (n << 64));
        guesses.attempt(start + 2 * HOUR, lock(), None, Some(from.into())).is_ok()
    });
    assert_eq!(site.count(), 3 * ACCOUNTS, "an IPv6 site is not as many addresses as it has");
    // A user who finally gets the password right uses nothing up.
    let (mut household, home) = (Guesses::default(), address(1));
    for _ in 0..100 {
        let user = lock();
        let _wrong = household.attempt(start, user, None, home).unwrap();
        let right = household.attempt(start, user, None, home).unwrap();
        household.right(right);
    }
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
    assert_eq!((guesses.accounts.len(), guesses.addresses.len()), (0, 0));
    assert_eq!(guesses.names.kept(), (1, 1));
}
