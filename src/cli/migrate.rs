//! `keybroker migrate`

use anyhow::Context;
use clap::Args;

use super::Failure;
use crate::{adapter::sql::Database, config::DatabaseFlags};

/// Bring the database's schema up to date and exit. `serve` does so too; this is for those who let only
/// a separate step change the schema.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    database: DatabaseFlags,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let database = Database::open(self.database.url()?, 1, uuid::Uuid::nil()).await;
        database.context("nothing was changed")?.close().await;
        println!("the schema is up to date");
        Ok(())
    }
}
