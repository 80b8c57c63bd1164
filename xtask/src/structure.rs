//! The structure of a crate: which file imports which, and how long files and functions are. Tests do not count.
//!
//! An import is a `use`, or a path in the code, that leads to an item of another file of the same crate. `pub use` is
//! none: who imports through it imports from where the item is. Macros are searched for paths too.

mod graph;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use graph::Graph;
use source::Source;

/// The longest function and file, in lines. CONTRIBUTING asks for less; beyond this it has two jobs.
const LONGEST_FUNCTION: usize = 60;
const LONGEST_FILE: usize = 400;

/// What the files of a folder must not name, because it is decided elsewhere.
pub struct Boundary {
    /// The folder, such as `store` for `store.rs` and all in `store/`.
    pub folder: &'static str,
    /// The names.
    pub names: &'static [&'static str],
}

/// A module's path from the crate's root: `["store", "writer"]`.
type Name = Vec<String>;

/// The sources of a crate.
pub struct Crate {
    sources: BTreeMap<Name, Source>,
}

impl Crate {
    /// Reads the crate whose sources are in this folder.
    ///
    /// # Errors
    /// A file cannot be read or is not Rust.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut sources = BTreeMap::new();
        for file in files(folder)? {
            let path = file.strip_prefix(folder).expect("in the folder").with_extension("");
            let name: Name = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let name = if name == ["lib"] || name == ["main"] { Name::new() } else { name };
            let text = fs::read_to_string(&file)?;
            let source = Source::parse(&name, &text)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
            sources.insert(name, source);
        }
        let tests: Vec<Name> = sources.values().flat_map(|source| source.tests.clone()).collect();
        sources.retain(|name, _| !tests.iter().any(|test| name.starts_with(test)));
        Ok(Self { sources })
    }

    /// Returns what is wrong with it, a sentence each.
    pub fn faults(&self, boundaries: &[Boundary]) -> Vec<String> {
        let mut faults = Vec::new();
        for circle in Graph::of(&self.sources).circles() {
            let links: Vec<String> = circle
                .iter()
                .map(|(from, to, item)| format!("\n    {from} imports {item} from {to}"))
                .collect();
            faults.push(format!("files import one another in a circle:{}", links.concat()));
        }
        for (name, source) in &self.sources {
            let shown = shown(name);
            let here =
                boundaries.iter().filter(|boundary| name.first().is_some_and(|in_| in_ == boundary.folder));
            let strange =
                here.flat_map(|boundary| boundary.names).filter(|word| source.names.contains(**word));
            faults.extend(strange.map(|word| format!("{shown} names {word}, of which it must not know")));
            if source.lines > LONGEST_FILE {
                faults.push(format!("{shown} has {} lines, of at most {LONGEST_FILE}", source.lines));
            }
            for (function, lines) in source.functions.iter().filter(|(_, lines)| *lines > LONGEST_FUNCTION) {
                faults.push(format!("{shown}: {function} has {lines} lines, of at most {LONGEST_FUNCTION}"));
            }
        }
        faults
    }
}

/// Returns a module's file, for people.
fn shown(name: &[String]) -> String {
    if name.is_empty() { "lib.rs".to_owned() } else { format!("{}.rs", name.join("/")) }
}

/// Returns all Rust files in a folder and below, but for the programs, which are crates of their own.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "bin") {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: Boundary = Boundary { folder: "store", names: &["Frame"] };

    /// Returns the faults of a crate with these files.
    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Crate::read(folder.path()).unwrap().faults(&[STORE])
    }

    #[test]
    fn a_circle_is_found_however_the_files_import_one_another() {
        for back in [
            "use crate::one::One; pub struct Two(One);",
            "use super::one::{self}; pub struct Two(one::One);",
            "pub struct Two(crate::one::One);",
            "use crate::One; pub struct Two(One);",
            "use crate::{other as o, one as first}; pub struct Two(first::One);",
            "pub fn two() { println!(\"{}\", crate::one::one()) }",
        ] {
            let found = faults(&[
                ("lib.rs", "mod one; mod two; mod other; pub use one::One;"),
                ("one.rs", "use crate::two::Two; pub struct One(Box<Two>); pub fn one() -> u8 { 1 }"),
                ("two.rs", back),
                ("other.rs", ""),
            ]);
            assert_eq!(found.len(), 1, "{back}: {found:?}");
            assert!(found[0].contains("one.rs") && found[0].contains("two.rs"), "{found:?}");
        }
    }

    #[test]
    fn what_is_declared_passed_on_or_only_tested_is_no_import() {
        let found = faults(&[
            ("lib.rs", "mod one; pub mod two; pub use one::One; pub struct Chat;"),
            ("one.rs", "mod part; pub use part::Part; pub struct One(super::two::Two);"),
            ("one/part.rs", "use super::One; pub struct Part(pub(in crate::one) One, std::fmt::Error);"),
            ("two.rs", "pub struct Two; #[cfg(test)] mod tests { use super::*; use crate::one::One; }"),
            ("three.rs", "use crate::Chat; #[cfg(all(test, unix))] mod tests; impl Chat { pub fn x() {} }"),
            ("three/tests.rs", "use crate::three; fn f() { three::x() }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_a_folder_must_not_know_is_found_wherever_it_is_named() {
        for inside in ["use crate::wire::Frame;", "fn f(_: crate::Frame) {}", "fn f() { dbg!(Frame::new()) }"]
        {
            let found =
                faults(&[("lib.rs", "mod store;"), ("store.rs", "mod rows;"), ("store/rows.rs", inside)]);
            assert_eq!(found, ["store/rows.rs names Frame, of which it must not know"], "{inside}");
            assert_eq!(faults(&[("lib.rs", "mod live;"), ("live.rs", inside)]), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_too_long_is_named_and_tests_may_be_longer() {
        let body = "    let _ = 1;\n".repeat(LONGEST_FUNCTION);
        let long = format!("fn long() {{\n{body}}}\n");
        let found = faults(&[("lib.rs", &long)]);
        assert_eq!(found, [format!("lib.rs: long has 62 lines, of at most {LONGEST_FUNCTION}")]);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", long.repeat(9));
        assert_eq!(faults(&[("lib.rs", &tests)]), Vec::<String>::new());
        let file = "fn short() {}\n".repeat(LONGEST_FILE + 1);
        assert_eq!(faults(&[("lib.rs", &file)]), ["lib.rs has 401 lines, of at most 400"]);
    }
}
