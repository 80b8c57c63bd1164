//! The document around [`App`], drawn by the server only.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

use crate::boot::Boot;
use crate::{App, title};

/// Where the page's files are, for this build.
#[derive(Debug, Clone)]
pub struct Assets {
    /// A hash of their content: with it in their address they may be kept for ever.
    pub version: String,
    /// Reloads the page when its sources change: only in `cargo leptos watch`.
    pub reload: Option<LeptosOptions>,
}

/// Loads the page's code and starts it, in place of Leptos' `HydrationScripts`: with the version in the addresses, and
/// with a word to the reader when it fails. In a release a failed hydration is a bare trap, and a trap at any time
/// leaves a page that looks alive and is not.
const START: &str = r#"
const failed = error => {
  if (!document.querySelector(".watchdog")) {
    const bar = document.createElement("div");
    bar.className = "watchdog";
    bar.setAttribute("role", "alert");
    bar.textContent = document.body.hasAttribute("data-hydrated")
      ? "Something went wrong on this page. " : "This page could not start. ";
    const button = document.createElement("button");
    button.textContent = "Reload";
    button.onclick = () => location.reload();
    bar.append(button);
    document.body.append(bar);
  }
  throw error;
};
const trapped = event => {
  const error = event.error || event.reason;
  if (error instanceof WebAssembly.RuntimeError) failed(error);
};
addEventListener("error", trapped);
addEventListener("unhandledrejection", trapped);
import("/pkg/natter.js?v=VERSION")
  .then(page => page.default({ module_or_path: "/pkg/natter.wasm?v=VERSION" }).then(page.hydrate))
  .catch(failed);
"#;

/// Shows the end of the conversation, or where the unread begin, from the first paint on: as
/// `components/scroll.rs` does once the page lives. Without scripts the style sheet shows the end.
const PLACE: &str = r#"{
  const view = document.querySelector(".messages");
  if (view) {
    view.scrollTop = view.scrollHeight;
    const mark = view.querySelector(".unread-mark");
    const above = mark && mark.getBoundingClientRect().top - view.getBoundingClientRect().top;
    if (mark && above < view.clientHeight / 3) view.scrollTop += above - view.clientHeight / 4;
  }
}"#;

/// The HTML document.
pub fn shell(assets: Assets) -> impl IntoView {
    let Assets { version, reload } = assets;
    let nonce = use_nonce();
    let file = |name: &str| format!("/pkg/natter.{name}?v={version}");
    let start = START.replace("VERSION", &version);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <title>{title(Boot::of_request().unread())}</title>
                <meta
                    name="viewport"
                    content="width=device-width, initial-scale=1, interactive-widget=resizes-content"
                />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" content="#f7f4ee" media="(prefers-color-scheme: light)" />
                <meta name="theme-color" content="#171512" media="(prefers-color-scheme: dark)" />
                <meta name="description" content="A private chat with the people you choose." />
                <link rel="stylesheet" href=file("css") />
                <link rel="modulepreload" href=file("js") />
                <link
                    rel="preload"
                    r#as="fetch"
                    r#type="application/wasm"
                    crossorigin="anonymous"
                    href=file("wasm")
                />
                <link rel="icon" href="/favicon.svg" r#type="image/svg+xml" />
                <link rel="manifest" href="/manifest.webmanifest" />
                {reload.map(|options| view! { <AutoReload options /> })}
                <script type="module" nonce=nonce.clone()>
                    {start}
                </script>
            </head>
            <body>
                <App />
                <script nonce=nonce>{PLACE}</script>
            </body>
        </html>
    }
}
