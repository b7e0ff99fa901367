//! The use cases: what keybroker does, whatever it is asked through and keeps things in.
//!
//! [`credentials`] is the hot path, [`connections`] the changes, [`mod@write`] the protocol that makes them
//! whole or not at all, [`reconcile`] what finishes them after a crash, and [`changes`] how other
//! replicas hear of them. The audit log is told of reads by [`reads`], made a chain by [`seal`], kept for its
//! time by [`retention`] and checked by [`verify`]. Errors here know nothing of HTTP.

pub mod cache;
pub mod changes;
pub mod connections;
pub mod credentials;
pub mod error;
pub mod events;
pub mod health;
pub mod reads;
pub mod reconcile;
pub mod retention;
pub mod seal;
pub mod tokens;
pub mod verify;
pub mod write;
