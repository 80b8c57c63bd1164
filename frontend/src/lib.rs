//! The browser's entry point: [`hydrate`] and nothing else.

// The type of the whole page nests as deep as the page. Only a release build computes its layout.
#![recursion_limit = "256"]

use wasm_bindgen::prelude::wasm_bindgen;

/// Hydrates the page that the server rendered, and marks `<body>` as hydrated.
#[wasm_bindgen]
pub fn hydrate() {
    #[cfg(debug_assertions)]
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
    let body = leptos::prelude::document().body().expect("this document has a body");
    // Cannot fail: the name is a valid one.
    let _ = body.dataset().set("hydrated", "");
}
