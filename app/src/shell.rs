//! The document around [`App`], rendered by the server only.

use leptos::nonce::use_nonce;
use leptos::prelude::*;

use crate::App;
use crate::boot::{Boot, Part};

/// Where the page's files are, for this build.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The folder in the URL. It names the build, so its files may be cached forever, and those of two builds never meet.
    pub folder: String,
    /// Scripts that the page's own script imports.
    pub imports: Vec<String>,
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

/// Requests the WASM as early as possible. WebKit's `fetch` ignores what a `<link rel="preload">` has loaded and would
/// load it twice, so the page's script takes this very answer. A failure is reported there.
const FETCH: &str = r#"
var wasm = self.WebAssembly && self.fetch && fetch("FOLDER/natter.wasm");
if (wasm) wasm.catch(function () {});
"#;

/// Starts the page with the part of its code that draws it. Unlike Leptos' `HydrationScripts` it tells the reader when
/// it fails: in a release a failed hydration is a bare trap, and a trap at any time leaves a page that looks alive but is
/// not. It has no timeout: a slow download goes on as long as bytes arrive.
const START: &str = r#"
began = true;
const missing = () => stopped(": a part of it did not arrive, or this browser is too old for it");
if (wasm)
  import("FOLDER/natter.js")
    .then(page => page.default({ module_or_path: wasm }).then(() => page.HYDRATE(missing)))
    .catch(error => {
      error instanceof WebAssembly.RuntimeError ? stopped("") : missing();
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
    let Assets { folder, imports, reload } = assets;
    let nonce = use_nonce();
    let boot = Boot::of_request();
    let file = |name: &str| format!("{folder}/{name}");
    let hydrate = match boot.part() {
        Part::Chat => "hydrate",
        Part::Doors => "hydrate_doors",
    };
    let first = slim(&[WATCHDOG, &FETCH.replace("FOLDER", &folder)].concat());
    let start = slim(&START.replace("FOLDER", &folder).replace("HYDRATE", hydrate));
    let scripts = std::iter::once("natter.js").chain(imports.iter().map(String::as_str)).map(file);
    let scripts =
        scripts.map(|script| view! { <link rel="modulepreload" href=script nonce=nonce.clone() /> });
    let head = view! {
        // Before the stylesheet, which scripts after it would wait for.
        <script nonce=nonce.clone()>{first}</script>
        <link rel="stylesheet" href=file("natter.css") />
        {scripts.collect_view()}
        {reload.map(|options| view! { <AutoReload options /> })}
        <script type="module" nonce=nonce.clone()>
            {start}
        </script>
    };
    let body = view! {
        <App />
        <script nonce=nonce>{slim(PLACE)}</script>
    };
    document(boot.title(), head, body)
}

/// Returns a script without its indentation and comments, which browsers need not load.
fn slim(script: &str) -> String {
    let lines =
        script.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Renders the HTML document of a page without scripts.
pub(crate) fn plain_shell(assets: &Assets, title: &str, page: AnyView) -> impl IntoView {
    let style = format!("{}/natter.css", assets.folder);
    document(crate::title(title, 0), view! { <link rel="stylesheet" href=style /> }, page)
}

/// What every document has.
fn document(title: String, head: impl IntoView, body: impl IntoView) -> impl IntoView {
    view! {
        <!DOCTYPE html>
        // Plain until a script proves that scripts run.
        <html lang="en" class="plain">
            <head>
                <meta charset="utf-8" />
                <title>{title}</title>
                <meta
                    name="viewport"
                    content="width=device-width, initial-scale=1, interactive-widget=resizes-content"
                />
                <meta name="color-scheme" content="light dark" />
                <meta name="theme-color" content="#f7f4ee" media="(prefers-color-scheme: light)" />
                <meta name="theme-color" content="#171512" media="(prefers-color-scheme: dark)" />
                <meta name="description" content="A private chat with the people you choose." />
                <link rel="icon" href="/favicon.svg" r#type="image/svg+xml" />
                <link rel="manifest" href="/manifest.webmanifest" />
                {head}
            </head>
            <body>{body}</body>
        </html>
    }
}
