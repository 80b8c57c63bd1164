//! The release binary embeds the page's files, so it is rebuilt whenever one of them is added, removed or changed.

const SITE: &str = "../target/site";

fn main() {
    // A debug binary remembers the folder's path only if the folder exists at build time.
    std::fs::create_dir_all(SITE).expect("the target folder can be written");
    // In debug the files are read from disk, and `cargo leptos watch` need not build the server for a stylesheet.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if is_release { SITE } else { "build.rs" });
}
