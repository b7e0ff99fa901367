//! The outside, behind the broker's ports: AWS Secrets Manager, the embedded store, SQL, the
//! providers' APIs, organizations' own functions.
//!
//! An adapter knows `port` and `domain` and nothing above them; `app` picks one and hands it to the
//! broker. To add a store: a file here that implements [`crate::port::store::Store`], turns every
//! failure into a `StoreError` whose text holds no value, and counts its calls as its neighbours do
//! (`meter`); then its name in `config` and `app`.

pub mod aws;
mod guard;
pub mod lambda;
pub mod local;
mod meter;
pub mod providers;
pub mod sql;
