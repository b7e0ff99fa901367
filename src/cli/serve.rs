//! `keybroker serve`

use clap::Args;

use super::{Failure, announce, until_told_to_stop};
use crate::{app::App, config::ServeFlags, telemetry};

/// Serve, in production: settings come from the environment; refuses to start half-configured.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    flags: ServeFlags,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let log = &self.flags.log;
        telemetry::start_logging(&log.log, log.log_format)
            .map_err(|e| Failure::Usage(format!("KEYBROKER_LOG is not a filter: {e}")))?;
        let app = App::start(self.flags.settings()?).await?;
        announce(&format!("listening on http://{}", app.address()));
        until_told_to_stop().await?;
        app.stop().await;
        Ok(())
    }
}
