//! What survives a reload: drafts, and messages that the server has not acknowledged. All of it stays in this
//! browser, under the name of its writer, and goes with the login.
//!
//! Every message has an entry of its own: two tabs never overwrite one another, and a message that both send stays
//! one, because it keeps its `MessageID`.

use leptos::prelude::window;
use protocol::{MessageId, Pending, SessionId, TimeStamp, UserId};
use serde::{Deserialize, Serialize};
use web_sys::Storage;

#[derive(Serialize, Deserialize)]
struct Unsent {
    session_id: SessionId,
    data: String,
    written: TimeStamp,
}

/// The text that waits in a session's composer.
pub(crate) fn draft(me: UserId, session: SessionId) -> Option<String> {
    storage()?.get_item(&draft_key(me, session)).ok()?
}

/// Keeps what is in the composer; nothing when it is empty.
pub(crate) fn keep_draft(me: UserId, session: SessionId, text: &str) {
    let key = draft_key(me, session);
    if text.is_empty() { remove(&key) } else { set(&key, text) }
}

/// Messages never acknowledged, in the order in which they were written.
pub(super) fn unsent(me: UserId) -> Vec<Pending> {
    let prefix = unsent_prefix(me);
    let mut found: Vec<Pending> = keys()
        .filter_map(|key| {
            let message_id: MessageId = key.strip_prefix(&prefix)?.parse().ok()?;
            let Unsent { session_id, data, written } =
                serde_json::from_str(&storage()?.get_item(&key).ok()??).ok()?;
            Some(super::waiting(message_id, session_id, data, written))
        })
        .collect();
    found.sort_by_key(|pending| pending.message_id); // UUIDv7: by age
    found
}

/// Keeps a message until [`forget_unsent`].
pub(super) fn keep_unsent(me: UserId, pending: &Pending) {
    let Pending { message_id, session_id, data, written, .. } = pending.clone();
    if let Ok(json) = serde_json::to_string(&Unsent { session_id, data, written }) {
        set(&format!("{}{message_id}", unsent_prefix(me)), &json);
    }
}

/// The server has it, or its writer let go of it.
pub(super) fn forget_unsent(me: UserId, id: MessageId) {
    remove(&format!("{}{id}", unsent_prefix(me)));
}

/// Forgets everything that this person left in this browser: they sign out.
pub(crate) fn forget(me: UserId) {
    let prefix = prefix(me);
    for key in keys().filter(|key| key.starts_with(&prefix)) {
        remove(&key);
    }
}

fn prefix(me: UserId) -> String {
    format!("natter/{me}/")
}

fn draft_key(me: UserId, session: SessionId) -> String {
    format!("{}draft/{session}", prefix(me))
}

fn unsent_prefix(me: UserId) -> String {
    format!("{}unsent/", prefix(me))
}

/// None where the browser allows no storage; everything then lasts as long as the page.
fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

fn keys() -> impl Iterator<Item = String> {
    let storage = storage();
    let count = storage.as_ref().and_then(|s| s.length().ok()).unwrap_or_default();
    let keys: Vec<String> = (0..count).filter_map(|at| storage.as_ref()?.key(at).ok()?).collect();
    keys.into_iter()
}

fn set(key: &str, value: &str) {
    // A full storage loses the copy, not the text: that is still on the screen.
    let _ = storage().map(|storage| storage.set_item(key, value));
}

fn remove(key: &str) {
    let _ = storage().map(|storage| storage.remove_item(key));
}
