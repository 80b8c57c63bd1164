//! Flash messages: why a door (sign-in or registration) refused a form posted without a script. The exact sentence
//! travels in the URL that the form redirects back to.
//!
//! Anybody can make up a URL and send it to somebody, so the sentence is sealed (HMAC-SHA-256, RFC 2104): with a key of
//! this process, for this door, this name and this network, for ten minutes. A URL without a valid seal can at most
//! choose among the standard sentences.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use app::boot::Door;
use hmac::{Hmac, Mac};
use protocol::{Code, Fault};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Long enough to come back to, too short to be of use to others.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The key that seals a sentence; every start makes a new one.
pub(crate) struct Flash([u8; 32]);

/// The door and the client that a sentence is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Where<'a> {
    /// The path of the form.
    pub(crate) path: &'a str,
    /// The client's network, if known.
    pub(crate) network: Option<IpAddr>,
}

/// The query of a door's URL.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_in: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Code>,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// In seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

impl Flash {
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system gives random numbers");
        Self(key)
    }

    /// Returns the URL back to a form, with the reason for the refusal and the name to fill in.
    pub(crate) fn back(&self, to: Where<'_>, fault: &Fault, username: &str) -> String {
        let is_exact = fault.reason != fault.error.reason();
        let until = is_exact.then(|| now() + LIFETIME.as_secs());
        let seal = until.map(|until| {
            hex(&self.seal(to, username, fault.error, &fault.reason, until).finalize().into_bytes())
        });
        let reason = is_exact.then(|| fault.reason.clone());
        let error = Some(fault.error);
        address(
            to.path,
            &Said { error, username: username.to_owned(), reason, until, seal, ..Said::default() },
        )
    }

    /// Reads the query of a door's URL; drops what is not ours.
    pub(crate) fn read(&self, to: Where<'_>, query: &str) -> Door {
        let said: Said = serde_urlencoded::from_str(query).unwrap_or_default();
        let exact = self.sealed(to, &said);
        let standard =
            said.error.filter(|code| Code::ALL.contains(code)).map(|code| code.reason().to_owned());
        let (registered, signed_in) = (said.registered.is_some(), said.signed_in.is_some());
        Door { said: exact.or(standard), username: said.username, registered, signed_in }
    }

    fn sealed(&self, to: Where<'_>, said: &Said) -> Option<String> {
        let (reason, until) = (said.reason.as_ref()?, said.until?);
        let seal = unhex(said.seal.as_ref()?)?;
        let is_ours = self.seal(to, &said.username, said.error?, reason, until).verify_slice(&seal).is_ok();
        (is_ours && now() < until).then(|| reason.clone())
    }

    fn seal(&self, to: Where<'_>, username: &str, code: Code, reason: &str, until: u64) -> Hmac<Sha256> {
        let network = to.network.map(|network| network.to_string()).unwrap_or_default();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        for part in [to.path, &network, username, code.name(), reason, &until.to_string()] {
            mac.update(&(part.len() as u64).to_be_bytes()); // so that bytes cannot move from one part to the next
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// Returns the URL of the sign-in page for somebody who has just registered.
pub(crate) fn registered(username: &str) -> String {
    let (registered, username) = (Some("1".to_owned()), username.to_owned());
    address("/login", &Said { registered, username, ..Said::default() })
}

/// Returns the URL of the sign-in page for somebody who has just signed in: it leads on to the chat if the browser kept
/// the cookie, and says so if not.
pub(crate) fn signed_in(username: &str) -> String {
    let (signed_in, username) = (Some("1".to_owned()), username.to_owned());
    address("/login", &Said { signed_in, username, ..Said::default() })
}

fn address(path: &str, said: &Said) -> String {
    format!("{path}?{}", serde_urlencoded::to_string(said).expect("pairs of texts"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = is_hex.then_some(text)?;
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Where<'_> =
        Where { path: "/register", network: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)) };

    fn query(flash: &Flash, fault: &Fault) -> String {
        flash.back(HERE, fault, "Zoë").strip_prefix("/register?").unwrap().to_owned()
    }

    #[test]
    fn the_exact_sentence_comes_back_to_who_was_told_it() {
        let flash = Flash::new();
        let fault = Fault::new(Code::NameTaken, "The name “Zoë” is taken & gone.");
        let door = flash.read(HERE, &query(&flash, &fault));
        assert_eq!((door.said, door.username.as_str()), (Some(fault.reason), "Zoë"));
    }

    #[test]
    fn whoever_changes_anything_is_told_the_standard_sentence() {
        let flash = Flash::new();
        let fault = Fault::new(Code::NameTaken, "Exact.");
        let query = query(&flash, &fault);
        let standard = Some(Code::NameTaken.reason().to_owned());
        for (from, to) in
            [("Exact", "Send+your+password"), ("Zo", "Zu"), ("Seal=", "Seal=00"), ("Until=", "Until=9")]
        {
            let changed = query.replace(from, to);
            assert_ne!(changed, query);
            assert_eq!(flash.read(HERE, &changed).said, standard, "{changed}");
        }
        let elsewhere = [Where { path: "/login", ..HERE }, Where { network: None, ..HERE }];
        for to in elsewhere {
            assert_eq!(flash.read(to, &query).said, standard, "{to:?}");
        }
        assert_eq!(Flash::new().read(HERE, &query).said, standard, "after another start");
        let reason = fault.reason.as_str();
        let past = hex(&flash.seal(HERE, "Zoë", fault.error, reason, now() - 1).finalize().into_bytes());
        let old = format!("Error=NameTaken&Username=Zo%C3%AB&Reason=Exact.&Until={}&Seal={past}", now() - 1);
        assert_eq!(flash.read(HERE, &old).said, standard, "too late");
    }

    #[test]
    fn what_is_no_code_of_ours_says_nothing() {
        let flash = Flash::new();
        for query in [
            "Error=Boo",
            "Error=Unknown",
            "Reason=Boo",
            "Reason=Boo&Until=9999999999&Seal=00",
            "Error=NameTaken&Error=Gone",
        ] {
            assert_eq!(flash.read(HERE, query).said, None, "{query}");
        }
        assert_eq!(flash.read(HERE, "Error=Gone").said.as_deref(), Some(Code::Gone.reason()));
        assert_eq!(query(&flash, &Fault::of(Code::Gone)), "Error=Gone&Username=Zo%C3%AB", "nothing to seal");
    }
}
