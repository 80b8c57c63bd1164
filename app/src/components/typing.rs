//! Who is typing.

use leptos::prelude::*;

use crate::live::SessionView;
use crate::whole::IntoWhole;

/// Takes up its space whether somebody is typing or not, so that nothing moves.
#[component]
pub(crate) fn Typing(session: SessionView) -> impl IntoView {
    let words = move || match session.writers().as_slice() {
        [] => None,
        [one] => Some((one.clone(), " is typing…")),
        many => Some((many.join(" and "), " are typing…")),
    };
    view! {
        <div class="typing">
            {move || {
                words()
                    .map(|(who, what)| {
                        view! {
                            <p data-typing="">
                                <span class="writing" aria-hidden="true">
                                    <i></i>
                                    <i></i>
                                    <i></i>
                                </span>
                                <span class="typing-words">
                                    <bdi>{who}</bdi>
                                    {what}
                                </span>
                            </p>
                        }
                    })
            }}
        </div>
    }
    .whole()
}
