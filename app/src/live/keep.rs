//! What survives a reload: drafts, and messages that the server has not acknowledged. All of it stays in this
//! browser, under the name of its writer, and goes when they have signed out.
//!
//! All tabs of a browser share it, and none overwrites what another one keeps. Every message has an entry of its own: one
//! that two tabs send stays one, because it keeps its `MessageID`. A session's draft has one entry, which a new tab
//! begins with; a tab that finds somebody else's draft there keeps its own in an entry of its own, which the next tab
//! takes over when the other one is closed and the first draft was sent. Every user who signs out has a note of their own.

use leptos::prelude::{window, window_event_listener_untyped};
use protocol::text::clean;
use protocol::{MessageId, Pending, SessionId, TimeStamp, UserId};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{Event, Storage, StorageEvent};

/// Begins the names of the notes that say whose things go when they have signed out.
const LEAVING: &str = "natter/leaving/";
/// Where a tab keeps what it is called.
const TAB: &str = "natter/tab";

#[derive(Serialize, Deserialize)]
struct Unsent {
    session_id: SessionId,
    data: String,
    written: TimeStamp,
    /// It may be stored. Not known of what an older page kept.
    unanswered: Option<bool>,
}

/// The text that waits in a session's composer: this tab's own, or what any tab left there.
pub(crate) fn draft(me: UserId, session: SessionId) -> Option<String> {
    let shared = draft_key(me, session);
    get(&own_draft_key(me, session)).or_else(|| get(&shared)).or_else(|| {
        // One that its tab kept to itself, beside another one which is gone. It is everybody's now, or it would be there
        // still when this one is sent.
        let key = keys().find(|key| key.starts_with(&shared))?;
        let text = get(&key)?;
        if set(&shared, &text) {
            remove(&key);
        }
        Some(text)
    })
}

/// Two texts as one, for a composer that holds both.
pub(crate) fn both(first: &str, then: &str) -> String {
    if first.is_empty() || then.is_empty() { [first, then].concat() } else { [first, then].join("\n") }
}

/// Keeps what is in a composer, which held `before`; nothing when it is empty. Returns whether that worked.
pub(super) fn keep_draft(me: UserId, session: SessionId, before: &str, text: &str) -> bool {
    let (shared, own) = (draft_key(me, session), own_draft_key(me, session));
    // The shared entry is this tab's when it holds what was here, or nothing.
    if get(&shared).is_none_or(|kept| kept == before) {
        remove(&own);
        put(&shared, text)
    } else {
        put(&own, text)
    }
}

/// Another tab did something in the storage. When it keeps something else in the shared entry now, what is in this
/// composer goes into an entry of its own. What only goes is not saved: its writer may have signed out.
pub(crate) fn guard_draft(me: UserId, session: SessionId, text: &str, event: &Event) {
    let Some(event) = event.dyn_ref::<StorageEvent>() else { return };
    let is_shared = event.key().is_some_and(|key| key == draft_key(me, session));
    if is_shared && !text.is_empty() && event.new_value().is_some_and(|kept| kept != text) {
        put(&own_draft_key(me, session), text);
    }
}

/// A message is sent: whatever tab kept the same as a draft, it is none any more.
pub(super) fn forget_draft(me: UserId, session: SessionId, sent: &str) {
    let prefix = draft_key(me, session);
    for key in keys().filter(|key| key.starts_with(&prefix)) {
        if get(&key).is_some_and(|draft| sendable(&draft) == sent) {
            remove(&key);
        }
    }
}

/// The message that another tab sends, when that is what it did in the storage. An entry that was there before is one
/// that waits for longer, and says nothing of what is being written.
pub(super) fn sent_by_another_tab(me: UserId, event: &Event) -> Option<(SessionId, String)> {
    let event = event.dyn_ref::<StorageEvent>()?;
    event.key().filter(|_| event.old_value().is_none())?.strip_prefix(&unsent_prefix(me))?;
    let Unsent { session_id, data, .. } = serde_json::from_str(&event.new_value()?).ok()?;
    Some((session_id, data))
}

/// What of a composer's text is sent.
pub(crate) fn sendable(text: &str) -> String {
    clean(text).trim_end().trim_start_matches('\n').to_owned()
}

/// Messages never acknowledged, in the order in which they were written.
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

/// Keeps a message until [`forget_unsent`]. Returns whether that worked.
pub(super) fn keep_unsent(me: UserId, pending: &Pending) -> bool {
    let Pending { message_id, session_id, data, written, unanswered, .. } = pending.clone();
    serde_json::to_string(&Unsent { session_id, data, written, unanswered: Some(unanswered) })
        .is_ok_and(|json| set(&format!("{}{message_id}", unsent_prefix(me)), &json))
}

/// The server has it, or its writer let go of it.
pub(super) fn forget_unsent(me: UserId, id: MessageId) {
    remove(&format!("{}{id}", unsent_prefix(me)));
}

/// The message that another tab took back, if that is why the entry `key` is gone, which was `was`.
pub(super) fn taken_back(me: UserId, key: Option<String>, was: Option<String>) -> Option<MessageId> {
    let id = key?.strip_prefix(&unsent_prefix(me))?.parse().ok()?;
    let was: Unsent = serde_json::from_str(&was?).ok()?;
    (was.unanswered == Some(false)).then_some(id)
}

/// This person signs out. What they leave in this browser goes when that has happened: see [`signed_out`].
pub(crate) fn sign_out(me: UserId) {
    if !set(&format!("{LEAVING}{me}"), &tab()) {
        forget(&prefix(me));
    }
}

/// A page begins, with somebody signed in or nobody. Whoever was signing out is gone unless it is they; of them the tab
/// in which they did knows that it has failed, and any other may just be earlier.
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

/// What this tab is called, for as long as it is there, however often it is loaded anew. While the page is open its name
/// is in no storage: a browser that duplicates a tab copies that, and both would be one.
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

/// Sets an entry, or removes it when there is nothing to keep.
fn put(key: &str, text: &str) -> bool {
    if text.is_empty() {
        remove(key);
    }
    text.is_empty() || set(key, text)
}

fn remove(key: &str) {
    let _ = storage().map(|storage| storage.remove_item(key));
}
