//! Pages that are HTML and forms, drawn on the server: they load no script and no WASM, and work in every browser.

mod about;

use leptos::prelude::*;

pub use about::{About, about};

use crate::shell::{Assets, plain_shell};

/// Draws a page's document.
fn document(assets: &Assets, title: &str, page: impl FnOnce() -> AnyView) -> String {
    Owner::new().with(|| plain_shell(assets, title, page()).to_html())
}
