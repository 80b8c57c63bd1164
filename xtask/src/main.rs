//! Natter's own tasks, run by the Makefile.

use std::path::Path;
use std::process::ExitCode;

#[cfg(feature = "page")]
mod page;
mod structure;

use structure::{Boundary, Crate};

/// The crates whose structure is checked.
const CRATES: [&str; 3] = ["chat", "server", "trials"];

/// The store knows rows. Who may do what, and what people and sockets are told, is decided by the domain.
const BOUNDARIES: [Boundary; 1] = [Boundary {
    folder: "store",
    names: &["Chat", "Code", "ConnId", "Fault", "Hub", "SearchNotice", "ServerFrame", "refused"],
}];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["structure"] => check_structure(),
        #[cfg(feature = "page")]
        ["page", wasm, folder, name] => page::make(Path::new(wasm), Path::new(folder), name),
        _ => {
            eprintln!(
                "cargo run -p xtask -- structure: looks for circles of imports, and for what has grown too long"
            );
            ExitCode::from(2)
        }
    }
}

fn check_structure() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
    let mut faults = Vec::new();
    for name in CRATES {
        match Crate::read(&root.join(name).join("src")) {
            Ok(found) => {
                faults.extend(found.faults(&BOUNDARIES).into_iter().map(|fault| format!("{name}: {fault}")))
            }
            Err(error) => faults.push(format!("{name}: {error}")),
        }
    }
    if faults.is_empty() {
        println!("No circle of imports in {}, and nothing there is too long.", CRATES.join(", "));
        return ExitCode::SUCCESS;
    }
    faults.iter().for_each(|fault| eprintln!("{fault}"));
    ExitCode::FAILURE
}
