//! The API over HTTP: extract, call the broker, map.
//!
//! A handler's arguments are its policy: `extract::Permitted` is a permit or the request ends there.
//! To add a route: a handler in `v1/` with its `#[utoipa::path]`, and its line in [`router`]; the
//! authorisation test fails until it knows the route.

pub mod docs;
mod drain;
pub mod error;
pub mod extract;
pub mod fast;
pub mod health;
pub mod json;
pub mod layers;
pub mod portal;
pub mod router;
pub mod state;
mod time;
pub mod v1;
