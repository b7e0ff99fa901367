//! `keybroker serve`

use clap::{Args, CommandFactory};

use super::{Cli, Failure, announce, until_told_to_stop};
use crate::{app::App, config::ServeFlags, telemetry};

/// Serve, in production: settings come from the environment; refuses to start half-configured.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    flags: Box<ServeFlags>,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let log = &self.flags.log;
        telemetry::start_logging(&log.log, log.log_format)
            .map_err(|e| Failure::Usage(format!("KEYBROKER_LOG is not a filter: {e}")))?;
        warn_of_unknown_settings();
        let app = App::start(self.flags.settings()?).await?;
        announce(&format!("listening on http://{}", app.address()));
        until_told_to_stop().await?;
        app.stop().await;
        Ok(())
    }
}

/// A misspelt variable would otherwise pass for one that is not set.
fn warn_of_unknown_settings() {
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve").expect("it is this very command");
    let known: Vec<_> = serve.get_arguments().filter_map(|argument| argument.get_env()).collect();
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEYBROKER_") && !known.contains(&name.as_os_str()) {
            let variable = name.to_string_lossy().into_owned();
            tracing::warn!(
                variable,
                "there is no such setting; `keybroker serve --help` lists those there are"
            );
        }
    }
}
