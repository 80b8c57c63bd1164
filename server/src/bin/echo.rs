//! The server with an echo beside its socket, at /echo: what `make autobahn` tests. Never a release.

use clap::Parser;

fn main() -> Result<(), server::Error> {
    server::more_descriptors();
    tokio::runtime::Runtime::new()?.block_on(server::run(server::cli::Cli::parse().serve))
}
