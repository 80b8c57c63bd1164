//! `docs/PROTOCOL.md` names a test for every line of the seed. This checks that they exist.

use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether a test of this name exists: `file::function` here, `file.spec.ts: title` in `end2end/tests`.
fn exists(name: &str) -> bool {
    match (name.split_once("::"), name.split_once(": ")) {
        (Some((file, function)), _) => {
            read(&format!("server/tests/api/{file}.rs")).contains(&format!("\nasync fn {function}()"))
        }
        (None, Some((file, title))) => read(&format!("end2end/tests/{file}")).contains(title),
        (None, None) => false,
    }
}

#[test]
fn every_line_of_the_seed_names_a_test_and_every_test_named_is_there() {
    let papers = read("docs/PROTOCOL.md");
    let table = papers.split("| The sketch says |").nth(1).expect("the table");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 20, "{} rows", rows.len());
    for row in rows {
        let shown_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            assert!(exists(name), "there is no test {name}: {row}");
        }
    }
}
