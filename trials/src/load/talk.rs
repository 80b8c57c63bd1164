//! What a person sends and receives, independent of the server.

use uuid::Uuid;

use super::Error;

/// How one person talks to a kind of chat server over a stream of bytes, once they are signed in.
///
/// It has no socket and no clock: bytes in, bytes out. So that thousands of people cost little, it writes into existing
/// buffers, and what it reports is borrowed from the input.
pub trait Talk {
    /// Appends to `out` what sends `text` to everybody else in this person's group, under the `id` that the
    /// acknowledgement returns.
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>);

    /// Parses `input`, passes what it received to `heard`, and appends the necessary answers (pongs and the like) to
    /// `out`. Returns how many bytes it consumed; the rest, the beginning of a frame, comes again with more after it.
    ///
    /// # Errors
    /// When the server violates its protocol, or closes. The line is closed then.
    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Error>;
}

/// What a person receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The server has the message with this ID (durably, where it promises that).
    Acked {
        /// The ID.
        id: Uuid,
        /// Its place in the group's order 1, 2, 3…, where the server numbers messages.
        place: Option<i64>,
    },
    /// Somebody else in the group sent this.
    Said {
        /// The text, as passed to [`Talk::say`].
        text: &'a str,
        /// Its place in the group's order 1, 2, 3…, where the server numbers messages.
        place: Option<i64>,
    },
    /// The server refused a message.
    Refused {
        /// Why.
        reason: &'a str,
    },
    /// The server discarded what was queued for this person and said so; the device asked for it again.
    Lagged,
    /// Something was missing without notice from the server, and the device asked for it.
    Repaired,
}
