//! The list of conversations, the newest first.

use leptos::prelude::*;
use protocol::text::{is_blank, lines};
use protocol::{Row, RowState};

use super::Avatar;
use crate::clock::{Clock, utc};
use crate::live::{Live, Thread};
use crate::route::Open;
use crate::whole::IntoWhole;

/// No more of a message is shown than fits.
const PREVIEW_CHARS: usize = 120;

/// Each line is a link, so it opens in a new tab too, and before the page lives.
#[component]
pub(crate) fn Conversations(live: Live, open: Open) -> impl IntoView {
    view! {
        <nav class="conversations" aria-label="Conversations">
            <ul>
                <For
                    each=move || live.sessions.get().into_iter().filter_map(move |id| untrack(|| live.thread(id)))
                    key=|thread| thread.id
                    let(thread)
                >
                    <li>
                        <Line thread open />
                    </li>
                </For>
            </ul>
            {move || {
                live.sessions
                    .read()
                    .is_empty()
                    .then(|| view! { <p class="empty">"No conversations yet. Search for somebody by name and invite them."</p> })
            }}
        </nav>
    }
    .whole()
}

#[component]
fn Line(thread: Thread, open: Open) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let is_open = move || open.get() == Some(thread.id);
    let unread = move || thread.unread.get();
    let state = move || state(thread);
    let moment = move || {
        thread.last.read().as_ref().map(|row| {
            let at = row.time_stamp;
            view! { <time datetime=utc(at)>{move || clock.short(at)}</time> }
        })
    };
    view! {
        <a
            class="line"
            href=format!("/chat/{}", thread.id)
            data-session=thread.id.to_string()
            aria-current=move || is_open().then_some("page")
            class:has-unread=move || { unread() > 0 }
        >
            <Avatar thread />
            <span class="line-name">
                <bdi>{move || thread.title()}</bdi>
            </span>
            {moment}
            // The direction is the message's own: what has one itself does not count.
            <span class="line-text" dir="auto">
                <span class=move || format!("line-state {}", state().0) dir="ltr">
                    {move || state().1}
                </span>
                {move || thread.last.read().as_ref().map_or_else(|| "Say hello".to_owned(), preview)}
            </span>
            {move || {
                (unread() > 0)
                    .then(|| {
                        view! {
                            <span class="unread">
                                {unread} <span class="visually-hidden">" unread"</span>
                            </span>
                        }
                    })
            }}
        </a>
    }
    .whole()
}

/// The first line that says something: what turns the writing in one line must not turn the next.
fn preview(row: &Row) -> String {
    if row.deleted {
        return "Message deleted".to_owned();
    }
    let line = lines(&row.data).find(|line| !is_blank(line)).unwrap_or_default();
    line.chars().take(PREVIEW_CHARS).collect()
}

/// What is said of the newest message before its words.
fn state(thread: Thread) -> (&'static str, &'static str) {
    match &*thread.last.read() {
        Some(Row { state: RowState::Failed(_), .. }) => ("failed", "Not sent: "),
        Some(Row { state: RowState::Waiting | RowState::Pending | RowState::PutOff(_), .. }) => {
            ("waiting", "Sending: ")
        }
        Some(row) if thread.is_own(row) && !row.deleted => ("", "You: "),
        _ => ("", ""),
    }
}
