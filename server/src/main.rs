//! The `natter` program: read the settings, open the chat, serve until told to stop.

use std::process::ExitCode;

use clap::Parser;
use server::cli::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse(); // a wrong setting ends here, with one sentence and exit code 2
    server::telemetry::start(cli.log_format);
    let done = match cli.command {
        None => server::run(cli.serve).await,
        Some(Command::Password { name }) => server::set_password(&cli.serve.data, &name).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("natter: {error}");
            ExitCode::FAILURE
        }
    }
}
