//! Keeps the reader's place: at the end, or at the row they look at, whatever grows, shrinks or arrives around it.
//!
//! One rule does it all. Between two scrolls by the reader the place is remembered: following the end, or the first
//! row in view and where it stood. Whenever rows or a size change, observers put that place back, before anything is
//! painted. Rows that load above, a composer that grows, a phone's keyboard: all the same. The browser's own
//! scroll anchoring is switched off, because not every browser has it and two anchors pull against each other.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use protocol::MessageId;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, MutationObserver, MutationObserverInit, ResizeObserver};

use crate::live::{Live, Older, Place, Thread, looks_here};

/// This close to the end counts as the end: fractions of pixels, and a half-seen row.
const NEAR: i32 = 48;
/// Edges that are this close are at the same place.
const FRACTION: f64 = 2.;
/// How long a reader has to rest on rows further up for them to count as read.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Holds the place in one conversation. A handle.
#[derive(Clone, Copy)]
pub(super) struct Scroll {
    live: Live,
    thread: Thread,
    view: NodeRef<html::Div>,
    content: NodeRef<html::Div>,
    list: NodeRef<html::Ol>,
    held: StoredValue<Held>,
}

/// What only the browser's one thread may touch is wrapped each by itself: the server makes this value on one thread
/// and drops it on another, and never holds any of it.
#[derive(Default)]
struct Held {
    /// The sizes at which the rest was measured.
    size: (i32, i32),
    /// The first row in view, and how far below the upper edge it stands.
    anchor: Option<SendWrapper<(Element, f64)>>,
    /// The first place has been found.
    found: bool,
    /// What is in view will be looked at in a moment.
    looks: bool,
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
        let scroll = Self { live, thread, view, content, list, held: StoredValue::default() };
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
            thread.leave(scroll.place());
            let _ = scroll.held.try_update_value(|held| held.observers = None);
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
        self.held.update_value(|held| held.observers = Some(observers));
    }

    /// The reader scrolled, or `settle` did.
    pub(super) fn moved(self) {
        let Some(view) = self.view.get_untracked() else { return };
        if self.held.with_value(|held| !held.found || held.size != size(&view)) {
            return; // something grew meanwhile: the old place is put back first
        }
        self.remember(&view);
        self.fill(&view);
        self.see();
    }

    /// Puts the remembered place back.
    fn settle(self) {
        let Some(view) = self.view.try_get_untracked().flatten() else { return };
        if !self.held.try_with_value(|held| held.found).unwrap_or(true) {
            self.find(&view);
        } else if self.thread.following.get_untracked() {
            view.set_scroll_top(view.scroll_height());
            // Nobody looks: the view waits where the news begins.
            if self.thread.unread.get_untracked() > 0 && !looks_here() && show_mark(&view) {
                self.thread.following.set(false);
            }
        } else if let Some((row, stood)) = self.held.with_value(|held| held.anchor.as_deref().cloned())
            && row.is_connected()
        {
            put(&view, &row, stood);
        }
        self.remember_anchor(&view);
        self.fill(&view);
        self.see();
    }

    /// The first place: the one that was left; or where the unread begins if that is further than a screen away; or the
    /// end. Waits for rows that are missing. `shell.rs` does the same before the page lives.
    fn find(self, view: &Element) {
        view.set_scroll_top(view.scroll_height());
        if let Some((row, stood)) =
            self.thread.left().and_then(|left| Some((row(view, left.row)?, left.stood)))
        {
            put(view, &row, stood);
            self.held.update_value(|held| held.found = true);
            return self.remember(view);
        }
        if self.thread.older.get_untracked() == Older::Loading {
            return;
        }
        if !self.thread.draws_unread() && self.thread.has_older.get_untracked() && !self.has_failed() {
            return self.live.older(self.thread);
        }
        show_mark(view);
        self.held.update_value(|held| held.found = true);
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
        let _ = self.held.try_update_value(|held| {
            held.size = size(view);
            held.anchor = anchor.map(|row| SendWrapper::new((row.clone(), below(view, &row))));
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

    /// What stands before the reader's eyes is read; what waits in a hidden tab, in a window without the focus or below
    /// the edge is not.
    fn see(self) {
        let found = self.held.try_with_value(|held| held.found).unwrap_or_default();
        if !found || self.thread.unread.get_untracked() == 0 || !looks_here() {
            return;
        }
        if self.thread.following.get_untracked() {
            return self.look();
        }
        // Further up, what is in view changes with every frame of a scroll: told now and then.
        let first = self.held.try_update_value(|held| !std::mem::replace(&mut held.looks, true));
        if first == Some(true) {
            let look = move || {
                let _ = self.held.try_update_value(|held| held.looks = false);
                if looks_here() {
                    self.look();
                }
            };
            set_timeout(look, LOOK_EVERY);
        }
    }

    fn look(self) {
        let (view, list) = (self.view.try_get_untracked(), self.list.try_get_untracked());
        let (Some(view), Some(list)) = (view.flatten(), list.flatten()) else { return };
        // Whoever follows the end is that close to it.
        let slack = if self.thread.following.get_untracked() { f64::from(NEAR) } else { FRACTION };
        let rows =
            std::iter::successors(last_in_view(&view, &list, slack), Element::previous_element_sibling);
        // By writing one has read what came before, as far as it was here: that is not for the eyes to say.
        let seen = rows.filter_map(|row| self.thread.view(id(&row)?)).find_map(|view| {
            let view = view.read_untracked();
            view.row.seq.filter(|_| !self.thread.is_own(&view.row))
        });
        if let Some(seq) = seen {
            self.live.seen(self.thread, seq);
        }
    }

    /// Where the reader is, unless they follow the end.
    fn place(self) -> Option<Place> {
        let anchor = self.held.try_with_value(|held| held.anchor.as_deref().cloned()).flatten();
        let (row, stood) = anchor.filter(|_| !self.thread.following.get_untracked())?;
        Some(Place { row: id(&row)?, stood })
    }
}

/// Scrolls to where the unread begin, when that is above the lower two thirds of what is in view. Returns whether it did.
fn show_mark(view: &Element) -> bool {
    let Some(mark) = view.query_selector(".unread-mark").ok().flatten() else { return false };
    let (room, above) = (f64::from(view.client_height()), below(view, &mark));
    let is_out = above < room / 3.;
    if is_out {
        put(view, &mark, room / 4.);
    }
    is_out
}

/// Scrolls until an element stands so far below the upper edge of the view.
fn put(view: &Element, element: &Element, stood: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "pixels of a page")]
    view.set_scroll_top(view.scroll_top() + (below(view, element) - stood).round() as i32);
}

fn row(view: &Element, id: MessageId) -> Option<Element> {
    view.query_selector(&format!("[data-mid=\"{id}\"]")).ok().flatten()
}

fn id(row: &Element) -> Option<MessageId> {
    row.get_attribute("data-mid")?.parse().ok()
}

fn size(view: &Element) -> (i32, i32) {
    (view.scroll_height(), view.client_height())
}

/// How far an element stands below the upper edge of the view.
fn below(view: &Element, element: &Element) -> f64 {
    element.get_bounding_client_rect().top() - view.get_bounding_client_rect().top()
}

/// Days and marks come and go above older rows, so only a message can be held on to.
fn first_in_view(view: &Element, list: &Element) -> Option<Element> {
    let edge = view.get_bounding_client_rect().top();
    let first = first_row(list, &|row| row.get_bounding_client_rect().bottom() > edge);
    let mut row = list.children().item(first);
    while let Some(other) = row.take_if(|row| !row.has_attribute("data-mid")) {
        row = other.next_element_sibling();
    }
    row
}

/// The last one that is in view as a whole.
fn last_in_view(view: &Element, list: &Element, slack: f64) -> Option<Element> {
    let edge = view.get_bounding_client_rect().bottom() + slack;
    let below = first_row(list, &|row| row.get_bounding_client_rect().bottom() > edge);
    list.children().item(below.checked_sub(1)?)
}

/// The number of the first row of which something holds that holds of all after it: rows stand in order, so it is found
/// by halves.
fn first_row(list: &Element, holds: &dyn Fn(&Element) -> bool) -> u32 {
    let rows = list.children();
    let (mut from, mut to) = (0, rows.length());
    while from < to {
        let middle = from.midpoint(to);
        if rows.item(middle).is_none_or(|row| holds(&row)) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}
