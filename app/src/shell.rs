//! The document around [`App`], rendered by the server only.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

use crate::App;
use crate::boot::Boot;

/// Where the page's files are, for this build.
#[derive(Debug, Clone)]
pub struct Assets {
    /// A hash of their content: with it in the URL they may be cached forever.
    pub version: String,
    /// Reloads the page when its sources change: only under `cargo leptos watch`.
    pub reload: Option<LeptosOptions>,
}

/// Reports when the page cannot start or has crashed, and lets it fall back to what works without scripts: reading,
/// links and forms. Written in JavaScript that every browser understands, because it is for old ones.
const WATCHDOG: &str = r#"
document.documentElement.className = "";
var began, tell = function (words) {
  if (document.readyState === "loading") return void addEventListener("DOMContentLoaded", function () { tell(words); });
  if (document.querySelector(".watchdog")) return;
  var bar = document.createElement("div");
  bar.className = "watchdog";
  bar.setAttribute("role", "alert");
  bar.innerHTML = '<p></p><a class="button small" href="">Reload</a><button class="dismiss" aria-label="Dismiss">×</button>';
  bar.firstChild.textContent = words;
  bar.lastChild.onclick = function () { document.body.removeChild(bar); };
  document.body.appendChild(bar);
}, stopped = function (why) {
  if (document.body && document.body.hasAttribute("data-hydrated")) return tell("Something went wrong on this page.");
  tell("This page could not start" + why + ". You can still read here, and sign in and out.");
  document.documentElement.className = "plain";
  // What listens by now must not answer in the place of links and forms.
  ["click", "submit"].forEach(function (kind) {
    addEventListener(kind, function (event) {
      if (!event.target.closest(".watchdog")) event.stopImmediatePropagation();
    }, true);
  });
}, trapped = function (event) {
  var error = event.error || event.reason;
  if (self.WebAssembly && error instanceof WebAssembly.RuntimeError) stopped("");
  if (event.target.rel === "stylesheet") tell("A part of this page did not arrive.");
};
addEventListener("error", trapped, true);
addEventListener("unhandledrejection", trapped);
addEventListener("DOMContentLoaded", function () {
  if (!began || !self.WebAssembly) stopped(": this browser is too old for it, or has WebAssembly switched off");
});
"#;

/// Loads the page's code and starts it. Unlike Leptos' `HydrationScripts` it puts the version into the URLs and tells
/// the reader when it fails: in a release a failed hydration is a bare trap, and a trap at any time leaves a page that
/// looks alive but is not. It has no timeout: a slow download goes on as long as bytes arrive.
const START: &str = r#"
began = true;
if (self.WebAssembly)
  import("/pkg/natter.js?v=VERSION")
    .then(page => page.default({ module_or_path: "/pkg/natter.wasm?v=VERSION" }).then(page.hydrate))
    .catch(error => {
      stopped(error instanceof WebAssembly.RuntimeError ? "" : ": a part of it did not arrive, or this browser is too old for it");
      throw error;
    });
"#;

/// Scrolls to the end of the conversation, or to the first unread message, before the first paint, as
/// `components/scroll.rs` does after hydration. Without scripts the style sheet shows the end.
const PLACE: &str = r#"{
  const view = document.querySelector(".messages");
  if (view) {
    view.scrollTop = view.scrollHeight;
    const mark = view.querySelector(".unread-mark");
    const above = mark && mark.getBoundingClientRect().top - view.getBoundingClientRect().top;
    if (mark && above < view.clientHeight / 3) view.scrollTop += above - view.clientHeight / 4;
  }
}"#;

/// Renders the HTML document.
pub fn shell(assets: Assets) -> impl IntoView {
    let Assets { version, reload } = assets;
    let nonce = use_nonce();
    let file = |name: &str| format!("/pkg/natter.{name}?v={version}");
    let start = START.replace("VERSION", &version);
    view! {
        <!DOCTYPE html>
        // Plain until a script proves that scripts run.
        <html lang="en" class="plain">
            <head>
                <meta charset="utf-8" />
                <title>{Boot::of_request().title()}</title>
                <meta
                    name="viewport"
                    content="width=device-width, initial-scale=1, interactive-widget=resizes-content"
                />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" content="#f7f4ee" media="(prefers-color-scheme: light)" />
                <meta name="theme-color" content="#171512" media="(prefers-color-scheme: dark)" />
                <meta name="description" content="A private chat with the people you choose." />
                <script nonce=nonce.clone()>{WATCHDOG}</script>
                <link rel="stylesheet" href=file("css") />
                <link rel="modulepreload" href=file("js") nonce=nonce.clone() />
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
