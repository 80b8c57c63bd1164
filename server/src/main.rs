//! The `natter` program: reads the settings, opens the chat and serves until a signal stops it.

use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;
use server::cli::{Cli, Command};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    // Everything this process creates, anywhere, is private to its user.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    give_memory_back();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    server::telemetry::start(cli.log_format);
    if cli.command.is_none() {
        server::more_descriptors(); // while there is only one thread
    }
    match Runtime::new().map_err(server::Error::from).and_then(|runtime| runtime.block_on(run(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("natter: {error}");
            if error.is_a_wrong_setting() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn run(Cli { command, serve, .. }: Cli) -> Result<(), server::Error> {
    match command {
        None => server::run(serve).await,
        Some(Command::Password { name }) => server::set_password(&serve.data, &name).await,
        Some(Command::Backup { file }) => server::backup(&serve.data, &file).await,
        Some(Command::Restore { file }) => server::restore(&serve.data, &file).await,
    }
}

/// Makes glibc return large blocks to the system as soon as they are freed. By default a freed block raises its mmap
/// threshold, so it keeps blocks of that size: after five logins, each of which hashes in 19 MiB, the process held
/// 112 MB (mallopt(3), `M_MMAP_THRESHOLD`).
fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: i32 = 1024 * 1024;
        #[expect(unsafe_code, reason = "nobody has wrapped it")]
        // SAFETY: it takes two numbers and changes an allocator setting, under the allocator's own lock.
        let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
        debug_assert_eq!(done, 1, "mallopt knows this setting");
    }
}

/// Prints help as it is; reports a wrong setting in one sentence, with exit code 2.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let what: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let what = what.join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    eprintln!("natter: {what}. `natter --help` lists every setting.");
    ExitCode::from(2)
}
