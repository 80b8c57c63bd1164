//! The release binary holds the page's files, so it is built again whenever one of them comes, goes or changes.

const SITE: &str = "../target/site";

fn main() {
    // A debug binary remembers where the folder is only if it is there when it is built.
    std::fs::create_dir_all(SITE).expect("the target folder can be written");
    // In debug the files are read from disk, and `cargo leptos watch` need not build the server for a stylesheet.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if is_release { SITE } else { "build.rs" });
}
