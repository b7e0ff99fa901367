//! What the broker needs of the outside, as traits: a store for secrets, an index of what is in it, the
//! audit log, leases, word of changes, and the ways to the providers' APIs and the organizations' own vaults.
//!
//! To add a store: implement [`store::Store`] in `adapter` and name it in `config` and `app`.

pub mod audit;
pub mod index;
pub mod leases;
pub mod news;
pub mod providers;
pub mod sessions;
pub mod store;
pub mod vault;
