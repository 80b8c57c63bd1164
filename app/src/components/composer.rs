//! Where messages are written.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html;
use leptos::prelude::*;
use protocol::text::{check_message, clean, is_blank};
use web_sys::HtmlTextAreaElement;

use crate::live::{Live, Thread, keep};
use crate::whole::IntoWhole;

/// The field is the browser's own: what is typed before the page lives stays. It belongs to one session for its whole
/// life, and every keystroke is kept.
#[component]
pub(crate) fn Composer(live: Live, thread: Thread) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let refusal = RwSignal::new(None::<String>);

    Effect::new(move |_| {
        let Some(field) = field.get() else { return };
        restore(&field, keep::draft(live.me().user_id, thread.id));
        fit(&field);
        let greeted =
            live.greeted.try_update_value(|greeted| greeted.take_if(|id| *id == thread.id)).flatten();
        if greeted.is_some() || (!is_touch() && !somebody_types()) {
            _ = field.focus();
        }
    });
    let changed = move |_| {
        let Some(field) = field.get_untracked() else { return };
        let text = field.value();
        live.keep_draft(thread.id, &text);
        fit(&field);
        if refusal.read_untracked().is_some() {
            refusal.set(None);
        }
        if !is_blank(&text) {
            live.typing(thread.id);
        }
    };
    let send = move || {
        let Some(field) = field.get_untracked() else { return };
        // Whoever pasted what cannot be seen could not find it to take it out.
        let text = clean(&field.value());
        let text = text.trim_end().trim_start_matches('\n');
        if !is_blank(text) {
            match check_message(text) {
                Ok(()) => {
                    live.send(thread.id, text.to_owned());
                    field.set_value("");
                    live.keep_draft(thread.id, "");
                    fit(&field);
                    refusal.set(None);
                }
                Err(fault) => refusal.set(Some(fault.reason)),
            }
        }
        _ = field.focus();
    };
    let key = move |event: KeyboardEvent| {
        // While an input method composes, Enter belongs to it; some browsers say so only by 229.
        let composes = event.is_composing() || event.key_code() == 229;
        let forced = event.ctrl_key() || event.meta_key();
        if event.key() == "Enter" && !composes && !event.shift_key() && (forced || !is_touch()) {
            event.prevent_default();
            send();
        }
    };
    view! {
        <div class="composer">
            {move || refusal.get().map(|reason| view! { <p class="note bad" role="alert">{reason}</p> })}
            <div class="composer-field">
                <textarea
                    node_ref=field
                    id="message"
                    aria-label="Message"
                    placeholder="Write a message"
                    rows="1"
                    dir="auto"
                    autocomplete="off"
                    on:input=changed
                    on:keydown=key
                ></textarea>
                <button
                    type="button"
                    class="send"
                    aria-label="Send"
                    title="Send"
                    // The field keeps the focus, and a phone its keyboard.
                    on:pointerdown=|event: PointerEvent| event.prevent_default()
                    on:click=move |_| send()
                >
                    <svg width="20" height="20" viewBox="0 0 24 24" aria-hidden="true">
                        <path d="M5 12h13M12 5.5l6.5 6.5-6.5 6.5" />
                    </svg>
                </button>
            </div>
            <p class="script-needed">"Writing needs JavaScript, which does not run here."</p>
        </div>
    }
    .whole()
}

/// Brings the draft back. Whatever was typed before the page lived comes after it; nothing is lost.
fn restore(field: &HtmlTextAreaElement, draft: Option<String>) {
    let typed = field.value();
    if let Some(draft) = draft.filter(|draft| !typed.starts_with(draft.as_str())) {
        field.set_value(&if typed.is_empty() { draft } else { format!("{draft}\n{typed}") });
    }
}

/// As high as its text, where the style sheet's `field-sizing` does not do it.
fn fit(field: &HtmlTextAreaElement) {
    if !web_sys::css::supports_with_value("field-sizing", "content").unwrap_or_default() {
        let style = web_sys::HtmlElement::style(field);
        let _ = style.set_property("height", "auto");
        let _ = style.set_property("height", &format!("{}px", field.scroll_height()));
    }
}

/// On a touch screen Enter makes a new line, as its keyboard says, and the keyboard comes only when it is called.
fn is_touch() -> bool {
    window().match_media("(pointer: coarse)").ok().flatten().is_some_and(|query| query.matches())
}

fn somebody_types() -> bool {
    let active = document().active_element();
    active.is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA"))
}
