//! The page's files: embedded in the release binary, on disk during development.

use std::borrow::Cow;
use std::path::{Component, Path};
use std::sync::Arc;

use app::Assets;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use leptos::config::{LeptosOptions, get_configuration};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What cargo-leptos built. With `--precompress` every file is also there as `.br` and `.gz`.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../target/site"]
#[allow_missing = true]
struct Site;

/// What the page requests with `?v=`, so that a browser may cache it forever.
const VERSIONED: [&str; 3] = ["pkg/natter.css", "pkg/natter.js", "pkg/natter.wasm"];

/// The files, and the version that the page requests them with.
#[derive(Clone)]
pub(crate) struct Files {
    /// Where they are, if not where the build put them.
    folder: Option<Arc<Path>>,
    version: Arc<str>,
    /// How the page learns of changes, under `cargo leptos watch`.
    reload: Option<LeptosOptions>,
}

impl Files {
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        let hashes =
            VERSIONED.iter().filter_map(|path| file(folder, path)).map(|file| file.metadata.sha256_hash());
        // Any mix of the hashes will do, as long as it changes when a file does.
        let mixed = hashes
            .fold([0u8; 8], |mixed, hash| std::array::from_fn(|at| mixed[at].rotate_left(3) ^ hash[at]));
        let watched = std::env::var_os("LEPTOS_WATCH").is_some();
        let options = get_configuration(None).ok().map(|config| config.leptos_options);
        let folder = folder.map(Arc::from);
        Self { folder, version: hex(&mixed).into(), reload: options.filter(|_| watched) }
    }

    /// Returns what the HTML document needs to link its files.
    pub(crate) fn assets(&self) -> Assets {
        Assets { version: self.version.to_string(), reload: self.reload.clone() }
    }

    /// Returns the file at this path, if there is one, as a response.
    pub(crate) fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let path = uri.path().trim_start_matches('/');
        let plain = self.file(path)?;
        let (file, encoding) = self.smallest(path, headers).unwrap_or((plain, None));
        let etag = format!("\"{}{}\"", hex(&file.metadata.sha256_hash()[..12]), encoding.unwrap_or_default());
        let is_current = uri.query() == Some(&format!("v={}", self.version)) && !cfg!(debug_assertions);
        let keep = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mime = mime_guess::from_path(path).first_or_octet_stream();
        let mime = if mime.type_() == "text" { format!("{mime}; charset=utf-8") } else { mime.to_string() };
        let unchanged = headers.get(header::IF_NONE_MATCH).is_some_and(|known| names(known, &etag));
        let mut response = match unchanged {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => Response::new(body(match file.data {
                Cow::Borrowed(data) => Bytes::from_static(data), // straight from the binary: no copy per client
                Cow::Owned(data) => data.into(),
            })),
        };
        let answer = response.headers_mut();
        answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
        answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        answer.extend(etag.parse().ok().map(|value: HeaderValue| (header::ETAG, value)));
        answer.extend(mime.parse().ok().map(|value: HeaderValue| (header::CONTENT_TYPE, value)));
        answer.extend(encoding.map(|name| (header::CONTENT_ENCODING, HeaderValue::from_static(name))));
        Some(response)
    }

    fn file(&self, path: &str) -> Option<EmbeddedFile> {
        file(self.folder.as_deref(), path)
    }

    /// Returns the file in the best encoding that the browser accepts.
    fn smallest(&self, path: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, Option<&'static str>)> {
        let takes = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        let takes = |name: &str| {
            takes.split(',').map(str::trim).any(|item| {
                let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
                coding.trim() == name && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
            })
        };
        [("br", "br"), ("gzip", "gz")]
            .into_iter()
            .filter(|(name, _)| takes(name))
            .find_map(|(name, ending)| Some((self.file(&format!("{path}.{ending}"))?, Some(name))))
    }
}

/// Reads a file of the page.
fn file(folder: Option<&Path>, path: &str) -> Option<EmbeddedFile> {
    let Some(folder) = folder else { return Site::get(path) };
    let stays_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    stays_inside.then(|| rust_embed::utils::read_file_from_fs(&folder.join(path)).ok())?
}

/// Whether an `If-None-Match` names this tag (RFC 9110 13.1.2).
fn names(known: &HeaderValue, etag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    known == "*" || known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Body::from(bytes.into())
}
