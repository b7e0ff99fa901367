//! Many replicas: what one changes the others see, in its order, or they say that they can't; and what is
//! done in the background is done by one.

mod blindness;
mod checker;
mod history;
mod leases;
mod notifications;
mod order;

use crate::support::{TestApp, wire::Wire};

/// A second process on the same PostgreSQL database and store, which reaches the database by a wire that
/// nobody else uses.
async fn wired_replica(app: &TestApp, settings: &[(&str, &str)]) -> (TestApp, Wire) {
    let wire = Wire::to(&app.database_url).await;
    let url = wire.url(&app.database_url);
    let settings = [&[("KEYBROKER_DATABASE_URL", url.as_str())], settings].concat();
    let replica = app.replica(&settings).await;
    (replica, wire)
}
