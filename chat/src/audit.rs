//! Account events, one log line each: who by `UserID`, and from which network. Never a name, an address, a token or a
//! text (ASVS 5.0, 16.2.5 and 16.3).

use std::fmt;
use std::net::IpAddr;

use protocol::{Code, UserId};
use tracing::field::{DisplayValue, display};

use crate::Caller;
use crate::network::network;

/// A location as precise as a log needs it: the /24 of an IPv4 address, the /48 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// Returns the network of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(network(address))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}

impl Caller {
    /// Returns their network, if known.
    fn network(&self) -> Option<DisplayValue<Network>> {
        self.address.map(Network::of).map(display)
    }
}

/// Logs a new account.
pub fn registered(caller: &Caller, user: UserId) {
    tracing::info!(event = "registered", user_id = %user, network = caller.network(), "a new account");
}

/// Logs a sign-in with the right password.
pub fn signed_in(caller: &Caller, user: UserId) {
    tracing::info!(event = "signed_in", user_id = %user, network = caller.network(), "a login");
}

/// Logs a refused sign-in; `user` is the account that was tried, if it exists.
pub fn sign_in_refused(caller: &Caller, user: Option<UserId>, code: Code) {
    let (user_id, code) = (user.map(display), code.name());
    tracing::warn!(event = "sign_in_refused", user_id, network = caller.network(), code, "a refused login");
}

/// Logs that a user signed out.
pub fn signed_out(caller: &Caller, user: UserId) {
    tracing::info!(event = "signed_out", user_id = %user, network = caller.network(), "the end of a login");
}

/// Logs that a user's logins ended because there were too many.
pub fn logins_ended(user: UserId, logins: usize) {
    tracing::info!(event = "logins_ended", user_id = %user, logins, "the end of logins beyond the most of a user");
}

/// Logs that the operator set a new password for a user.
pub fn password_set(user: UserId) {
    tracing::warn!(event = "password_set", user_id = %user, "a new password, and the end of every login");
}

/// Logs a refusal by a limit: of a user if known, or else of the address.
pub fn held_back(limit: &'static str, user: Option<UserId>, address: Option<IpAddr>) {
    let (user_id, network) = (user.map(display), address.map(Network::of).map(display));
    tracing::warn!(event = "held_back", limit, user_id, network, "a refusal by a limit");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_24_bits_of_ipv4_and_48_of_ipv6() {
        let of = |address: &str| Network::of(address.parse().unwrap()).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
    }
}
