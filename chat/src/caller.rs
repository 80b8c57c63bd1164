//! Who is calling, before they are identified: an address, and maybe a device that has been here before.

use std::net::IpAddr;

use hmac::{Hmac, Mac};
use protocol::UserId;
use sha2::Sha256;

/// Most accounts one browser is known for: a family's computer.
const ACCOUNTS: usize = 4;

/// Where an attempt to sign in or to register comes from.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The address, as reported by trusted proxies.
    pub address: Option<IpAddr>,
    /// What the browser kept from earlier logins.
    pub device: Option<Device>,
}

/// Returns who an address stands for: one household or host has a whole /64 of IPv6 addresses (RFC 6177).
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

/// A browser or program from which a user has signed in: it keeps a number that it was given and, for each account, a
/// seal that only the account's stored password could make (HMAC-SHA-256, RFC 2104). So nothing has to be stored for
/// it, nobody can forge one, and a new password makes every device a stranger. It grants no access: it has its own
/// count of wrong passwords, so that guessing strangers cannot lock the owner out (OWASP, "device cookies").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    number: u128,
    /// Most recently used account first.
    seals: Vec<u128>,
}

impl Device {
    /// Parses what [`Device::text`] made; returns `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let is_hex = part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex.then(|| u128::from_str_radix(part, 16).ok()).flatten()
        });
        let number = parts.next()??;
        let seals: Vec<u128> = parts.collect::<Option<_>>()?;
        (seals.len() <= ACCOUNTS).then_some(Self { number, seals })
    }

    /// Formats it for the browser to keep.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: Vec<_> =
            std::iter::once(&self.number).chain(&self.seals).map(|part| format!("{part:032x}")).collect();
        parts.join(".")
    }

    /// Returns the device as it is after a login, given the account's current stored password.
    pub(crate) fn after_login(earlier: Option<Self>, user: UserId, password_hash: &str) -> Self {
        let mut device = earlier.unwrap_or_else(|| Self { number: random(), seals: Vec::new() });
        let seal = seal(device.number, user, password_hash);
        device.seals.retain(|other| *other != seal);
        device.seals.insert(0, seal);
        device.seals.truncate(ACCOUNTS);
        device
    }

    /// Returns its number, if this account's owner has signed in there.
    pub(crate) fn known_to(&self, user: UserId, password_hash: &str) -> Option<u128> {
        let mac = sealing(self.number, user, password_hash);
        let is_known = |seal: &u128| mac.clone().verify_truncated_left(&seal.to_be_bytes()).is_ok();
        self.seals.iter().any(is_known).then_some(self.number)
    }
}

fn seal(number: u128, user: UserId, password_hash: &str) -> u128 {
    let whole = sealing(number, user, password_hash).finalize().into_bytes();
    let (left, _) = whole.split_at(16);
    u128::from_be_bytes(left.try_into().expect("16 of 32 bytes"))
}

fn sealing(number: u128, user: UserId, password_hash: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(password_hash.as_bytes()).expect("a key of any length will do");
    mac.chain_update(b"device").chain_update(number.to_be_bytes()).chain_update(user.0.as_bytes())
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random numbers");
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_for_the_accounts_that_signed_in_there_until_their_password_changes() {
        let (ada, bob) = (UserId::new(), UserId::new());
        let device = Device::after_login(None, ada, "hash of ada");
        let device = Device::after_login(Some(device), bob, "hash of bob");
        let kept = Device::parse(&device.text()).unwrap();
        assert_eq!(kept, device);
        assert_eq!(kept.known_to(ada, "hash of ada"), Some(device.number));
        assert_eq!(kept.known_to(bob, "hash of bob"), Some(device.number));
        assert_eq!(kept.known_to(bob, "hash of ada"), None);
        assert_eq!(kept.known_to(UserId::new(), "hash of ada"), None);
        assert_eq!(kept.known_to(ada, "a new one"), None);
    }

    #[test]
    fn nobody_can_make_one_up() {
        let ada = UserId::new();
        let device = Device::after_login(None, ada, "hash");
        let other_number = Device { number: device.number ^ 1, ..device.clone() };
        let other_seal = Device { seals: vec![device.seals[0] ^ 1], ..device.clone() };
        let no_seal = Device { seals: Vec::new(), ..device };
        for forged in [other_number, other_seal, no_seal] {
            assert_eq!(forged.known_to(ada, "hash"), None, "{forged:?}");
        }
        let much = vec!["0".repeat(32); 6].join(".");
        for text in ["", ".", "0", "x", "+0000000000000000000000000000000", &much, "0.0"] {
            assert_eq!(Device::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_device_knows_its_last_four_accounts_once_each() {
        let users: Vec<UserId> = (0..6).map(|_| UserId::new()).collect();
        let mut device = None;
        for user in users.iter().chain(&users) {
            device = Some(Device::after_login(device, *user, "hash"));
        }
        let device = device.unwrap();
        let known: Vec<bool> = users.iter().map(|user| device.known_to(*user, "hash").is_some()).collect();
        assert_eq!(known, [false, false, true, true, true, true]);
    }

    #[test]
    fn an_ipv6_household_is_its_64_bits() {
        let of = |address: &str| household(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("203.0.113.1"), of("203.0.113.2"));
        assert_eq!(of("::ffff:203.0.113.1"), of("203.0.113.1"));
    }
}
