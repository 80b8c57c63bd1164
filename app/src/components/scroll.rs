//! Keeps the reader's place: at the end, or at the row they look at, whatever grows, shrinks or arrives around it.
//!
//! One rule does it all. Between two scrolls by the reader the place is remembered: following the end, or the first
//! row in view and where it stood. Whenever rows or a size change, observers put that place back, before anything is
//! painted. Rows that load above, a composer that grows, a phone's keyboard: all the same. The browser's own
//! scroll anchoring is switched off, because not every browser has it and two anchors pull against each other.

use leptos::html;
use leptos::prelude::*;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, MutationObserver, MutationObserverInit, ResizeObserver};

use crate::live::{Live, Older, Thread};

/// This close to the end counts as the end: fractions of pixels, and a half-seen row.
const NEAR: i32 = 48;

/// The place in one conversation. A handle.
#[derive(Clone, Copy)]
pub(super) struct Scroll {
    live: Live,
    thread: Thread,
    view: NodeRef<html::Div>,
    content: NodeRef<html::Div>,
    list: NodeRef<html::Ol>,
    place: StoredValue<Place>,
}

/// What only the browser's one thread may touch is wrapped each by itself: the server makes this value on one thread
/// and drops it on another, and never holds any of it.
#[derive(Default)]
struct Place {
    /// The sizes at which the rest was measured.
    size: (i32, i32),
    /// The first row in view, and how far below the upper edge it stands.
    anchor: Option<SendWrapper<(Element, f64)>>,
    /// The first place has been found.
    found: bool,
    observers: Option<SendWrapper<Observers>>,
}

/// Of sizes, and of rows: as many may leave as come, and no size change.
struct Observers {
    sizes: ResizeObserver,
    rows: MutationObserver,
    _settle: Closure<dyn FnMut()>,
}

impl Drop for Observers {
    fn drop(&mut self) {
        self.sizes.disconnect();
        self.rows.disconnect();
    }
}

impl Scroll {
    pub(super) fn new(
        live: Live,
        thread: Thread,
        view: NodeRef<html::Div>,
        content: NodeRef<html::Div>,
        list: NodeRef<html::Ol>,
    ) -> Self {
        let scroll = Self { live, thread, view, content, list, place: StoredValue::default() };
        Effect::new(move |_| scroll.observe());
        // Neither need change a size, so the observer may stay silent. At the next frame the rows are in place.
        Effect::new(move |_| {
            thread.called_to_end.track();
            thread.older.track();
            request_animation_frame(move || scroll.settle());
        });
        let focus = window_event_listener_untyped("focus", move |_| scroll.see());
        let visible = window_event_listener_untyped("visibilitychange", move |_| scroll.see());
        on_cleanup(move || {
            focus.remove();
            visible.remove();
            let _ = scroll.place.try_update_value(|place| place.observers = None);
        });
        scroll
    }

    /// The observer of sizes calls once at the beginning, too: that finds the first place.
    fn observe(self) {
        let elements = (self.view.get(), self.content.get(), self.list.get());
        let (Some(view), Some(content), Some(list)) = elements else { return };
        let settle = Closure::<dyn FnMut()>::new(move || self.settle());
        let callback = settle.as_ref().unchecked_ref();
        let (Ok(sizes), Ok(rows)) = (ResizeObserver::new(callback), MutationObserver::new(callback)) else {
            return;
        };
        sizes.observe(&view);
        sizes.observe(&content);
        let children = MutationObserverInit::new();
        children.set_child_list(true);
        let _ = rows.observe_with_options(&list, &children);
        let observers = SendWrapper::new(Observers { sizes, rows, _settle: settle });
        self.place.update_value(|place| place.observers = Some(observers));
    }

    /// The reader scrolled, or `settle` did.
    pub(super) fn moved(self) {
        let Some(view) = self.view.get_untracked() else { return };
        if self.place.with_value(|place| !place.found || place.size != size(&view)) {
            return; // something grew meanwhile: the old place is put back first
        }
        self.remember(&view);
        self.fill(&view);
        self.see();
    }

    /// Puts the remembered place back.
    fn settle(self) {
        let Some(view) = self.view.try_get_untracked().flatten() else { return };
        if !self.place.try_with_value(|place| place.found).unwrap_or(true) {
            self.find(&view);
        } else if self.thread.following.get_untracked() {
            view.set_scroll_top(view.scroll_height());
        } else if let Some((row, stood)) = self.place.with_value(|place| place.anchor.as_deref().cloned())
            && row.is_connected()
        {
            #[expect(clippy::cast_possible_truncation, reason = "pixels of a page")]
            view.set_scroll_top(view.scroll_top() + (below(&view, &row) - stood).round() as i32);
        }
        self.remember_anchor(&view);
        self.fill(&view);
        self.see();
    }

    /// The first place: where the unread begins if that is further than a screen away, else the end. Waits for
    /// rows that are missing. `shell.rs` does the same before the page lives.
    fn find(self, view: &Element) {
        view.set_scroll_top(view.scroll_height());
        if self.thread.older.get_untracked() == Older::Loading {
            return;
        }
        if !self.thread.draws_unread() && self.thread.has_older.get_untracked() && !self.has_failed() {
            return self.live.older(self.thread);
        }
        let mark = view.query_selector(".unread-mark").ok().flatten();
        if let Some(mark) = mark {
            let (room, above) = (f64::from(view.client_height()), below(view, &mark));
            if above < room / 3. {
                #[expect(clippy::cast_possible_truncation, reason = "pixels of a page")]
                view.set_scroll_top(view.scroll_top() + (above - room / 4.) as i32);
            }
        }
        self.place.update_value(|place| place.found = true);
        self.remember(view);
    }

    fn has_failed(self) -> bool {
        self.thread.older.get_untracked() == Older::Failed
    }

    fn remember(self, view: &Element) {
        let following = self.thread.window_is_at_end()
            && view.scroll_height() - view.client_height() - view.scroll_top() <= NEAR;
        if self.thread.following.get_untracked() != following {
            self.thread.following.set(following);
        }
        self.remember_anchor(view);
    }

    fn remember_anchor(self, view: &Element) {
        let anchor = self.list.get_untracked().and_then(|list| first_in_view(view, &list));
        let _ = self.place.try_update_value(|place| {
            place.size = size(view);
            place.anchor = anchor.map(|row| SendWrapper::new((row.clone(), below(view, &row))));
        });
    }

    /// Asks for more rows when the end of those drawn comes near.
    fn fill(self, view: &Element) {
        let (height, room) = size(view);
        let above = view.scroll_top();
        if above < room && !self.has_failed() && self.thread.has_older.get_untracked() {
            self.live.older(self.thread);
        } else if height - room - above < room {
            self.live.newer(self.thread);
        }
    }

    /// What stands before the reader's eyes is read; what waits in a hidden tab or below the edge is not.
    fn see(self) {
        let found = self.place.try_with_value(|place| place.found).unwrap_or_default();
        let document = document();
        let looked_at = !document.hidden() && document.has_focus().unwrap_or_default();
        if found && looked_at && self.thread.following.get_untracked() {
            self.live.seen(self.thread);
        }
    }
}

fn size(view: &Element) -> (i32, i32) {
    (view.scroll_height(), view.client_height())
}

/// How far an element stands below the upper edge of the view.
fn below(view: &Element, element: &Element) -> f64 {
    element.get_bounding_client_rect().top() - view.get_bounding_client_rect().top()
}

/// Rows stand in order, so the first one in view is found by halves. Days and marks come and go above older rows, so
/// only a message can be held on to.
fn first_in_view(view: &Element, list: &Element) -> Option<Element> {
    let rows = list.children();
    let edge = view.get_bounding_client_rect().top();
    let (mut from, mut to) = (0, rows.length());
    while from < to {
        let middle = from.midpoint(to);
        if rows.item(middle)?.get_bounding_client_rect().bottom() > edge {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    let mut row = rows.item(from);
    while let Some(other) = row.take_if(|row| !row.has_attribute("data-mid")) {
        row = other.next_element_sibling();
    }
    row
}
