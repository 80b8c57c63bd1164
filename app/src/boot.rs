//! The data of the first render, on the server and in the browser alike.

use leptos::server::SharedValue;
use protocol::{SessionId, Snapshot};
use serde::{Deserialize, Serialize};

/// The state at the time of the request. The server puts it into the request's extensions once it knows who is asking.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default)]
pub struct Boot {
    /// The data of the signed-in user, if there is one.
    pub snapshot: Option<Snapshot>,
    /// The requested page.
    pub place: Place,
    /// Whether this server lets people register; if not, the page does not offer it.
    pub open_registration: bool,
}

/// What the chat's part of the code draws first. The HTML carries it to the browser, which therefore fetches nothing
/// twice. The doors have a value of their own, so that neither part has to read the other's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ChatBoot {
    /// The data of the signed-in user, if there is one.
    pub(crate) snapshot: Option<Snapshot>,
    /// The open session.
    pub(crate) open: Option<SessionId>,
    /// Whether there is a page at this address.
    pub(crate) is_found: bool,
}

/// What the doors' part of the code draws first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DoorsBoot {
    /// Which door.
    pub(crate) place: Place,
    /// Whether this server lets people register.
    pub(crate) open_registration: bool,
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

/// A part of the page's code. A browser loads the first with every page, and another when a page needs it.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The chat.
    Chat,
    /// The doors: the welcome, sign-in and registration.
    Doors,
}

#[cfg(feature = "ssr")]
fn of_request<T: From<Boot>>() -> T {
    Boot::of_request().into()
}

#[cfg(not(feature = "ssr"))]
fn of_request<T: Default>() -> T {
    T::default()
}

impl ChatBoot {
    /// Returns the same value on both sides: from the request on the server, from the HTML in the browser.
    pub(crate) fn shared() -> Self {
        SharedValue::new(of_request::<Self>).into_inner()
    }
}

impl DoorsBoot {
    /// Returns the same value on both sides: from the request on the server, from the HTML in the browser.
    pub(crate) fn shared() -> Self {
        SharedValue::new(of_request::<Self>).into_inner()
    }
}

#[cfg(feature = "ssr")]
impl From<Boot> for ChatBoot {
    fn from(Boot { snapshot, place, .. }: Boot) -> Self {
        let open = match place {
            Place::Chat(id) => Some(id),
            _ => None,
        };
        // Strangers are at a door, or at a page that is not there.
        let is_found = snapshot.is_some() && place != Place::Missing;
        Self { snapshot, open, is_found }
    }
}

#[cfg(feature = "ssr")]
impl From<Boot> for DoorsBoot {
    fn from(Boot { place, open_registration, .. }: Boot) -> Self {
        Self { place, open_registration }
    }
}

#[cfg(feature = "ssr")]
impl Place {
    /// Returns the document's title while no conversation is open.
    fn title(&self) -> &'static str {
        match self {
            Self::Home | Self::Chat(_) => "",
            Self::SignIn(_) => "Sign in",
            Self::Register(_) => "Create an account",
            Self::Missing => NOT_FOUND,
        }
    }
}

/// The title of a page that is not there.
pub(crate) const NOT_FOUND: &str = "There is nothing here";

#[cfg(feature = "ssr")]
impl Boot {
    /// Returns the part of the code that draws the page.
    pub(crate) fn part(&self) -> Part {
        match (&self.place, &self.snapshot) {
            (Place::Home, None) | (Place::SignIn(_) | Place::Register(_), _) => Part::Doors,
            _ => Part::Chat,
        }
    }

    /// Returns the document's title in the first render.
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
            if let Some(name) = &session.head.title {
                return name.clone();
            }
            let others = session.head.users.iter().filter(|(id, _)| **id != all.me.user_id);
            crate::names::list(others.map(|(_, user)| &*user.username))
        });
        let names = names.map(|names| crate::names::isolated(&names));
        crate::title(names.as_deref().unwrap_or(self.place.title()), waiting)
    }

    /// Returns what the server put into the request.
    pub(crate) fn of_request() -> Self {
        let request = leptos::prelude::use_context::<http::request::Parts>();
        request.and_then(|parts| parts.extensions.get::<Self>().cloned()).unwrap_or_default()
    }
}
