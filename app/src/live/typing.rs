//! Who is typing: sends it to the others, and shows it of them.

use std::time::Duration;

use leptos::prelude::*;
use protocol::{ClientFrame, SessionId, UserId};

use super::{Live, clock};

/// How often at most we send a `Typing` frame per session, in milliseconds.
const TYPING_EVERY: i64 = 2_000;
/// How long a received `Typing` frame counts.
const TYPING_FOR: Duration = Duration::from_secs(5);

impl Live {
    /// Tells the others that this user is typing, throttled per session, since each session has other members.
    pub(crate) fn typing(self, session_id: SessionId) {
        let Some(session) = self.session_now(session_id) else { return };
        if self.inner.try_with_value(|inner| inner.sync.is_ready()) != Some(true) {
            return;
        }
        match session.tells(clock::elapsed(), TYPING_EVERY) {
            None => {}
            Some(0) => self.transmit(ClientFrame::Typing { session_id }),
            // Too soon after the last one: sends it later, unless the message is sent first.
            Some(wait) => set_timeout(
                move || {
                    if session.stops_telling() {
                        self.typing(session_id);
                    }
                },
                Duration::from_millis(wait.unsigned_abs()),
            ),
        }
    }

    pub(super) fn wrote(self, id: SessionId, user: UserId) {
        let Some(session) = self.session_now(id) else { return };
        let now = clock::elapsed();
        #[expect(clippy::cast_possible_truncation, reason = "five seconds")]
        session.wrote(user, now + TYPING_FOR.as_millis() as i64);
        session.refresh_typing(now);
        let look = move || session.refresh_typing(clock::elapsed());
        set_timeout(look, TYPING_FOR + Duration::from_millis(50));
    }

    /// The message that somebody was typing has arrived.
    pub(super) fn has_written(self, id: SessionId, user: UserId) {
        if let Some(session) = self.session_now(id) {
            let now = clock::elapsed();
            session.wrote(user, now - 1);
            session.refresh_typing(now);
        }
    }
}
