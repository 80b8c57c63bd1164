//! The announcements of the live region: a new message in full, a burst as a number, other news in words.

use std::time::Duration;

use leptos::prelude::*;

/// News within this time become one announcement.
const BURST: Duration = Duration::from_secs(1);
/// Longer messages are cut off here.
const SPOKEN_CHARS: usize = 200;

/// Collects news and announces it. A handle.
#[derive(Clone, Copy)]
pub(crate) struct Announcer {
    text: RwSignal<String>,
    waiting: StoredValue<Waiting>,
}

#[derive(Default)]
struct Waiting {
    messages: Vec<String>,
    other: Vec<String>,
    /// Whether an announcement is already scheduled.
    called: bool,
}

impl Announcer {
    pub(super) fn new() -> Self {
        Self { text: RwSignal::default(), waiting: StoredValue::default() }
    }

    /// Returns the region's current text.
    pub(crate) fn text(self) -> String {
        self.text.get()
    }

    /// Announces a message that arrived.
    pub(super) fn arrived(self, from: &str, text: &str) {
        let spoken: String = text.chars().take(SPOKEN_CHARS).collect();
        self.collect(|waiting| waiting.messages.push(format!("{from}: {spoken}")));
    }

    /// Announces something the user may not be looking at. Never summarized as a number, always said in full.
    pub(super) fn say(self, words: String) {
        self.collect(|waiting| waiting.other.push(words));
    }

    fn collect(self, add: impl FnOnce(&mut Waiting)) {
        let called = self.waiting.try_update_value(|waiting| {
            add(waiting);
            std::mem::replace(&mut waiting.called, true)
        });
        if called == Some(false) {
            // Emptied first: a screen reader stays silent when the text does not change.
            self.text.try_set(String::new());
            set_timeout(move || self.speak(), BURST);
        }
    }

    fn speak(self) {
        let Waiting { messages, mut other, .. } =
            self.waiting.try_update_value(std::mem::take).unwrap_or_default();
        match messages.as_slice() {
            [] => {}
            [one] => other.push(one.clone()),
            many => other.push(format!("{} new messages", many.len())),
        }
        self.text.try_set(sentences(&other));
    }
}

/// Joins news into sentences, adding the full stops that are missing.
fn sentences(news: &[String]) -> String {
    let mut said = String::new();
    for words in news {
        if !said.is_empty() {
            said.push_str(if said.ends_with(['.', '!', '?']) { " " } else { ". " });
        }
        said.push_str(words);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::sentences;

    #[test]
    fn several_news_are_as_many_sentences() {
        let news =
            ["Not sent to Ben: Not today.", "Ada wants to talk to you", "2 new messages"].map(str::to_owned);
        let said = "Not sent to Ben: Not today. Ada wants to talk to you. 2 new messages";
        assert_eq!(sentences(&news), said);
        assert_eq!(sentences(&news[1..2]), "Ada wants to talk to you");
    }
}
