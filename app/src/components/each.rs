//! Keyed lists: a row stays as long as its key does.

use std::sync::Arc;

use leptos::prelude::*;
use protocol::Uuid;

use crate::whole::IntoWhole;

type Names = Box<dyn Fn() -> Vec<Uuid> + Send + Sync>;
type Row = Arc<dyn Fn(Uuid) -> AnyView + Send + Sync>;

/// Renders a row for each name, in order, and creates, moves and removes rows with their names. `names` is tracked,
/// `row` is not.
///
/// Every list is made here: Leptos' `For` compiles its diffing into the WASM for each type that it is used with, 1 to 2
/// KB each time.
pub(crate) fn each(
    names: impl Fn() -> Vec<Uuid> + Send + Sync + 'static,
    row: impl Fn(Uuid) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    list(Box::new(names), Arc::new(row))
}

fn list(names: Names, row: Row) -> AnyView {
    view! { <For each=names key=|name| *name children=move |name| untrack(|| row(name)) /> }.whole()
}
