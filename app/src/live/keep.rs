//! What survives a reload: drafts, and messages that the server has not acknowledged. All of it stays in this browser,
//! stored per user, and is removed once they have signed out.
//!
//! All tabs of a browser share it, and none overwrites what another one stored. Every message has its own entry: if two
//! tabs send it, it keeps its `MessageID` and stays one message. A session's draft has one shared entry, which a new
//! tab starts with; a tab that finds another tab's draft there stores its own in a separate entry, which the next tab
//! takes over once the tab is closed and the shared draft was sent. Every user who signs out has a note of their own.

use leptos::prelude::{window, window_event_listener_untyped};
use protocol::text::clean;
use protocol::{MessageId, Pending, SessionId, TimeStamp, UserId};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{Event, Storage, StorageEvent};

/// Prefix of the notes that say whose data to remove once they have signed out.
const LEAVING: &str = "natter/leaving/";
/// The key of a tab's name.
const TAB: &str = "natter/tab";

#[derive(Serialize, Deserialize)]
struct Unsent {
    session_id: SessionId,
    data: String,
    written: TimeStamp,
    /// Whether the server may have it. Entries of older versions lack it.
    unanswered: Option<bool>,
}

/// Returns the draft of a session: this tab's own, or what any tab left.
pub(crate) fn draft(me: UserId, session: SessionId) -> Option<String> {
    let shared = draft_key(me, session);
    get(&own_draft_key(me, session)).or_else(|| get(&shared)).or_else(|| {
        // A separate draft of another tab, while the shared one is gone. It becomes the shared one, or it would still
        // be there after this one is sent.
        let key = keys().find(|key| key.starts_with(&shared))?;
        let text = get(&key)?;
        if set(&shared, &text) {
            remove(&key);
        }
        Some(text)
    })
}

/// Joins two texts for a composer that holds both.
pub(crate) fn both(first: &str, then: &str) -> String {
    if first.is_empty() || then.is_empty() { [first, then].concat() } else { [first, then].join("\n") }
}

/// Stores a composer's text, which was `before`; an empty one removes the entry. Returns whether that worked.
pub(super) fn keep_draft(me: UserId, session: SessionId, before: &str, text: &str) -> bool {
    let (shared, own) = (draft_key(me, session), own_draft_key(me, session));
    // The shared entry is this tab's if it holds what was here, or nothing.
    if get(&shared).is_none_or(|kept| kept == before) {
        remove(&own);
        put(&shared, text)
    } else {
        put(&own, text)
    }
}

/// Handles a storage event of another tab. If that tab overwrote the shared entry, stores this composer's text in its
/// own entry. Does nothing if the entry was removed: the user may have signed out.
pub(crate) fn guard_draft(me: UserId, session: SessionId, text: &str, event: &Event) {
    let Some(event) = event.dyn_ref::<StorageEvent>() else { return };
    let is_shared = event.key().is_some_and(|key| key == draft_key(me, session));
    if is_shared && !text.is_empty() && event.new_value().is_some_and(|kept| kept != text) {
        put(&own_draft_key(me, session), text);
    }
}

/// Removes drafts of any tab that equal a message just sent.
pub(super) fn forget_draft(me: UserId, session: SessionId, sent: &str) {
    let prefix = draft_key(me, session);
    for key in keys().filter(|key| key.starts_with(&prefix)) {
        if get(&key).is_some_and(|draft| sendable(&draft) == sent) {
            remove(&key);
        }
    }
}

/// Returns the message that another tab sent, if that caused the storage event. An entry that existed before is an
/// older message, and says nothing about what is being written.
pub(super) fn sent_by_another_tab(me: UserId, event: &Event) -> Option<(SessionId, String)> {
    let event = event.dyn_ref::<StorageEvent>()?;
    event.key().filter(|_| event.old_value().is_none())?.strip_prefix(&unsent_prefix(me))?;
    let Unsent { session_id, data, .. } = serde_json::from_str(&event.new_value()?).ok()?;
    Some((session_id, data))
}

/// Returns the part of a composer's text that is sent.
pub(crate) fn sendable(text: &str) -> String {
    clean(text).trim_end().trim_start_matches('\n').to_owned()
}

/// Returns the unacknowledged messages, in the order in which they were written.
pub(super) fn unsent(me: UserId) -> Vec<Pending> {
    let prefix = unsent_prefix(me);
    let read = |key: String| {
        let message_id: MessageId = key.strip_prefix(&prefix)?.parse().ok()?;
        let Unsent { session_id, data, written, unanswered } = serde_json::from_str(&get(&key)?).ok()?;
        Some(super::waiting(message_id, session_id, data, written, unanswered != Some(false)))
    };
    let mut found = Vec::new();
    for pending in keys().filter_map(read) {
        let at = found.partition_point(|before: &Pending| before.message_id < pending.message_id); // by age
        found.insert(at, pending);
    }
    found
}

/// Stores a message until [`forget_unsent`]. Returns whether that worked.
pub(super) fn keep_unsent(me: UserId, pending: &Pending) -> bool {
    let Pending { message_id, session_id, data, written, unanswered, .. } = pending.clone();
    serde_json::to_string(&Unsent { session_id, data, written, unanswered: Some(unanswered) })
        .is_ok_and(|json| set(&format!("{}{message_id}", unsent_prefix(me)), &json))
}

/// Removes a message that the server has, or that its writer took back.
pub(super) fn forget_unsent(me: UserId, id: MessageId) {
    remove(&format!("{}{id}", unsent_prefix(me)));
}

/// Returns the message that another tab took back, if that is why the entry `key` with the value `was` is gone.
pub(super) fn taken_back(me: UserId, key: Option<String>, was: Option<String>) -> Option<MessageId> {
    let id = key?.strip_prefix(&unsent_prefix(me))?.parse().ok()?;
    let was: Unsent = serde_json::from_str(&was?).ok()?;
    (was.unanswered == Some(false)).then_some(id)
}

/// Notes that this user is signing out. Their data is removed once that has succeeded: see [`signed_out`].
pub(crate) fn sign_out(me: UserId) {
    if !set(&format!("{LEAVING}{me}"), &tab()) {
        forget(&prefix(me));
    }
}

/// Runs on page load. A user who was signing out is gone, and their data is removed, unless they are still signed in:
/// then the sign-out has failed if this is the tab where they tried; any other tab may just have loaded before it.
pub(crate) fn signed_out(me: Option<UserId>) {
    for key in keys().filter(|key| key.starts_with(LEAVING)) {
        let left: Option<UserId> = key[LEAVING.len()..].parse().ok();
        if left == me && get(&key).is_some_and(|leaver| leaver != tab()) {
            continue;
        }
        if let Some(left) = left.filter(|left| Some(*left) != me) {
            forget(&prefix(left));
        }
        remove(&key);
    }
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

fn own_draft_key(me: UserId, session: SessionId) -> String {
    format!("{}/{}", draft_key(me, session), tab())
}

fn unsent_prefix(me: UserId) -> String {
    format!("{}unsent/", prefix(me))
}

/// Returns this tab's name, which survives reloads. While the page is open the name is in no storage: duplicating a tab
/// copies its session storage, and both tabs would have the same name.
fn tab() -> String {
    thread_local! {
        static NAME: String = {
            let own = || window().session_storage().ok().flatten();
            let name = own().and_then(|own| own.get_item(TAB).ok()?);
            let name = name.unwrap_or_else(|| MessageId::new().to_string());
            let forget = move || _ = own().map(|own| own.remove_item(TAB));
            forget();
            let kept = name.clone();
            _ = window_event_listener_untyped("pagehide", move |_| _ = own().map(|own| own.set_item(TAB, &kept)));
            _ = window_event_listener_untyped("pageshow", move |_| forget());
            name
        };
    }
    NAME.with(String::clone)
}

/// Returns `None` where the browser allows no storage; everything then lasts only as long as the page.
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

/// Returns false if the storage is full: that loses the copy, not the text, which is still on the screen.
fn set(key: &str, value: &str) -> bool {
    storage().is_some_and(|storage| storage.set_item(key, value).is_ok())
}

/// Sets an entry, or removes it if there is nothing to store.
fn put(key: &str, text: &str) -> bool {
    if text.is_empty() {
        remove(key);
    }
    text.is_empty() || set(key, text)
}

fn remove(key: &str) {
    let _ = storage().map(|storage| storage.remove_item(key));
}
