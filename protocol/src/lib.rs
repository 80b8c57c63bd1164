//! The wire vocabulary that Natter's clients and server exchange, and what a client does with it.
//!
//! Four parties depend on this crate: the server, the page in the browser, the headless client, and the golden files
//! under `tests/wire`. It depends on serde and little else: no sockets, no clocks, no storage.
//!
//! * [`ClientFrame`] and [`ServerFrame`] are everything that crosses the WebSocket; [`api`] holds the bodies of the
//!   HTTP endpoints; [`Fault`] is the only error a client ever sees.
//! * [`Sync`] is the client's half of the delivery rules as a pure state machine: feed it frames, and it returns the
//!   frames to send and what changed. The browser and the load test run this same code.
//!
//! `docs/PROTOCOL.md` documents every frame and body with an example.

pub mod api;
mod fault;
mod frame;
mod ids;
mod model;
mod outbox;
mod search;
mod strict;
mod sync;
#[cfg(any(target_arch = "wasm32", test))]
mod tagged;
pub mod text;
mod timeline;

pub use fault::{Code, Fault};
pub use frame::{
    ClientFrame, Head, LiveMessage, Position, Refused, SendMessage, ServerFrame, SessionHead, SessionNotice,
    close,
};
pub use ids::{Epoch, InviteId, MessageId, Rev, Seq, SessionId, TimeStamp, UserId};
pub use model::{Invited, Kind, Me, Message, Presence, Snapshot, SnapshotSession, Span, User};
pub use outbox::{Outbox, Pending, PendingState};
pub use search::{Answer, Asked, Outcome, Search, SearchNotice};
pub use sync::{Change, Earlier, Row, RowState, SessionState, Step, Sync};
pub use timeline::{Applied, Timeline};
/// The type behind every identifier.
pub use uuid::Uuid;

/// Builds a map by inserting the pairs one by one. `collect` sorts them first, which adds several kilobytes of code per
/// pair type to what the browser downloads.
pub fn keyed<K: Ord, V>(pairs: impl Iterator<Item = (K, V)>) -> std::collections::BTreeMap<K, V> {
    let mut map = std::collections::BTreeMap::new();
    for (key, value) in pairs {
        map.insert(key, value);
    }
    map
}

/// Most unacknowledged frames a client keeps in flight on one socket; beyond it the server stops reading.
pub const MAX_UNACKED: usize = 32;

/// Largest WebSocket frame either side accepts, in bytes; a bigger one ends the socket with [`close::TOO_BIG`].
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
