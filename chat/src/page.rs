//! How much fits into one answer: what a message weighs, and what a `Page` holds.

use protocol::{Epoch, Message, Rev, ServerFrame, SessionId};

/// Most messages in a `Page`. Pages are as large as their byte limit allows, because a client
/// that was away for long pays a round trip for each.
pub(crate) const PAGE_ROWS: i64 = 256;

/// Most bytes in a `Page`, to stay below [`protocol::MAX_FRAME_BYTES`], and in a part of the history.
pub(crate) const PAGE_BYTES: usize = 60 * 1024;

/// Most bytes a message takes in a page besides its text: field names, identifiers, numbers.
const ROW_BYTES: usize = 280;

/// Builds a page: as much of what changed after `from`, up to `head`, as fits into one frame.
pub(crate) fn page(
    session_id: SessionId,
    epoch: Epoch,
    from: Rev,
    head: Rev,
    changed: impl IntoIterator<Item = Message>,
) -> ServerFrame {
    let (mut messages, mut bytes, mut to) = (Vec::<Message>::new(), 0, None);
    for message in changed {
        bytes += weight(&message);
        let is_full = bytes > PAGE_BYTES || i64::try_from(messages.len()).is_ok_and(|held| held == PAGE_ROWS);
        if let Some(last) = messages.last().filter(|_| is_full) {
            to = Some(last.rev);
            break;
        }
        messages.push(message);
    }
    ServerFrame::Page { session_id, epoch, from, to: to.unwrap_or(head), more: to.is_some(), messages }
}

/// Returns how many bytes a message takes in a page: of all that a text may hold, JSON escapes these bytes, as two.
pub(crate) fn weight(message: &Message) -> usize {
    let escaped = message.data.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\t'));
    ROW_BYTES + message.data.len() + escaped.count()
}
