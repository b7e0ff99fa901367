//! `keybroker openapi`

use anyhow::Context;
use clap::Args;

use super::Failure;
use crate::app;

/// Print the OpenAPI document.
#[derive(Debug, Args)]
pub(super) struct OpenApi {}

impl OpenApi {
    #[expect(clippy::unused_self, reason = "all commands are run alike")]
    pub(super) fn run(self) -> Result<(), Failure> {
        let document = app::openapi().to_pretty_json().context("the document can't be written")?;
        println!("{document}");
        Ok(())
    }
}
