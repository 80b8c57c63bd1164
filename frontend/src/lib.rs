//! Where the browser enters the page: [`hydrate`] and nothing else.

// The type of the whole page is as deep as the page. A release computes its layout (a debug build stops earlier).
#![recursion_limit = "256"]

use wasm_bindgen::prelude::wasm_bindgen;

/// Brings the page that the server drew to life, and says so on `<body>`.
#[wasm_bindgen]
pub fn hydrate() {
    #[cfg(debug_assertions)]
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_body(app::App);
    let body = leptos::prelude::document().body().expect("this document has a body");
    // Cannot fail: the name is a valid one.
    let _ = body.dataset().set("hydrated", "");
}
