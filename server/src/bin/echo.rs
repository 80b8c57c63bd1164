//! The server with an echo beside its socket, at /echo: what `make autobahn` tests. Never a release.

use clap::Parser;

#[tokio::main]
async fn main() -> Result<(), server::Error> {
    server::run(server::cli::Cli::parse().serve).await
}
