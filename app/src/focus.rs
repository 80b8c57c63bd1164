//! Moves the focus when the focused element is gone.
//!
//! A used-up button, an answered card or a conversation that is replaced takes the focus with it, and keyboard and
//! screen-reader users would be thrown back to the top of the page. So the focus moves to the nearest sensible place:
//! in the list, to the search; in a conversation, to its messages; from an overlay, back to where it came from. It is
//! never taken from another element: only when nothing has it.

use std::cell::RefCell;

use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement, MutationObserver, MutationObserverInit};

/// The elements that had the focus, oldest first, and the index in [`PLACES`] of the last one's place.
#[derive(Default)]
struct Trail {
    been: Vec<Element>,
    place: Option<usize>,
}

/// Longer than anybody goes back.
const MOST: usize = 16;

/// The areas of the page, and where the focus goes in each.
const PLACES: [(&str, &str); 2] = [(".sidebar", "#search"), (".conversation", ".messages")];

thread_local! {
    static TRAIL: RefCell<Trail> = RefCell::default();
}

/// Whether no element has the focus, as after loading a page.
pub(crate) fn nothing_has_it() -> bool {
    document().active_element().is_none_or(|element| element.tag_name() == "BODY")
}

/// Watches the focus for as long as the page is open.
pub(crate) fn start() {
    _ = window_event_listener_untyped("focusin", |event| {
        if let Some(element) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) {
            let around = |(place, _): &(&str, &str)| element.closest(place).ok().flatten().is_some();
            let place = PLACES.iter().position(around);
            TRAIL.with_borrow_mut(|trail| {
                trail.been.retain(|been| *been != element);
                if trail.been.len() == MOST {
                    trail.been.remove(0);
                }
                trail.been.push(element);
                trail.place = place;
            });
        }
    });
    let watch = Closure::<dyn Fn()>::new(|| {
        let next = TRAIL.with_borrow(next);
        // On a touch screen, focusing a field would open the keyboard, which only the user should do.
        if let Some(next) = next.filter(|next| next.tag_name() != "INPUT" || !is_touch()) {
            _ = next.unchecked_ref::<HtmlElement>().focus();
        }
    });
    let Ok(observer) = MutationObserver::new(watch.as_ref().unchecked_ref()) else { return };
    let what = MutationObserverInit::new();
    what.set_child_list(true);
    what.set_subtree(true);
    // On a phone, a class switches from the list to a conversation.
    what.set_attribute_filter(
        &["hidden", "class"].map(JsValue::from_str).into_iter().collect::<js_sys::Array>(),
    );
    _ = document().body().map(|body| observer.observe_with_options(&body, &what));
    watch.forget();
}

/// Returns where to move the focus, if the element that had it is gone and nothing else has it.
fn next(trail: &Trail) -> Option<Element> {
    let document = document();
    let is_free = document.active_element().is_none_or(|active| active.tag_name() == "BODY");
    if !is_free || trail.been.last().is_none_or(is_there) {
        return None;
    }
    let find = |what: &str| document.query_selector(what).ok().flatten().filter(is_there);
    // Whoever tabs past the last message reaches the end, where this button disappears. Back at the history they would
    // never get past it.
    let is_jump = trail.been.last().is_some_and(|been| been.class_name() == "jump");
    let near = trail.place.and_then(|place| find(if is_jump { "#message" } else { PLACES[place].1 }));
    let before = || trail.been.iter().rev().find(|been| is_there(been)).cloned();
    near.or_else(before).or_else(|| PLACES.iter().rev().find_map(|(_, home)| find(home)))
}

/// Moves the focus to what the selector finds, if anything.
pub(crate) fn on(what: &str) {
    if let Ok(Some(element)) = document().query_selector(what) {
        _ = element.unchecked_ref::<HtmlElement>().focus();
    }
}

/// Whether the main input device is a touch screen.
pub(crate) fn is_touch() -> bool {
    window().match_media("(pointer: coarse)").ok().flatten().is_some_and(|query| query.matches())
}

/// Whether an element is in the page and visible.
fn is_there(element: &Element) -> bool {
    element.is_connected() && element.get_bounding_client_rect().height() > 0.
}
