//! One message: in flight, stored, or refused. The element stays the same throughout.

use leptos::prelude::*;
use protocol::{MessageId, RowState};
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use super::{DayHeading, Moment};
use crate::live::{Live, RowView, SessionView};
use crate::whole::IntoWhole;

/// The note on a message that was sent while the connection was being lost.
const UNANSWERED: &str =
    "No answer yet: it may have arrived, so it cannot be taken back. It goes out again by itself.";

/// A row, and the headings above it if it is the first of its day or of the unread messages.
#[component]
pub(crate) fn MessageRow(live: Live, session: SessionView, id: MessageId) -> impl IntoView {
    let view: Option<RwSignal<RowView>> = session.view(id).map(RwSignal::from);
    view.map(|view| {
        let own = session.is_own(&view.read_untracked().row);
        let opens_day = Memo::new(move |_| view.read().opens_day.then(|| view.read().row.time_stamp));
        let opens_unread = Memo::new(move |_| view.read().opens_unread);
        let state = move || match view.read().row.state {
            RowState::Waiting | RowState::Pending | RowState::PutOff(_) => "pending",
            RowState::Sent => "sent",
            RowState::Failed(_) => "failed",
        };
        // A memo, so that the buttons stay during a retry.
        let trouble = Memo::new(move |_| match &view.read().row.state {
            RowState::Waiting => Some(("Not sent yet.".to_owned(), true)),
            RowState::PutOff(fault) => Some((format!("{} Yours goes out by itself.", fault.reason), true)),
            RowState::Failed(fault) => Some((fault.reason.clone(), true)),
            RowState::Pending if session.is_lost() => Some((UNANSWERED.to_owned(), false)),
            _ => None,
        });
        view! {
            {move || opens_day.get().map(|at| view! { <DayHeading at /> })}
            {move || opens_unread.get().then(|| view! { <li class="unread-mark">"New messages"</li> })}
            <li
                class="row"
                class:opens=move || view.read().opens_group
                data-mid=id.to_string()
                data-state=state
                data-own=own.then_some("")
            >
                <bdi class="name">{move || view.read().name.clone()}</bdi>
                <Moment at=Signal::derive(move || view.read().row.time_stamp) />
                <Words view />
                <span class="visually-hidden">
                    {move || {
                        let on_its_way = matches!(view.read().row.state, RowState::Pending);
                        (on_its_way && trouble.read().is_none()).then_some("Not sent yet")
                    }}
                </span>
                {move || trouble.get().map(|(reason, back)| view! { <Ways live id reason back /> })}
            </li>
        }
        .whole()
    })
}

#[component]
fn Words(view: RwSignal<RowView>) -> impl IntoView {
    let gone = move || view.read().row.deleted;
    let words = move || {
        if gone() {
            return "Message deleted".to_owned();
        }
        // These end a line, but direction marks in it still affect the next one; a newline ends both.
        let ended = |c| if matches!(c, '\u{2028}' | '\u{2029}') { '\n' } else { c };
        view.read().row.data.chars().map(ended).collect()
    };
    view! {
        <div class="text" class:gone=gone dir="auto">
            {words}
        </div>
        {move || (view.read().row.edited && !gone()).then(|| view! { <span class="edited">"edited"</span> })}
    }
}

/// Why it is not stored, or not known to be, and what the user can do.
#[component]
fn Ways(live: Live, id: MessageId, reason: String, back: bool) -> impl IntoView {
    // The buttons disappear when used, and would take the focus with them.
    let done = move || {
        let history = document().query_selector(".messages").ok().flatten();
        _ = history.and_then(|history| history.dyn_into::<HtmlElement>().ok()).map(|history| history.focus());
    };
    let retry = move |_| {
        live.retry(id);
        done();
    };
    let delete = move |_| {
        live.take_back(id, false);
        done();
    };
    view! {
        <div class="refusal">
            <p>{reason}</p>
            <button type="button" class="small" on:click=retry>
                "Retry"
            </button>
            {back
                .then(|| {
                    view! {
                        <button type="button" class="quiet small" on:click=move |_| live.take_back(id, true)>
                            "Take back"
                        </button>
                        <button type="button" class="quiet small" on:click=delete>
                            "Delete"
                        </button>
                    }
                })}
        </div>
    }
    .whole()
}
