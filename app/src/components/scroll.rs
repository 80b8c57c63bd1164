//! Keeps the reader's place: at the end, or at the row they are reading, no matter what grows, shrinks or arrives
//! around it.
//!
//! One rule covers everything. Each scroll by the reader records the place: following the end, or the first row in view
//! and where it stood. Whenever rows or a size change, observers restore that place before the next paint, be it for
//! rows that load above, a composer that grows or a phone's keyboard. The browser's own scroll anchoring is switched
//! off, because not every browser has it and two anchors fight each other.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use protocol::MessageId;
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, MutationObserver, MutationObserverInit, ResizeObserver};

use crate::live::{Live, Older, Place, SessionView, looks_here};

/// This close to the end, in pixels, counts as the end: allows for fractions of pixels and a half-visible row.
const NEAR: i32 = 48;
/// Edges this close, in pixels, count as aligned.
const FRACTION: f64 = 2.;
/// How often, at most, rows in view further up are marked as read.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Holds the place in one conversation. A handle.
#[derive(Clone, Copy)]
pub(super) struct Scroll {
    live: Live,
    session: SessionView,
    view: NodeRef<html::Div>,
    content: NodeRef<html::Div>,
    list: NodeRef<html::Ol>,
    held: StoredValue<Held>,
}

/// Only the fields that belong to the browser's one thread are wrapped in `SendWrapper`: the server creates this value
/// on one thread and drops it on another, but never sets those fields.
#[derive(Default)]
struct Held {
    /// The scroll height and the view's height when the rest was measured.
    size: (i32, i32),
    /// The first row in view, and how far below the upper edge it stands.
    anchor: Option<SendWrapper<(Element, f64)>>,
    /// Whether the initial place has been found.
    found: bool,
    /// Whether a check of what is in view is scheduled.
    looks: bool,
    observers: Option<SendWrapper<Observers>>,
}

/// Observers of sizes, and of rows: rows may come and go without a change of size.
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
        session: SessionView,
        view: NodeRef<html::Div>,
        content: NodeRef<html::Div>,
        list: NodeRef<html::Ol>,
    ) -> Self {
        let scroll = Self { live, session, view, content, list, held: StoredValue::default() };
        Effect::new(move |_| scroll.observe());
        // Neither has to change a size, so the observers may stay silent. By the next frame the rows are in place.
        Effect::new(move |_| {
            session.called_to_end.track();
            session.older.track();
            request_animation_frame(move || scroll.settle());
        });
        let focus = window_event_listener_untyped("focus", move |_| scroll.see());
        let visible = window_event_listener_untyped("visibilitychange", move |_| scroll.see());
        on_cleanup(move || {
            focus.remove();
            visible.remove();
            session.leave(scroll.place());
            let _ = scroll.held.try_update_value(|held| held.observers = None);
        });
        scroll
    }

    /// Starts the observers. The one of sizes also fires once at the start, which finds the initial place.
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

    /// Handles a scroll, by the reader or by `settle`.
    pub(super) fn moved(self) {
        let Some(view) = self.view.get_untracked() else { return };
        if self.held.with_value(|held| !held.found || held.size != size(&view)) {
            return; // something grew meanwhile: `settle` restores the old place first
        }
        self.remember(&view);
        self.fill(&view);
        self.see();
    }

    /// Restores the remembered place.
    fn settle(self) {
        let Some(view) = self.view.try_get_untracked().flatten() else { return };
        if !self.held.try_with_value(|held| held.found).unwrap_or(true) {
            self.find(&view);
        } else if self.session.following.get_untracked() {
            view.set_scroll_top(view.scroll_height());
            // Nobody is looking: stop at the first unread message.
            if self.session.unread.get_untracked() > 0 && !looks_here() && show_mark(&view) {
                self.session.following.set(false);
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

    /// Finds the initial place: where the reader left; or the first unread message, if [`show_mark`] finds it far
    /// enough up; or the end. Waits for missing rows. `shell.rs` does the same before hydration.
    fn find(self, view: &Element) {
        view.set_scroll_top(view.scroll_height());
        if let Some((row, stood)) =
            self.session.left().and_then(|left| Some((row(view, left.row)?, left.stood)))
        {
            put(view, &row, stood);
            self.held.update_value(|held| held.found = true);
            return self.remember(view);
        }
        if self.session.older.get_untracked() == Older::Loading {
            return;
        }
        if !self.session.draws_unread() && self.session.has_older.get_untracked() && !self.has_failed() {
            return self.live.older(self.session);
        }
        show_mark(view);
        self.held.update_value(|held| held.found = true);
        self.remember(view);
    }

    fn has_failed(self) -> bool {
        self.session.older.get_untracked() == Older::Failed
    }

    fn remember(self, view: &Element) {
        let following = self.session.window_is_at_end()
            && view.scroll_height() - view.client_height() - view.scroll_top() <= NEAR;
        if self.session.following.get_untracked() != following {
            self.session.following.set(following);
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

    /// Requests more rows when the view comes near the first or last one drawn.
    fn fill(self, view: &Element) {
        let (height, room) = size(view);
        let above = view.scroll_top();
        if above < room && !self.has_failed() && self.session.has_older.get_untracked() {
            self.live.older(self.session);
        } else if height - room - above < room {
            self.live.newer(self.session);
        }
    }

    /// Marks what is in view as read; what is in a hidden tab, in a window without the focus or below the edge stays
    /// unread.
    fn see(self) {
        let found = self.held.try_with_value(|held| held.found).unwrap_or_default();
        if !found || self.session.unread.get_untracked() == 0 || !looks_here() {
            return;
        }
        if self.session.following.get_untracked() {
            return self.look();
        }
        // Further up, what is in view changes with every frame of a scroll, so this is throttled.
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
        // A reader who follows the end may be this far from it.
        let slack = if self.session.following.get_untracked() { f64::from(NEAR) } else { FRACTION };
        let rows =
            std::iter::successors(last_in_view(&view, &list, slack), Element::previous_element_sibling);
        // Skips own messages: sending one has marked what was here before as read already.
        let seen = rows.filter_map(|row| self.session.view(id(&row)?)).find_map(|view| {
            let view = view.read_untracked();
            view.row.seq.filter(|_| !self.session.is_own(&view.row))
        });
        if let Some(seq) = seen {
            self.live.seen(self.session, seq);
        }
    }

    /// Returns where the reader is, unless they follow the end.
    fn place(self) -> Option<Place> {
        let anchor = self.held.try_with_value(|held| held.anchor.as_deref().cloned()).flatten();
        let (row, stood) = anchor.filter(|_| !self.session.following.get_untracked())?;
        Some(Place { row: id(&row)?, stood })
    }
}

/// Scrolls to the unread mark if that is above the lower two thirds of the view. Returns whether it did.
fn show_mark(view: &Element) -> bool {
    let Some(mark) = view.query_selector(".unread-mark").ok().flatten() else { return false };
    let (room, above) = (f64::from(view.client_height()), below(view, &mark));
    let is_out = above < room / 3.;
    if is_out {
        put(view, &mark, room / 4.);
    }
    is_out
}

/// Scrolls an element to `stood` pixels below the upper edge of the view.
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

/// Returns how far an element is below the upper edge of the view.
fn below(view: &Element, element: &Element) -> f64 {
    element.get_bounding_client_rect().top() - view.get_bounding_client_rect().top()
}

/// Returns the first message in view. Day headings and marks come and go, so only a message can be an anchor.
fn first_in_view(view: &Element, list: &Element) -> Option<Element> {
    let edge = view.get_bounding_client_rect().top();
    let first = first_row(list, &|row| row.get_bounding_client_rect().bottom() > edge);
    let mut row = list.children().item(first);
    while let Some(other) = row.take_if(|row| !row.has_attribute("data-mid")) {
        row = other.next_element_sibling();
    }
    row
}

/// Returns the last row that is fully in view.
fn last_in_view(view: &Element, list: &Element, slack: f64) -> Option<Element> {
    let edge = view.get_bounding_client_rect().bottom() + slack;
    let below = first_row(list, &|row| row.get_bounding_client_rect().bottom() > edge);
    list.children().item(below.checked_sub(1)?)
}

/// Binary search: returns the index of the first row for which `holds` is true; it must be true for all rows after it.
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
