//! The composer of messages.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html;
use leptos::prelude::*;
use protocol::text::{check_message, is_blank};
use web_sys::HtmlTextAreaElement;

use crate::focus::{is_touch, nothing_has_it};
use crate::live::{Live, SessionView, keep, somebody_writes};
use crate::whole::IntoWhole;

/// The field is uncontrolled: what was typed before hydration stays. It belongs to one session for its whole life, and
/// every keystroke is stored.
#[component]
pub(crate) fn Composer(live: Live, session: SessionView) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let refusal = RwSignal::new(None::<String>);
    // The text that this tab last read from or wrote to the browser's storage.
    let kept = StoredValue::new(String::new());

    Effect::new(move |_| {
        let Some(field) = field.get() else { return };
        let draft = keep::draft(live.me().user_id, session.id);
        kept.set_value(draft.clone().unwrap_or_default());
        restore(&field, draft);
        fit(&field);
        let greeted =
            live.greeted.try_update_value(|greeted| greeted.take_if(|id| *id == session.id)).flatten();
        // No deeds counted yet: somebody may have moved to a link by keyboard before hydration.
        let is_free = if live.deeds() == 0 { nothing_has_it() } else { !somebody_writes() };
        if greeted.is_some() || (!is_touch() && is_free) {
            _ = field.focus();
        }
    });
    let hold = move |text: String| {
        kept.update_value(|kept| {
            live.keep_draft(session.id, kept, &text);
            *kept = text;
        });
    };
    let other_tabs = window_event_listener_untyped("storage", move |event| {
        if let Some(field) = field.try_get_untracked().flatten()
            && live.was_sent_elsewhere(session.id, &field.value(), &event)
        {
            field.set_value("");
            hold(String::new());
            fit(&field);
        }
    });
    on_cleanup(move || other_tabs.remove());
    // A message that was taken back goes before what was written since.
    Effect::new(move |_| {
        let (Some(field), Some((_, text))) =
            (field.get(), live.returned.get().filter(|(id, _)| *id == session.id))
        else {
            return;
        };
        live.returned.set(None);
        field.set_value(&keep::both(&text, &field.value()));
        hold(field.value());
        fit(&field);
        refusal.set(None);
        _ = field.focus();
    });
    let changed = move |_| {
        let Some(field) = field.get_untracked() else { return };
        let text = field.value();
        hold(text.clone());
        fit(&field);
        if refusal.read_untracked().is_some() {
            refusal.set(None);
        }
        if !is_blank(&text) {
            live.typing(session.id);
        }
    };
    let send = move || {
        let Some(field) = field.get_untracked() else { return };
        // Pasted invisible characters are removed: their writer could not find them to do it.
        let text = keep::sendable(&field.value());
        if !is_blank(&text) {
            match check_message(&text) {
                Ok(()) => {
                    live.send(session.id, text);
                    field.set_value("");
                    hold(String::new());
                    fit(&field);
                    refusal.set(None);
                }
                Err(fault) => refusal.set(Some(fault.reason)),
            }
        }
        _ = field.focus();
    };
    let key = move |event: KeyboardEvent| {
        // While an input method composes, Enter belongs to it; some browsers only report that as key code 229.
        let composes = event.is_composing() || event.key_code() == 229;
        let forced = event.ctrl_key() || event.meta_key();
        // On a touch screen Enter inserts a new line, as its keyboard shows.
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

/// Restores the draft. What was typed before hydration goes after it; nothing is lost.
fn restore(field: &HtmlTextAreaElement, draft: Option<String>) {
    let typed = field.value();
    if let Some(draft) = draft.filter(|draft| !typed.starts_with(draft.as_str())) {
        field.set_value(&keep::both(&draft, &typed));
    }
}

/// Makes the field as high as its text, where the browser does not support the style sheet's `field-sizing`.
fn fit(field: &HtmlTextAreaElement) {
    if !web_sys::css::supports_with_value("field-sizing", "content").unwrap_or_default() {
        let style = web_sys::HtmlElement::style(field);
        let _ = style.set_property("height", "auto");
        let _ = style.set_property("height", &format!("{}px", field.scroll_height()));
    }
}
