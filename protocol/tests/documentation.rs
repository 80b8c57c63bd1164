//! `docs/PROTOCOL.md` shows the real wire format: every golden file appears in it as an example.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Returns every JSON value in the document's `json` blocks.
fn examples(document: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = document;
    while let Some((_, block)) = rest.split_once("```json\n") {
        let (block, after) = block.split_once("```").expect("a block that begins also ends");
        for value in serde_json::Deserializer::from_str(block).into_iter() {
            values.push(value.unwrap_or_else(|error| panic!("{error} in this example:\n{block}")));
        }
        rest = after;
    }
    values
}

#[test]
fn every_golden_file_is_an_example_and_every_example_a_golden_file() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(here.join("../docs/PROTOCOL.md")).unwrap();
    let shown = examples(&document);
    let mut golden = Vec::new();
    for file in fs::read_dir(here.join("tests/wire")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name == "codes.json" {
            continue;
        }
        let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(shown.contains(&value), "docs/PROTOCOL.md does not show {name}");
        golden.push(value);
    }
    for value in shown {
        assert!(golden.contains(&value), "docs/PROTOCOL.md shows what no golden file holds: {value}");
    }
}

#[test]
fn every_code_is_documented_with_its_status_and_sentence() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(here.join("../docs/PROTOCOL.md")).unwrap();
    for code in protocol::Code::ALL {
        let line = format!("| `{}` | {} | {} |", code.name(), code.status(), code.reason());
        assert!(document.contains(&line), "docs/PROTOCOL.md lacks: {line}");
    }
}
