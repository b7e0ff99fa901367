//! The use cases: what keybroker does, whatever it is asked through and keeps things in.
//!
//! [`credentials`] is the hot path, [`connections`] the changes, [`mod@write`] the protocol that makes them
//! whole or not at all, [`reconcile`] what finishes them after a crash, [`verification`] tries keys
//! with their providers. [`changes`] is how other replicas hear of all this, [`listen`] how they hear it at
//! once, [`sight`] what they trust while they can't, and [`lease`] how one of them does what is done in the
//! background. The audit log is told of reads by [`reads`], made a chain by [`seal`], kept for its time by
//! [`retention`] and checked by [`audit`]. [`mod@vault`] is where an organization keeps its keys itself.
//! [`sessions`] and [`portal`] are what an organization's admin has of all this.
//! Errors here know nothing of HTTP.

pub mod audit;
pub mod cache;
pub mod changes;
pub mod connections;
pub mod credentials;
mod current;
pub mod error;
pub mod events;
pub mod health;
pub mod import;
pub mod lease;
pub mod listen;
pub mod portal;
pub mod reads;
pub mod reconcile;
pub mod retention;
pub mod schedule;
pub mod seal;
pub mod sessions;
pub mod sight;
pub mod tokens;
pub mod turns;
mod under_way;
pub mod vault;
pub mod verification;
pub mod write;
