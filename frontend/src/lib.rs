//! The browser's entry points, one for each part of the code that begins a page. The script in the page (`app::shell`)
//! calls the one that the server names.

// The type of the whole page nests as deep as the page. Only a release build computes its layout.
#![recursion_limit = "256"]

use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;

/// Hydrates the chat, and marks `<body>` as hydrated.
#[wasm_bindgen]
pub fn hydrate() {
    say_why_it_panics();
    app::hydrate();
    mark();
}

/// Does the same for the welcome, sign-in and registration, whose code it loads first. Calls `missing` if that cannot be
/// loaded. (Not by returning a promise, which takes a kilobyte more.)
#[wasm_bindgen]
pub fn hydrate_doors(missing: Function) {
    say_why_it_panics();
    spawn_local(async move {
        match app::hydrate_doors().await {
            Ok(()) => mark(),
            Err(_) => _ = missing.call0(&JsValue::UNDEFINED),
        }
    });
}

fn say_why_it_panics() {
    #[cfg(debug_assertions)]
    console_error_panic_hook::set_once();
}

fn mark() {
    let body = leptos::prelude::document().body().expect("this document has a body");
    // Cannot fail: the name is a valid one.
    let _ = body.dataset().set("hydrated", "");
}
