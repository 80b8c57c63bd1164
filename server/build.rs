//! The release binary holds the page's files, so it is built again whenever one of them comes, goes or changes.

fn main() {
    // In debug the files are read from disk, and `cargo leptos watch` need not build the server for a stylesheet.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if is_release { "../target/site" } else { "build.rs" });
}
