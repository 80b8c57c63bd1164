//! Serves the bare durable relay, the floor of the load test: see `trials::relay`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The bare durable relay: the least that a chat server can cost. No accounts, no rights: for measurements only.
#[derive(Debug, Parser)]
#[command(name = "relay", version)]
struct Cli {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Folder for its database; it must exist.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Cli { listen, data } = Cli::parse();
    let served = async {
        let _ = trials::process::raise_open_files(); // a lower limit shows up where it is hit
        let listener = tokio::net::TcpListener::bind(listen).await?;
        println!("The relay is listening on http://{}", listener.local_addr()?);
        trials::relay::serve(listener, &data).await
    };
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The relay cannot serve: {error}");
            ExitCode::FAILURE
        }
    }
}
