//! Pure values: no I/O, no clock of their own, nothing invalid.
//!
//! A value that exists is valid: fields are private and every constructor goes through one check.
//! Time and randomness come in as arguments ([`clock`]).

pub mod access;
pub mod address;
pub mod clock;
pub mod colour;
pub mod connection;
pub mod event;
pub mod finding;
mod hex;
pub mod id;
pub mod idempotency;
pub mod policy;
pub mod precondition;
pub mod provider;
pub mod secret;
pub mod session;
pub mod strict;
pub mod text;
pub mod token;
pub mod vault;
