//! The messages of the open conversation.

use leptos::html;
use leptos::prelude::*;
use protocol::MessageId;

use super::each;
use super::message::{MessageRow, MessageRowProps};
use super::scroll::Scroll;
use crate::focus;
use crate::live::{Live, Older, SessionView};
use crate::whole::IntoWhole;

/// The list depends only on IDs; each row reads its own signal. [`Scroll`] keeps the reader's place.
#[component]
pub(crate) fn MessageList(live: Live, session: SessionView) -> impl IntoView {
    let (view, content) = (NodeRef::<html::Div>::new(), NodeRef::<html::Div>::new());
    let list = NodeRef::<html::Ol>::new();
    let scroll = Scroll::new(live, session, view, content, list);
    view! {
        <div class="messages-frame">
            <div
                class="messages"
                node_ref=view
                tabindex="0"
                role="group"
                aria-label="Message history"
                on:scroll=move |_| scroll.moved()
            >
                <div class="messages-content" node_ref=content>
                    <Beginning live session />
                    <Rows live session list />
                    {move || {
                        session.behind.get().then(|| view! { <p class="loading">"Catching up…"</p> })
                    }}
                </div>
            </div>
            <Jump live session />
        </div>
    }
    .whole()
}

/// The rows, keyed by message ID.
#[component]
fn Rows(live: Live, session: SessionView, list: NodeRef<html::Ol>) -> impl IntoView {
    view! {
        <ol aria-label="Messages" node_ref=list>
            {each(
                move || session.rows.read().iter().map(|id| id.0).collect(),
                move |id| MessageRow(MessageRowProps { live, session, id: MessageId(id) }).whole(),
            )}
        </ol>
    }
    .whole()
}

/// What stands above the oldest row: the notice that older ones are loading, or the beginning.
#[component]
fn Beginning(live: Live, session: SessionView) -> impl IntoView {
    move || {
        match (session.has_older.get(), session.older.get()) {
            (false, _) => view! {
                <p class="beginning">
                    "This is the beginning of your conversation with " <bdi>{move || session.title()}</bdi> "."
                </p>
            }
            .whole(),
            (true, Older::Failed) => view! {
                <p class="loading failed">
                    "Earlier messages could not be loaded. "
                    <button type="button" class="small" on:click=move |_| live.older(session)>
                        "Try again"
                    </button>
                </p>
            }
            .whole(),
            (true, _) => view! { <p class="loading">"Loading earlier messages…"</p> }.whole(),
        }
        .whole()
    }
}

/// The button back to the end, with the number of new messages.
#[component]
fn Jump(live: Live, session: SessionView) -> impl IntoView {
    let words = move || match session.unread.get() {
        0 => "Jump to latest".to_owned(),
        1 => "1 new message".to_owned(),
        n => format!("{n} new messages"),
    };
    let go = move |_| {
        live.to_end(session);
        focus::on(".messages");
    };
    move || {
        (!session.following.get()).then(|| {
            view! {
                <button type="button" class="jump" on:click=go>
                    {words}
                </button>
            }
        })
    }
}
