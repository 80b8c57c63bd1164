//! Opening a conversation by itself.
//!
//! What somebody asked for may come late: an invitation accepted on a slow line, a search after minutes without a
//! connection. Meanwhile they may be writing to somebody else, and a page that changes under their hands sends private
//! words to the wrong person. So every answer that leads to a conversation comes through here, and a conversation opens
//! without a click on it only when its reader asked for it and has done nothing since. Otherwise the page offers it: also
//! when none is open, or the list would be gone under the finger that scrolls it.

use leptos::prelude::*;
use protocol::SessionId;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::{Finding, Live, Next};
use crate::names;

/// What counts as having moved on: writing, clicking, scrolling, the browser's own back and forward.
const DEEDS: [&str; 6] = ["keydown", "input", "pointerdown", "click", "wheel", "popstate"];

impl Live {
    /// Begins to count what is done on this page. Before whoever is clicked hears of it, so that a click which asks for
    /// something belongs to the time before.
    pub(super) fn count_deeds(self) {
        let count = Closure::<dyn Fn()>::new(move || {
            let _ = self.deeds.try_update_value(|deeds| *deeds += 1);
        });
        for deed in DEEDS {
            let listener = count.as_ref().unchecked_ref();
            _ = window().add_event_listener_with_callback_and_bool(deed, listener, true);
        }
        count.forget(); // for as long as the page
    }

    /// How much has been done on this page.
    pub(crate) fn deeds(self) -> u32 {
        self.deeds.get_value()
    }

    /// The answer to what was asked after so many deeds is this conversation: opens it, or offers it.
    pub(super) fn lead_to(self, to: SessionId, asked_at: u32) {
        let (Some(open), Some(thread)) = (self.route.get_value(), self.thread_now(to)) else { return };
        let here = untrack(|| open.get());
        if here == Some(to) {
            // It is here.
        } else if self.deeds() == asked_at {
            self.greeted.set_value(Some(to));
            open.go(Some(to));
        } else if !self.finding.with_untracked(|found| leads_to(found, to)) {
            let text = format!("You can talk with {} now.", names::isolated(&untrack(|| thread.title())));
            self.note.set(Some(Finding::of(text, Next::Open(to))));
        }
    }

    /// The conversation is open: nothing has to offer it any more.
    pub(super) fn has_come_to(self, to: SessionId) {
        for slot in [self.finding, self.note] {
            if slot.with_untracked(|found| leads_to(found, to)) {
                slot.set(None);
            }
        }
    }
}

fn leads_to(found: &Option<Finding>, to: SessionId) -> bool {
    found.as_ref().is_some_and(|found| found.next == Next::Open(to))
}

/// Whether the focus is where text is written. No answer takes it from there.
pub(crate) fn somebody_writes() -> bool {
    let active = document().active_element();
    active.is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA"))
}
