//! Makes of the compiled page what a browser can load: the parts that come when they are first needed in files of their
//! own, and the JavaScript that joins them to the browser. The command line tools that do this take minutes to install
//! and are only needed for cargo-leptos; these are the libraries they are made of.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

/// The module that loads the parts, as cargo-leptos names it.
const LOADER: &str = "./__wasm_split.______________________.js";

/// Writes `NAME.js`, `NAME.wasm`, the loader and the parts (`split_PART.wasm`, and `chunk_N.wasm` for what several
/// parts share) into the folder.
pub fn make(wasm: &Path, folder: &Path, name: &str) -> ExitCode {
    match split(wasm, folder, name).and_then(|main| bind(main, folder, name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Splits off the parts. Returns the rest.
fn split(wasm: &Path, folder: &Path, name: &str) -> Result<PathBuf, String> {
    let compiled = std::fs::read(wasm).map_err(|error| format!("{}: {error}", wasm.display()))?;
    let rest = wasm.with_extension("split.wasm");
    let script = format!("./{name}.js");
    let mut options = wasm_split_cli_support::Options::new(&compiled);
    options.output_dir = folder;
    options.main_out_path = &rest;
    options.main_module = &script;
    options.link_name = LOADER;
    wasm_split_cli_support::transform(options).map_err(|error| format!("wasm-split: {error:?}"))?;
    Ok(rest)
}

/// Joins the main part to the browser.
fn bind(main: PathBuf, folder: &Path, name: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    // The parts find each other by the linker's exports. Other names are demangled, unlike by cargo-leptos: wasm-opt
    // then puts functions side by side that are alike (frontend/bin/wasm-opt), which saves a kilobyte.
    bindgen.input_path(main).keep_lld_exports(true);
    let bound = bindgen.web(true).map(|bindgen| bindgen.out_name(name).omit_default_module_path(false));
    bound.and_then(|bindgen| bindgen.generate(folder)).map_err(|error| format!("wasm-bindgen: {error:?}"))?;
    // Leptos looks for it under this name.
    let (from, to) = (folder.join(format!("{name}_bg.wasm")), folder.join(format!("{name}.wasm")));
    std::fs::rename(&from, &to).map_err(|error| format!("{}: {error}", from.display()))
}
