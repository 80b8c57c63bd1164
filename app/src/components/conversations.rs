//! The list of conversations, the newest first.

use leptos::prelude::*;
use protocol::text::{is_blank, lines};
use protocol::{Row, RowState, SessionId};

use super::{Avatar, each};
use crate::clock::{Clock, utc};
use crate::focus;
use crate::live::{Live, SessionView};
use crate::route::Open;
use crate::whole::IntoWhole;

/// More of a message would not fit.
const PREVIEW_CHARS: usize = 120;

/// How many are drawn at first, and how many more each time. The first render has as many.
const PART: usize = 100;

/// Each line is a link, so it also works in a new tab, and before hydration.
#[component]
pub(crate) fn Conversations(live: Live, open: Open) -> impl IntoView {
    let drawn = RwSignal::new(PART);
    let part = move || live.sessions.read().iter().take(drawn.get()).map(|id| id.0).collect();
    let line = move |id| {
        let session = live.session(SessionId(id))?;
        Some(view! { <li>{Line(LineProps { live, session, open })}</li> })
    };
    let more = move |_| {
        let first = format!(".conversations li:nth-child({}) a", drawn.get() + 1);
        drawn.update(|drawn| *drawn += PART);
        // Keyboard users go on at the first of the new ones.
        request_animation_frame(move || focus::on(&first));
    };
    view! {
        <nav class="conversations" aria-label="Conversations">
            <ul>
                {each(part, move |id| line(id).whole())}
            </ul>
            <button
                type="button"
                class="quiet"
                hidden=move || live.sessions.read().len() <= drawn.get()
                on:click=more
            >
                "Show more"
            </button>
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
fn Line(live: Live, session: SessionView, open: Open) -> impl IntoView {
    Effect::new(move || live.list(session, true));
    on_cleanup(move || live.list(session, false));
    let clock = expect_context::<Clock>();
    let is_open = move || open.get() == Some(session.id);
    let unread = move || session.unread.get();
    let state = move || state(session);
    let moment = move || {
        session.last.read().as_ref().map(|row| {
            let at = row.time_stamp;
            view! { <time datetime=utc(at)>{move || clock.short(at)}</time> }
        })
    };
    view! {
        <a
            class="line"
            href=format!("/chat/{}", session.id)
            data-session=session.id.to_string()
            aria-current=move || is_open().then_some("page")
            class:has-unread=move || { unread() > 0 }
        >
            <Avatar session />
            <span class="line-name">
                <bdi>{move || session.title()}</bdi>
            </span>
            {moment}
            // The direction is the message's own: `auto` skips elements that have a `dir`.
            <span class="line-text" dir="auto">
                <span class=move || format!("line-state {}", state().0) dir="ltr">
                    {move || state().1}
                </span>
                {move || words(session)}
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

/// Returns the preview of the newest message; nothing while it is being fetched.
fn words(session: SessionView) -> String {
    match &*session.last.read() {
        Some(row) => preview(row),
        None if session.is_begun() => String::new(),
        None => "Say hello".to_owned(),
    }
}

/// Returns the first line that is not blank: a line's direction marks must not affect the next line.
fn preview(row: &Row) -> String {
    if row.deleted {
        return "Message deleted".to_owned();
    }
    let line = lines(&row.data).find(|line| !is_blank(line)).unwrap_or_default();
    line.chars().take(PREVIEW_CHARS).collect()
}

/// Returns the class and the words of the newest message's state, shown before its text.
fn state(session: SessionView) -> (&'static str, &'static str) {
    match &*session.last.read() {
        Some(Row { state: RowState::Failed(_), .. }) => ("failed", "Not sent: "),
        Some(Row { state: RowState::Waiting | RowState::Pending | RowState::PutOff(_), .. }) => {
            ("waiting", "Sending: ")
        }
        Some(row) if session.is_own(row) && !row.deleted => ("", "You: "),
        _ => ("", ""),
    }
}
