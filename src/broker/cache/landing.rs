//! The end of a load.

use std::{sync::Arc, time::Duration};

use super::{Found, Inner, entry::Entry};
use crate::{broker::error::Error, domain::secret::SecretName};

/// The end of one load: what it found is kept, or what is gone dropped, only if nobody forgot the name
/// meanwhile.
pub(super) struct Landing {
    pub cache: Arc<Inner>,
    pub name: SecretName,
    pub id: u64,
}

impl Landing {
    /// False if something newer was shown or told of: then nobody may be shown this.
    pub(super) fn land(&self, result: &Result<Found, Error>) -> bool {
        let (cache, name) = (&self.cache, &self.name);
        let mut loads = cache.loads();
        let open = loads.is_open(name, self.id);
        match result {
            Ok(found) => {
                let there = cache.entries.get(name);
                let newest = there.as_ref().map_or(0, |entry| entry.found.generation);
                if found.generation < loads.note(name, found.generation).max(newest) {
                    return false;
                }
                let same = there.is_some_and(|entry| entry.found.kept.is(&found.kept));
                if open && !same && !cache.settings.ttl.is_zero() {
                    let entry = Entry::new(found.clone(), cache.clock.uptime(), &cache.settings);
                    cache.entries.insert(name.clone(), entry);
                } else {
                    cache.drop_older(name, found.generation);
                }
            }
            Err(error) if open && error.is_absence() => drop(cache.entries.remove(name)),
            Err(_) => {}
        }
        true
    }

    /// The database says again and again that there is less than there was, as one that was restored from a
    /// backup does. Then that is the truth, for whoever comes next.
    pub(super) fn give_up(&self) -> Error {
        tracing::warn!(org = %self.name.org(), connection = %self.name.connection(),
            "the database names an older version than it did before");
        let mut loads = self.cache.loads();
        loads.detach(&self.name);
        self.cache.entries.remove(&self.name);
        Error::Unavailable {
            reason: "the database names an older version than it did before".into(),
            retry_after: Duration::from_secs(1),
            store: false,
        }
    }
}

/// Also runs when every reader went away and the load was dropped half-way.
impl Drop for Landing {
    fn drop(&mut self) {
        self.cache.loads().end(&self.name, self.id);
    }
}
