//! The portal's pages: what an organization's admin sees, from the link to the connected account.
//!
//! Each page is a struct of what it shows; `Page::html` makes the document. `routes` says
//! who gets to see it, and asks the broker. Every page works without script, and loads nothing but what
//! `assets` holds and the configured logo, so that a policy without `unsafe-inline` holds.
//!
//! To add a page: a struct with its `Frame`, its template beside it, and a line in `tests/samples.rs`, by
//! which every check is made on it too. To add a language: a file in `text/` and its line in
//! `text::Language`.

pub(super) mod activity;
pub(super) mod assets;
pub(super) mod branding;
pub(super) mod connection;
pub(super) mod field;
pub(super) mod frame;
pub(super) mod integrations;
pub(super) mod moment;
pub(super) mod notice;
pub(super) mod opening;
pub(super) mod provider;
mod routes;
pub(super) mod security;
pub(super) mod stop;
pub(super) mod text;
pub(super) mod vault;

use askama::Template;

pub(super) use self::routes::routes;
pub use self::routes::{Looks, PortalPages};

/// A page of the portal.
pub(super) trait Page {
    /// The whole document.
    fn html(&self) -> String;
}

impl<T: Template> Page for T {
    fn html(&self) -> String {
        self.render().expect("a page is always written to memory")
    }
}

#[cfg(test)]
mod tests;
