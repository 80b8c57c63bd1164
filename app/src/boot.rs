//! What the first picture is drawn from, on the server and in the browser alike.

use leptos::server::SharedValue;
use protocol::{SessionId, Snapshot};
use serde::{Deserialize, Serialize};

/// The state at the moment of the request. The server's middleware puts it into the request's extensions once it
/// knows who is asking; the page's HTML carries it to the browser, which therefore fetches nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Everything of the person who is signed in, if somebody is.
    pub snapshot: Option<Snapshot>,
    /// Which page was asked for.
    pub place: Place,
    /// Whether this server makes accounts: where it does not, none is offered.
    pub open_registration: bool,
}

/// A page. The server decides which; between the first two the reader moves without asking it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// `/`: the welcome for strangers, the list for everybody else.
    #[default]
    Home,
    /// `/chat/<SessionID>`, a session of one's own.
    Chat(SessionId),
    /// `/login`.
    SignIn(Door),
    /// `/register`.
    Register(Door),
    /// Anything else, and sessions of others.
    Missing,
}

/// How it went with a form that was posted without a script. What the server says here it has said to this very person:
/// an address that somebody else made says nothing of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The name to fill in.
    pub username: String,
    /// Why the form came back.
    pub said: Option<String>,
    /// The account was made just now.
    pub registered: bool,
    /// They have signed in just now, and this browser did not keep it: else they would be in the chat.
    pub signed_in: bool,
}

impl Place {
    /// What the document is called, beside the name of the open conversation.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Home | Self::Chat(_) => "",
            Self::SignIn(_) => "Sign in",
            Self::Register(_) => "Create an account",
            Self::Missing => "There is nothing here",
        }
    }
}

impl Boot {
    /// The same value on both sides: taken from the request on the server, from the HTML in the browser.
    pub(crate) fn shared() -> Self {
        SharedValue::new(Self::of_request).into_inner()
    }

    /// What the document is called at the first picture.
    #[cfg(feature = "ssr")]
    pub(crate) fn title(&self) -> String {
        let Some(all) = &self.snapshot else { return crate::title(self.place.title(), 0) };
        let unread = all.sessions.values().map(|session| &session.head);
        let unread: i64 = unread.map(|head| (head.last_seq.0 - head.read_seq.0).max(0)).sum();
        let waiting = unread + i64::try_from(all.invited.len()).unwrap_or_default();
        let open = match self.place {
            Place::Chat(id) => all.sessions.get(&id),
            _ => None,
        };
        let names = open.map(|session| {
            let others = session.head.users.iter().filter(|(id, _)| **id != all.me.user_id);
            crate::names::list(others.map(|(_, user)| &*user.username))
        });
        let names = names.map(|names| crate::names::isolated(&names));
        crate::title(names.as_deref().unwrap_or(self.place.title()), waiting)
    }

    /// What the middleware put into the request.
    #[cfg(feature = "ssr")]
    pub(crate) fn of_request() -> Self {
        let request = leptos::prelude::use_context::<http::request::Parts>();
        request.and_then(|parts| parts.extensions.get::<Self>().cloned()).unwrap_or_default()
    }

    #[cfg(not(feature = "ssr"))]
    fn of_request() -> Self {
        Self::default()
    }
}
