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

/// The folder of what the build made. In the page's URLs a segment that names the build follows it: then a browser may
/// cache the files forever, and never loads one build's part into another, which would be memory corruption.
const PKG: &str = "pkg/";

/// The files, and the build that they are from.
#[derive(Clone)]
pub(crate) struct Files {
    /// Where they are, if not where the build put them.
    folder: Option<Arc<Path>>,
    /// The build, in the page's URLs.
    version: Arc<str>,
    /// What the page's script imports.
    imports: Arc<[String]>,
    /// How the page learns of changes, under `cargo leptos watch`.
    reload: Option<LeptosOptions>,
}

impl Files {
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        let mut built = built(folder);
        built.sort_unstable();
        // The script that loads the parts names them in any order: it may differ between two builds that are the same.
        let is_import = |name: &&String| name.starts_with("__wasm_split") && name.ends_with(".js");
        let (imports, code): (Vec<_>, Vec<_>) = built.iter().partition(|name| is_import(name));
        let code = code.into_iter().filter(|name| {
            Path::new(name).extension().is_some_and(|kind| kind == "css" || kind == "js" || kind == "wasm")
        });
        let hashes = code.filter_map(|name| file(folder, &format!("{PKG}{name}")));
        // Any mix of the hashes will do, as long as it changes when a file does.
        let mixed = hashes.fold([0u8; 8], |mixed, file| {
            let hash = file.metadata.sha256_hash();
            std::array::from_fn(|at| mixed[at].rotate_left(3) ^ hash[at])
        });
        let watched = std::env::var_os("LEPTOS_WATCH").is_some();
        let options = get_configuration(None).ok().map(|config| config.leptos_options);
        let imports = imports.into_iter().cloned().collect();
        let folder = folder.map(Arc::from);
        Self { folder, version: hex(&mixed).into(), imports, reload: options.filter(|_| watched) }
    }

    /// Returns what the HTML document needs to link its files. Under `cargo leptos watch` they have no version, because
    /// its script looks for the stylesheet by its plain address.
    pub(crate) fn assets(&self) -> Assets {
        let folder = match &self.reload {
            Some(_) => "/pkg".to_owned(),
            None => format!("/pkg/{}", self.version),
        };
        Assets { folder, imports: self.imports.to_vec(), reload: self.reload.clone() }
    }

    /// Returns the file at this path, if there is one, as a response.
    pub(crate) fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let path = uri.path().trim_start_matches('/');
        // Of another build there is nothing.
        let current =
            path.strip_prefix(PKG).and_then(|rest| rest.strip_prefix(&*self.version)?.strip_prefix('/'));
        let (path, is_current) = match current {
            Some(name) => (&*format!("{PKG}{name}"), !cfg!(debug_assertions)),
            None => (path, false),
        };
        let plain = self.file(path)?;
        let (file, encoding) = self.smallest(path, headers).unwrap_or((plain, None));
        let etag = format!("\"{}{}\"", hex(&file.metadata.sha256_hash()[..12]), encoding.unwrap_or_default());
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

/// Names what the build made.
fn built(folder: Option<&Path>) -> Vec<String> {
    let Some(folder) = folder else {
        return Site::iter().filter_map(|path| Some(path.strip_prefix(PKG)?.to_owned())).collect();
    };
    let entries = std::fs::read_dir(folder.join(PKG)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
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
