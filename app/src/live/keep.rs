//! What survives a reload: drafts, and messages that the server has not acknowledged. All of it stays in this
//! browser, under the name of its writer, and goes when they have signed out.
//!
//! Every message has an entry of its own: two tabs never overwrite one another, and a message that both send stays
//! one, because it keeps its `MessageID`.

use leptos::prelude::window;
use protocol::{MessageId, Pending, SessionId, TimeStamp, UserId};
use serde::{Deserialize, Serialize};
use web_sys::Storage;

/// Says whose things go when they have signed out.
const LEAVING: &str = "natter/leaving";

#[derive(Serialize, Deserialize)]
struct Unsent {
    session_id: SessionId,
    data: String,
    written: TimeStamp,
}

/// The text that waits in a session's composer.
pub(crate) fn draft(me: UserId, session: SessionId) -> Option<String> {
    get(&draft_key(me, session))
}

/// Keeps what is in the composer; nothing when it is empty. Returns whether that worked.
pub(super) fn keep_draft(me: UserId, session: SessionId, text: &str) -> bool {
    let key = draft_key(me, session);
    if text.is_empty() {
        remove(&key);
        return true;
    }
    set(&key, text)
}

/// Messages never acknowledged, in the order in which they were written.
pub(super) fn unsent(me: UserId) -> Vec<Pending> {
    let prefix = unsent_prefix(me);
    let mut found: Vec<Pending> = keys()
        .filter_map(|key| {
            let message_id: MessageId = key.strip_prefix(&prefix)?.parse().ok()?;
            let Unsent { session_id, data, written } = serde_json::from_str(&get(&key)?).ok()?;
            Some(super::waiting(message_id, session_id, data, written))
        })
        .collect();
    found.sort_by_key(|pending| pending.message_id); // UUIDv7: by age
    found
}

/// Keeps a message until [`forget_unsent`]. Returns whether that worked.
pub(super) fn keep_unsent(me: UserId, pending: &Pending) -> bool {
    let Pending { message_id, session_id, data, written, .. } = pending.clone();
    serde_json::to_string(&Unsent { session_id, data, written })
        .is_ok_and(|json| set(&format!("{}{message_id}", unsent_prefix(me)), &json))
}

/// The server has it, or its writer let go of it.
pub(super) fn forget_unsent(me: UserId, id: MessageId) {
    remove(&format!("{}{id}", unsent_prefix(me)));
}

/// This person signs out. What they leave in this browser goes when that has happened: see [`signed_out`].
pub(crate) fn sign_out(me: UserId) {
    let prefix = prefix(me);
    if !set(LEAVING, &prefix) {
        forget(&prefix);
    }
}

/// A page begins, with somebody signed in or nobody. Whoever was signing out is gone unless it is they.
pub(crate) fn signed_out(me: Option<UserId>) {
    let Some(left) = get(LEAVING) else { return };
    if me.map(prefix).as_ref() != Some(&left) {
        forget(&left);
    }
    remove(LEAVING);
}

fn forget(prefix: &str) {
    for key in keys().filter(|key| key.starts_with(prefix)) {
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

fn get(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

/// Returns false when the storage is full: that loses the copy, not the text, which is still on the screen.
fn set(key: &str, value: &str) -> bool {
    storage().is_some_and(|storage| storage.set_item(key, value).is_ok())
}

fn remove(key: &str) {
    let _ = storage().map(|storage| storage.remove_item(key));
}
