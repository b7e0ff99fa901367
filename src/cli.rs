//! The commands, one file each.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Errors go to standard error and say
//! what to do next. To add a command: a file, a variant of `Command`, its arm in `run`.

mod dev;
mod doctor;
mod events;
mod healthcheck;
mod iam;
mod import;
mod migrate;
mod openapi;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{app::StartError, config::ConfigError};

/// Keeps every organization's third-party API keys apart, in AWS Secrets Manager, behind one REST API.
#[derive(Debug, Parser)]
#[command(name = "keybroker", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Serve(serve::Serve),
    Migrate(migrate::Migrate),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Iam(iam::Iam),
    Doctor(doctor::Doctor),
    Import(import::Import),
    #[command(subcommand)]
    Events(events::Events),
    Openapi(openapi::OpenApi),
    Healthcheck(healthcheck::Healthcheck),
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Wrong usage or configuration: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Anything else: exit code 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(text) => Self::Usage(text),
            StartError::Failed(text) => Self::Failed(anyhow::Error::msg(text)),
        }
    }
}

/// Parses the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    // Ends the process itself, with code 2, where the command line is not understood.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                eprintln!("keybroker: {line}");
            }
            match failure {
                Failure::Usage(_) => ExitCode::from(2),
                Failure::Failed(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Openapi(command) => return command.run(),
        Command::Iam(command) => return command.run(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(anyhow::Error::from)?;
    runtime.block_on(async {
        match command {
            Command::Dev(command) => command.run().await,
            Command::Serve(command) => command.run().await,
            Command::Migrate(command) => command.run().await,
            Command::Token(command) => command.run().await,
            Command::Doctor(command) => command.run().await,
            Command::Import(command) => command.run().await,
            Command::Events(command) => command.run().await,
            Command::Healthcheck(command) => command.run().await,
            Command::Openapi(command) => command.run(),
            Command::Iam(command) => command.run(),
        }
    })
}

/// Prints what a service says of itself. If nobody reads it any more, the service goes on.
fn announce(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Until Ctrl-C, or the signal with which a supervisor ends a process.
async fn until_told_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
