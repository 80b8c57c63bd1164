//! What a person says and hears, whatever the server.

use uuid::Uuid;

use super::Error;

/// How one person talks to a kind of chat server over a stream of bytes, once they are signed in.
///
/// It holds no socket and knows no clock: bytes in, bytes out. So that thousands of people cost little, it writes into
/// buffers that are there already, and what it hears is borrowed from what came in.
pub trait Talk {
    /// Adds to `out` what says `text` to everybody else in this person's group, under the name `id` that comes back
    /// with the acknowledgement.
    fn say(&mut self, id: Uuid, text: &str, out: &mut Vec<u8>);

    /// Takes what came in, tells what it heard, and adds to `out` what has to be answered (pings and the like).
    /// Returns how many bytes it took; what it leaves, the beginning of a frame, comes again with more behind it.
    ///
    /// # Errors
    /// When the server does not keep to its protocol, or says goodbye. The line is closed then.
    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: &mut dyn FnMut(Heard<'_>),
    ) -> Result<usize, Error>;
}

/// What a person hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The server has the message of this name (durably, where it promises that).
    Acked {
        /// The name.
        id: Uuid,
        /// Its place in the group's order 1, 2, 3…, where the server numbers messages.
        place: Option<i64>,
    },
    /// Somebody else in the group said this.
    Said {
        /// The text, as it was handed to [`Talk::say`].
        text: &'a str,
        /// Its place in the group's order 1, 2, 3…, where the server numbers messages.
        place: Option<i64>,
    },
    /// The server will not take a message.
    Refused {
        /// Why.
        reason: &'a str,
    },
    /// The server let go of what waited for this person and said so; it was asked for.
    Lagged,
    /// Something was missing without a word of the server's, and was asked for.
    Repaired,
}
