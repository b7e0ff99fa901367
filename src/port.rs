//! What the broker needs of the outside, as traits: a store for secrets and an index of what is in it.
//!
//! To add a store: implement [`store::Store`] in `adapter` and name it in `config` and `app`.

pub mod index;
pub mod store;
