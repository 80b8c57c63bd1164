//! One message: on its way, stored, or refused. The same element from the one to the other.

use leptos::prelude::*;
use protocol::{MessageId, RowState};

use super::{DayHeading, Moment};
use crate::live::{Live, RowView, Thread};
use crate::whole::IntoWhole;

/// A row, and the marks above it when it is the first of its day or of what is unread.
#[component]
pub(crate) fn MessageRow(live: Live, thread: Thread, id: MessageId) -> impl IntoView {
    let view: Option<RwSignal<RowView>> = thread.view(id).map(RwSignal::from);
    view.map(|view| {
        let own = thread.is_own(&view.read_untracked().row);
        let opens_day = Memo::new(move |_| view.read().opens_day.then(|| view.read().row.time_stamp));
        let opens_unread = Memo::new(move |_| view.read().opens_unread);
        let state = move || match view.read().row.state {
            RowState::Pending => "pending",
            RowState::Sent => "sent",
            RowState::Failed(_) => "failed",
        };
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
                    {move || matches!(view.read().row.state, RowState::Pending).then_some("Not sent yet")}
                </span>
                {move || match &view.read().row.state {
                    RowState::Failed(fault) => Some(view! { <Refusal live id reason=fault.reason.clone() /> }),
                    _ => None,
                }}
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
        // These end a line, but not for what turns the writing in it: a newline does.
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

/// Why it was refused, and what its writer can do.
#[component]
fn Refusal(live: Live, id: MessageId, reason: String) -> impl IntoView {
    view! {
        <div class="refusal">
            <p>{reason}</p>
            <button type="button" class="small" on:click=move |_| live.retry(id)>
                "Retry"
            </button>
            <button type="button" class="quiet small" on:click=move |_| live.discard(id)>
                "Delete"
            </button>
        </div>
    }
}
