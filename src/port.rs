//! What the broker needs of the outside, as traits: a store for secrets, an index of what is in it, and the audit log.
//!
//! To add a store: implement [`store::Store`] in `adapter` and name it in `config` and `app`.

pub mod audit;
pub mod index;
pub mod store;
