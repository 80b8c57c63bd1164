//! What the one live region says: a new message in full, a burst as a number, and nothing else.

use std::time::Duration;

use leptos::prelude::*;

/// Messages closer together than this are one announcement.
const BURST: Duration = Duration::from_secs(1);
/// A longer message is read up to here.
const SPOKEN_CHARS: usize = 200;

/// Collects arrivals and says them. A handle.
#[derive(Clone, Copy)]
pub(crate) struct Announcer {
    text: RwSignal<String>,
    waiting: StoredValue<Vec<String>>,
}

impl Announcer {
    pub(super) fn new() -> Self {
        Self { text: RwSignal::default(), waiting: StoredValue::default() }
    }

    /// What the region holds now.
    pub(crate) fn text(self) -> String {
        self.text.get()
    }

    /// A message arrived.
    pub(super) fn arrived(self, from: &str, text: &str) {
        let spoken: String = text.chars().take(SPOKEN_CHARS).collect();
        let first = self.waiting.try_update_value(|waiting| {
            waiting.push(format!("{from}: {spoken}"));
            waiting.len() == 1
        });
        if first == Some(true) {
            // Emptied first: a reader says nothing when the same words come again.
            self.text.try_set(String::new());
            set_timeout(move || self.say(), BURST);
        }
    }

    fn say(self) {
        let waiting = self.waiting.try_update_value(std::mem::take).unwrap_or_default();
        let text = match waiting.as_slice() {
            [] => return,
            [one] => one.clone(),
            many => format!("{} new messages", many.len()),
        };
        self.text.try_set(text);
    }
}
