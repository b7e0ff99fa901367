//! `keybroker migrate`

use clap::Args;

use super::Failure;
use crate::{app, config::DatabaseFlags};

/// Bring the database's schema up to date and exit. `serve` does so too; this is for those who let only
/// a separate step change the schema.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    database: DatabaseFlags,
}

impl Migrate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        app::migrate(self.database.url()?).await?;
        println!("the schema is up to date");
        Ok(())
    }
}
