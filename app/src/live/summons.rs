//! Opens conversations automatically.
//!
//! The answer to a request may come late: an invitation accepted on a slow line, a search after minutes without a
//! connection. By then the user may be writing to somebody else, and a page that switches under their hands sends
//! private words to the wrong person. So every answer that leads to a conversation comes through here, and a
//! conversation opens without a click on it only if the user asked for it and has done nothing since. Otherwise the
//! page offers it, even when none is open, or the list would vanish under the finger that scrolls it.

use leptos::prelude::*;
use protocol::SessionId;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::{Finding, Live, Next};
use crate::names;

/// The events that count as having moved on: typing, clicking, scrolling, the browser's back and forward.
const DEEDS: [&str; 6] = ["keydown", "input", "pointerdown", "click", "wheel", "popstate"];

impl Live {
    /// Starts counting user actions. Listens in the capture phase, so a click is counted before its own handler notes
    /// the count.
    pub(super) fn count_deeds(self) {
        let count = Closure::<dyn Fn()>::new(move || {
            let _ = self.deeds.try_update_value(|deeds| *deeds += 1);
        });
        for deed in DEEDS {
            let listener = count.as_ref().unchecked_ref();
            _ = window().add_event_listener_with_callback_and_bool(deed, listener, true);
        }
        count.forget(); // lives as long as the page
    }

    /// Returns how many user actions this page has seen.
    pub(crate) fn deeds(self) -> u32 {
        self.deeds.get_value()
    }

    /// Opens or offers the conversation that answers what the user asked for when the count of deeds was `asked_at`.
    pub(super) fn lead_to(self, to: SessionId, asked_at: u32) {
        let (Some(open), Some(session)) = (self.route.get_value(), self.session_now(to)) else { return };
        let here = untrack(|| open.get());
        if here == Some(to) {
            // Open already.
        } else if self.deeds() == asked_at {
            self.greeted.set_value(Some(to));
            open.go(Some(to));
        } else if !self.finding.with_untracked(|found| leads_to(found, to)) {
            let text = format!("You can talk with {} now.", names::isolated(&untrack(|| session.title())));
            self.note.set(Some(Finding::of(text, Next::Open(to))));
        }
    }

    /// Withdraws offers of a conversation that is now open.
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

/// Whether the focus is in a text field. No answer may take it from there.
pub(crate) fn somebody_writes() -> bool {
    let active = document().active_element();
    active.is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA"))
}
