//! The parts of the page's code in the browser, and how a page begins with the one that draws it. The chat is the main
//! part, which every page loads; the doors are a part of their own, so the chat does not carry them.
//!
//! What is split off is what a function reaches that is marked with `wasm_split` and nothing else does. Without the
//! feature `split`, as under `cargo leptos watch`, everything is in one file. A failed load is an error here and can be
//! tried again; Leptos' own `#[lazy]` would end the page.

use leptos::mount::hydrate_body;
use leptos::wasm_split::SplitLoaderError;

use crate::boot::{ChatBoot, DoorsBoot};
use crate::{around, chat, doors};

/// Hydrates what the main part draws.
pub fn hydrate() {
    hydrate_body(|| {
        let (page, live) = chat(ChatBoot::shared());
        around(page, live)
    });
}

/// Loads the doors' part and hydrates what it draws.
///
/// # Errors
/// The part cannot be loaded: the connection failed, or the server has another version by now.
pub async fn hydrate_doors() -> Result<(), SplitLoaderError> {
    let hydrated = begin_doors();
    #[cfg(not(feature = "split"))]
    let hydrated = std::future::ready(hydrated);
    hydrated.await
}

#[cfg_attr(
    feature = "split",
    leptos::wasm_split::wasm_split(doors, wasm_split_path = ::leptos::wasm_split, fallible)
)]
#[cfg_attr(
    not(feature = "split"),
    expect(clippy::unnecessary_wraps, reason = "a part of its own may not load")
)]
fn begin_doors() -> Result<(), SplitLoaderError> {
    hydrate_body(|| around(doors(DoorsBoot::shared()), None));
    Ok(())
}
