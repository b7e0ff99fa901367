//! What becomes of a write whose writer is gone.

use super::{Failure, Writer};
use crate::{
    broker::error::Error,
    domain::{
        access::SystemTask,
        secret::{Credentials, SecretName},
    },
    port::{
        index::{Intent, Plan},
        store::{Expect, Which},
    },
};

impl Writer {
    /// Finds out what became of a write whose writer is gone, and finishes or drops it.
    ///
    /// # Errors
    /// If the store or the database can't say: the intent stays for the next try.
    pub(in crate::broker) async fn settle(&self, intent: &Intent) -> Result<(), Error> {
        let now = self.clock.now();
        if !self.index.take_over_write(&intent.org, intent, now, now + self.lease()).await? {
            return Ok(());
        }
        // Neither writes anything into the store.
        if matches!(intent.plan, Plan::Adopt { .. } | Plan::Register { .. }) {
            return Ok(self.index.drop_write(&intent.org, intent).await?);
        }
        let name = SecretName::new(intent.org.clone(), intent.connection.clone());
        let permit = SystemTask::reconciler(name);
        // By its id and not by what is current: AWS may not show a new version as current at once, and
        // another program may have written after it.
        let made = self.store.get(&permit, Which::Version(&intent.version)).await?;
        let Some(made) = made else {
            tracing::info!(org = %intent.org, connection = %intent.connection, version = %intent.version,
                "dropped a write that never reached the store");
            return Ok(self.index.drop_write(&intent.org, intent).await?);
        };
        if let Plan::Disconnect { erase } = &intent.plan {
            self.store.put(&permit, erase, &Credentials::none(), Expect::Existing).await?;
        }
        let before = self.index.find_connection(&intent.org, &intent.connection).await?;
        let credentials = made.credentials()?;
        match self.complete(intent, before, &credentials, false).await {
            Ok(_) => Ok(()),
            Err(Failure::Clean(error) | Failure::Unknown(error)) => Err(error),
        }
    }
}
