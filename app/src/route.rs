//! Which conversation is open, in the URL and on the screen.
//!
//! Replaces leptos_router, which would be a sixth of all WASM: the server decides what a page is, so the browser only
//! has to switch between conversations without reloading the page.

use leptos::ev;
use leptos::prelude::*;
use protocol::SessionId;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, MouseEvent};

/// The open conversation. A handle.
#[derive(Clone, Copy)]
pub(crate) struct Open(RwSignal<Option<SessionId>>);

impl Open {
    pub(crate) fn new(first: Option<SessionId>) -> Self {
        Self(RwSignal::new(first))
    }

    /// Returns the open conversation. Tracked.
    pub(crate) fn get(self) -> Option<SessionId> {
        self.0.get()
    }

    /// Opens a conversation, or with `None` the list alone, and pushes it to the browser's history.
    pub(crate) fn go(self, to: Option<SessionId>) {
        if self.0.get_untracked() != to {
            let path = to.map_or_else(|| "/".to_owned(), |id| format!("/chat/{id}"));
            let history = window().history();
            _ = history.map(|history| history.push_state_with_url(&JsValue::NULL, "", Some(&path)));
            self.0.set(to);
        }
    }

    /// Handles clicks on links to conversations, and the browser's back and forward.
    pub(crate) fn start(self) {
        _ = window_event_listener(ev::click, move |event| {
            if let Some(to) = followed(&event) {
                event.prevent_default();
                self.go(to);
            }
        });
        _ = window_event_listener(ev::popstate, move |_| match place(&here()) {
            Some(to) => self.0.set(to),
            None => _ = window().location().reload(),
        });
    }
}

/// Returns where a click leads, if it is a plain click on a link to a conversation or the list.
fn followed(event: &MouseEvent) -> Option<Option<SessionId>> {
    let modified = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
    if modified || event.button() != 0 || event.default_prevented() {
        return None;
    }
    let link = event.target()?.dyn_into::<Element>().ok()?.closest("a[href]").ok()??;
    place(&link.get_attribute("href")?)
}

/// Returns the conversation that a path names, or the list; `None` if it names anything else.
fn place(path: &str) -> Option<Option<SessionId>> {
    match path {
        "/" => Some(None),
        _ => path.strip_prefix("/chat/")?.parse().ok().map(Some),
    }
}

fn here() -> String {
    window().location().pathname().unwrap_or_default()
}
