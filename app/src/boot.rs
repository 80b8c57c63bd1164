//! The data of the first render, on the server and in the browser alike.

use leptos::server::SharedValue;
use protocol::{SessionId, Snapshot};
use serde::{Deserialize, Serialize};

/// The state at the time of the request. The server puts it into the request's extensions once it knows who is asking;
/// the HTML carries it to the browser, which therefore fetches nothing twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The data of the signed-in user, if there is one.
    pub snapshot: Option<Snapshot>,
    /// The requested page.
    pub place: Place,
    /// Whether this server lets people register; if not, the page does not offer it.
    pub open_registration: bool,
}

/// A page. The server decides which; the browser moves between the first two without asking it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// `/`: the welcome for strangers, the list for signed-in users.
    #[default]
    Home,
    /// `/chat/<SessionID>`, one of the user's own sessions.
    Chat(SessionId),
    /// `/login`.
    SignIn(Door),
    /// `/register`.
    Register(Door),
    /// Anything else, and other people's sessions.
    Missing,
}

/// The outcome of a form posted without a script. Its text is always the server's own, addressed to this very client: a
/// URL that somebody else made up cannot put words here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// The name to fill in.
    pub username: String,
    /// Why the form came back.
    pub said: Option<String>,
    /// The account has just been created.
    pub registered: bool,
    /// The user has just signed in, but the browser did not keep the cookie: else they would be in the chat.
    pub signed_in: bool,
}

impl Place {
    /// Returns the document's title while no conversation is open.
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
    /// Returns the same value on both sides: from the request on the server, from the HTML in the browser.
    pub(crate) fn shared() -> Self {
        SharedValue::new(Self::of_request).into_inner()
    }

    /// Returns the document's title in the first render.
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

    /// Returns what the server put into the request.
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
