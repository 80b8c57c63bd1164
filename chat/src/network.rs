//! How far an address reaches: a user with one address of a network can usually get the others too.

use std::net::IpAddr;

/// Returns the network of an address: /24 of IPv4, /48 of IPv6, which is what a site is given (RFC 6177).
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => cut(v4, 24),
        v6 @ IpAddr::V6(_) => cut(v6, 48),
    }
}

/// A part of the address space whose users are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    first: IpAddr,
    bits: u8,
}

/// Returns the scopes counted for an address, the widest last, each with a multiplier of the limit: an IPv4 address
/// alone; of IPv6 a /56, which a home is given, and a /48 with three times the limit, to leave some for its other
/// homes.
pub(crate) fn scopes(address: IpAddr) -> Vec<(Scope, usize)> {
    let address = address.to_canonical();
    let scope = |bits| Scope { first: cut(address, bits), bits };
    match address {
        IpAddr::V4(_) => vec![(scope(32), 1)],
        IpAddr::V6(_) => vec![(scope(56), 1), (scope(48), 3)],
    }
}

fn cut(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & u32::MAX << (32 - bits)).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & u128::MAX << (128 - bits)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        network(text.parse().unwrap()).to_string()
    }

    #[test]
    fn an_address_belongs_to_its_network() {
        assert_eq!(of("203.0.113.77"), "203.0.113.0");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0", "IPv4 in IPv6");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    }

    #[test]
    fn homes_are_counted_by_themselves_and_their_sites_too() {
        let scopes = |text: &str| scopes(text.parse().unwrap());
        assert_eq!(scopes("203.0.113.7").len(), 1);
        assert_ne!(scopes("203.0.113.7"), scopes("203.0.113.8"));
        let (one, same, other) =
            (scopes("2001:db8:1:200::1"), scopes("2001:db8:1:2ff::2"), scopes("2001:db8:1:300::1"));
        assert_eq!(one, same);
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1], other[1]);
        let wide = scopes("2001:db8:1::1");
        assert_ne!(wide[0].0, wide[1].0, "a home at the beginning of its site is not the site");
    }
}
