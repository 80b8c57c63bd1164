//! Who is writing: told to the others, and shown of them.

use std::time::Duration;

use leptos::prelude::*;
use protocol::{ClientFrame, SessionId, UserId};

use super::{Live, clock};

/// One's own frames of this kind are at most this frequent in a session, in milliseconds.
const TYPING_EVERY: i64 = 2_000;
/// A sign of writing is good for this long.
const TYPING_FOR: Duration = Duration::from_secs(5);

impl Live {
    /// One writes here: the others are told, now and then. Each session by itself, as each has other readers.
    pub(crate) fn typing(self, session_id: SessionId) {
        let Some(thread) = self.thread_now(session_id) else { return };
        if self.inner.try_with_value(|inner| inner.sync.is_ready()) != Some(true) {
            return;
        }
        match thread.tells(clock::elapsed(), TYPING_EVERY) {
            None => {}
            Some(0) => self.transmit(ClientFrame::Typing { session_id }),
            // Too soon after the last time: later, unless the message is there first.
            Some(wait) => set_timeout(
                move || {
                    if thread.stops_telling() {
                        self.typing(session_id);
                    }
                },
                Duration::from_millis(wait.unsigned_abs()),
            ),
        }
    }

    pub(super) fn wrote(self, id: SessionId, user: UserId) {
        let Some(thread) = self.thread_now(id) else { return };
        let now = clock::elapsed();
        #[expect(clippy::cast_possible_truncation, reason = "five seconds")]
        thread.wrote(user, now + TYPING_FOR.as_millis() as i64);
        thread.refresh_typing(now);
        let look = move || thread.refresh_typing(clock::elapsed());
        set_timeout(look, TYPING_FOR + Duration::from_millis(50));
    }

    /// What somebody was writing is here.
    pub(super) fn has_written(self, id: SessionId, user: UserId) {
        if let Some(thread) = self.thread_now(id) {
            let now = clock::elapsed();
            thread.wrote(user, now - 1);
            thread.refresh_typing(now);
        }
    }
}
