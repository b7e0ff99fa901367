//! keybroker keeps every organization's third-party API keys apart, in AWS Secrets Manager, behind one
//! REST API.
//!
//! Layers import downwards only; a test reads the `crate::` paths and fails on an arrow that runs up.
//!
//! ```text
//!            cli        one file for each command
//!             |
//!            app        composition root and lifecycle
//!          /  |  \
//!      http   |   adapter     the API and the portal | AWS, SQL, the embedded store, providers, vaults
//!         \   |   /
//!          broker       use cases: read, write, verify, tokens, vaults, sessions, reconcile
//!             |
//!            port       what the broker needs of the outside
//!             |
//!          domain       values that can't be invalid, and who may do what
//! ```
//!
//! `config` (the one reader of the environment) and `telemetry` stand beside them. A request's path:
//! `http` authenticates and gets a [`domain::access::Permit`], `broker` does the work with it, and only
//! a permit opens the [`port::store::Store`].

#![forbid(unsafe_code)]

pub mod adapter;
pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod port;
pub mod telemetry;
