//! The server with an additional echo socket at /echo, which `make autobahn` tests. Never in a release.

use clap::Parser;

fn main() -> Result<(), server::Error> {
    server::more_descriptors();
    tokio::runtime::Runtime::new()?.block_on(server::run(server::cli::Cli::parse().serve))
}
