//! Liveness and readiness, for whatever runs the service.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::broker::health::{Health, Readiness};

/// The process is alive.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    #[schema(example = "ok")]
    status: &'static str,
}

/// What is usable.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    #[schema(example = "ok")]
    status: &'static str,
    #[schema(example = "ok")]
    database: &'static str,
    #[schema(example = "ok")]
    store: &'static str,
}

impl From<Readiness> for Ready {
    fn from(readiness: Readiness) -> Self {
        let word = |usable| if usable { "ok" } else { "unavailable" };
        Self {
            status: word(readiness.database && readiness.store),
            database: word(readiness.database),
            store: word(readiness.store),
        }
    }
}

/// Is the process alive?
#[utoipa::path(get, path = "/healthz", tag = "service", security(()), responses((status = 200, body = Alive)))]
pub(super) async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Can it do its work? Says which part is not usable.
#[utoipa::path(get, path = "/readyz", tag = "service", security(()),
    responses((status = 200, body = Ready), (status = 503, body = Ready)))]
pub(super) async fn readyz(State(health): State<Health>) -> (StatusCode, Json<Ready>) {
    let readiness = health.readiness().await;
    let ready = readiness.database && readiness.store;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness.into()))
}
