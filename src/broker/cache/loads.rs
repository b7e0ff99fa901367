//! The loads under way, and the order of what they find.
//!
//! A connection's generations are ordered by the database. What was shown, or told of, is noted for as long
//! as a load is under way that may have begun before it: such a load can find less, and is then done again.
//! A load that begins later asks the database, and finds no less.

use std::{collections::HashMap, time::Duration};

use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::{super::error::Error, Found};
use crate::domain::secret::SecretName;

pub(super) type Load = Shared<BoxFuture<'static, Result<Found, Error>>>;
type WeakLoad = WeakShared<BoxFuture<'static, Result<Found, Error>>>;

/// The loads under way, by name.
#[derive(Default)]
pub(super) struct Loads {
    names: HashMap<SecretName, UnderWay>,
    next_id: u64,
}

#[derive(Default)]
struct UnderWay {
    /// How many, those included that nobody may join any more.
    loads: usize,
    /// The newest generation shown or told of meanwhile.
    newest: i64,
    /// The one that readers join.
    open: Option<Open>,
}

struct Open {
    id: u64,
    began: Duration,
    load: Option<WeakLoad>,
}

impl Loads {
    /// The load of `name` that a reader may join, if it began at a time that `is_covered`.
    pub(super) fn join(&self, name: &SecretName, is_covered: impl Fn(Duration) -> bool) -> Option<Load> {
        let open = self.names.get(name)?.open.as_ref().filter(|open| is_covered(open.began))?;
        open.load.as_ref()?.upgrade()
    }

    /// Begins a load, which readers are to join from now on. Returns its id.
    pub(super) fn begin(&mut self, name: &SecretName, began: Duration) -> u64 {
        self.next_id += 1;
        let under_way = self.names.entry(name.clone()).or_default();
        under_way.loads += 1;
        under_way.open = Some(Open { id: self.next_id, began, load: None });
        self.next_id
    }

    /// Says how the load that was begun last is joined.
    pub(super) fn open(&mut self, name: &SecretName, load: &Load) {
        if let Some(open) = self.names.get_mut(name).and_then(|under_way| under_way.open.as_mut()) {
            open.load = load.downgrade();
        }
    }

    /// Lets nobody join what is under way, and what that finds not be kept.
    pub(super) fn detach(&mut self, name: &SecretName) {
        if let Some(under_way) = self.names.get_mut(name) {
            under_way.open = None;
        }
    }

    /// The same for all names that are `concerned`.
    pub(super) fn detach_all(&mut self, concerned: impl Fn(&SecretName) -> bool) {
        for (_, under_way) in self.names.iter_mut().filter(|(name, _)| concerned(name)) {
            under_way.open = None;
        }
    }

    /// Notes that `generation` was shown or told of. Returns the newest that was, as far as it matters.
    pub(super) fn note(&mut self, name: &SecretName, generation: i64) -> i64 {
        let Some(under_way) = self.names.get_mut(name) else { return generation };
        under_way.newest = under_way.newest.max(generation);
        under_way.newest
    }

    /// Whether the load was not detached.
    pub(super) fn is_open(&self, name: &SecretName, id: u64) -> bool {
        let open = self.names.get(name).and_then(|under_way| under_way.open.as_ref());
        open.is_some_and(|open| open.id == id)
    }

    /// Ends a load. Nothing is left of the last one.
    pub(super) fn end(&mut self, name: &SecretName, id: u64) {
        if self.is_open(name, id) {
            self.detach(name);
        }
        if let Some(under_way) = self.names.get_mut(name) {
            under_way.loads -= 1;
            if under_way.loads == 0 {
                self.names.remove(name);
            }
        }
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
