//! The organization's own vault, for a visitor who may see all of it: a session for some providers alone
//! sees the keys of their connections and nothing else.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Integration, Portal};
use crate::{
    broker::{
        error::Error,
        sessions::VisitOpen,
        vault::{Tested, VaultState},
    },
    domain::{
        access::{ManageVault, Permit, Visitor},
        connection::Connection,
        event::RequestId,
        id::{ConnectionName, OrgId},
        provider::Provider,
        session::{Done, Notice},
        vault::{VaultKey, VaultRecord, VaultTest, VaultToken, environment_of},
    },
};

/// A key that the vault is to hold.
#[derive(Debug, Clone)]
pub struct ListedKey {
    /// Its name and what it is.
    pub key: VaultKey,
    /// Whether the function has a value for it, as far as the last test tells.
    pub found: Option<bool>,
}

/// A connection's keys in the organization's vault, which is enabled.
#[derive(Debug, Clone)]
pub struct InVault {
    /// The keys; none before there is a connection.
    pub keys: Vec<ListedKey>,
    /// When the vault was last tested.
    pub tested_at: Option<Timestamp>,
}

impl InVault {
    /// Whether the connection can't be used, for all that is known.
    #[must_use]
    pub fn lacks_key(&self) -> bool {
        self.keys.iter().any(|listed| listed.key.required && listed.found == Some(false))
    }
}

/// The vault as the page shows it.
#[derive(Debug, Clone)]
pub struct VaultOverview {
    /// Where it is, and what came of the last test; nothing, if it was never configured.
    pub state: Option<VaultState>,
    /// The keys of all connections, each name once.
    pub keys: Vec<ListedKey>,
    /// How much of the function's environment they take, in bytes.
    pub environment: usize,
    /// Whether their values are counted in that.
    pub with_values: bool,
}

impl Portal {
    /// The vault and the names of the keys that it is to hold.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the session is for some providers alone; else what the database or the store
    /// failed with.
    pub async fn vault(&self, visitor: &Visitor) -> Result<VaultOverview, Error> {
        sees_vault(visitor)?;
        let permit = visitor.permit_org();
        let state = match self.vaults.find(&permit).await {
            Err(Error::NotFound) => None,
            found => Some(found?),
        };
        let keys = self.vaults.keys(&permit).await?;
        let test = state.as_ref().and_then(|state| state.last_test.as_ref());
        let names = environment_of(keys.iter().map(|(_, key)| key));
        let mut listed: BTreeMap<String, ListedKey> = BTreeMap::new();
        for (connection, key) in keys {
            let found = found(test, &connection, &key);
            // Connections that share a key: what is not known of one is not known.
            let same = listed.entry(key.name.to_string()).or_insert(ListedKey { key: key.clone(), found });
            same.key.required |= key.required;
            same.found = same.found.and(found);
        }
        let keys: Vec<_> = listed.into_values().collect();
        let counted = test.filter(|_| keys.iter().all(|listed| listed.found.is_some()));
        let with_values = counted.is_some_and(|test| test.environment > 0);
        let environment = counted.map_or(names, |test| test.environment.max(names));
        Ok(VaultOverview { state, keys, environment, with_values })
    }

    /// Says where the vault is. While it is enabled, it is tested there first.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Portal::vault`]; else as [`crate::broker::vault::Vaults::put`].
    pub async fn save_vault_url(
        &self,
        visit: &VisitOpen,
        url: &str,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let permit = permit(&visit.visitor)?;
        let record = self.vaults.record(&visit.visitor.permit_org()).await?;
        let enabled = record.is_some_and(|record| record.enabled);
        if enabled {
            self.sessions.count_attempt(&visit.session).await?;
        }
        self.vaults.put(&permit, Some(url), enabled, request_id).await?;
        self.told(visit, Notice::VAULT, Done::VaultSaved).await;
        Ok(())
    }

    /// Makes a new token, unless there is another than the page showed, whose hint is `seen`: a form that
    /// is sent again makes no second one.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Portal::vault`], [`Error::PreconditionFailed`] if there is another; else as
    /// [`crate::broker::vault::Vaults::make_token`].
    pub async fn make_vault_token(
        &self,
        visit: &VisitOpen,
        seen: Option<&str>,
        request_id: Option<RequestId>,
    ) -> Result<VaultToken, Error> {
        let permit = permit(&visit.visitor)?;
        let hint = match self.vaults.find(&visit.visitor.permit_org()).await {
            Err(Error::NotFound) => None,
            found => found?.token_hint,
        };
        if hint.as_deref() != seen {
            return Err(Error::PreconditionFailed);
        }
        self.vaults.make_token(&permit, request_id).await
    }

    /// Tries the vault. That it fails is told by the next page.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Portal::vault`], [`Error::RateLimited`] if too much was tried in this
    /// session; else as [`crate::broker::vault::Vaults::test`].
    pub async fn test_vault(&self, visit: &VisitOpen, request_id: Option<RequestId>) -> Result<(), Error> {
        let permit = permit(&visit.visitor)?;
        self.sessions.count_attempt(&visit.session).await?;
        let Tested { fault, .. } = self.vaults.test(&permit, None, request_id).await?;
        let notice = notice(Notice::VAULT, Done::VaultTested);
        self.leave(visit, Notice { fault: fault.map(|fault| fault.to_string()), ..notice }).await;
        Ok(())
    }

    /// Has keys read from the vault, or from the store again.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Portal::vault`], [`Error::RateLimited`] as [`Portal::test_vault`]; else as
    /// [`crate::broker::vault::Vaults::put`].
    pub async fn switch_vault(
        &self,
        visit: &VisitOpen,
        enabled: bool,
        request_id: Option<RequestId>,
    ) -> Result<(), Error> {
        let permit = permit(&visit.visitor)?;
        if enabled {
            self.sessions.count_attempt(&visit.session).await?;
        }
        self.vaults.put(&permit, None, enabled, request_id).await?;
        let done = if enabled { Done::VaultEnabled } else { Done::VaultDisabled };
        self.told(visit, Notice::VAULT, done).await;
        Ok(())
    }

    /// Erases the vault's URL and token. Keys are read from the store again.
    ///
    /// # Errors
    /// [`Error::NotFound`] as [`Portal::vault`]; else as [`crate::broker::vault::Vaults::forget`].
    pub async fn forget_vault(&self, visit: &VisitOpen, request_id: Option<RequestId>) -> Result<(), Error> {
        self.vaults.forget(&permit(&visit.visitor)?, request_id).await?;
        self.told(visit, Notice::VAULT, Done::VaultForgotten).await;
        Ok(())
    }

    /// The organization's vault, if keys are read from it.
    pub(super) async fn enabled_vault(&self, visitor: &Visitor) -> Result<Option<VaultRecord>, Error> {
        let record = self.vaults.record(&visitor.permit_org()).await?;
        Ok(record.filter(|record| record.enabled))
    }

    /// The names of all keys in an enabled vault, by connection.
    pub(super) async fn keys_by_connection(
        &self,
        visitor: &Visitor,
    ) -> Result<BTreeMap<ConnectionName, Vec<VaultKey>>, Error> {
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (connection, key) in self.vaults.keys(&visitor.permit_org()).await? {
            keys.entry(connection.name).or_default().push(key);
        }
        Ok(keys)
    }

    /// The names of one connection's keys in an enabled vault.
    pub(super) async fn keys_of(
        &self,
        visitor: &Visitor,
        connection: &Connection,
    ) -> Result<Vec<VaultKey>, Error> {
        let permit = visitor.permit(connection.name.clone(), &connection.provider)?;
        self.vaults.keys_for(&permit).await
    }
}

impl Integration {
    /// A provider, and maybe a connection to it with `keys` in the vault, if there is one.
    pub(super) fn of(
        provider: Option<Provider>,
        connection: Option<Connection>,
        vault: Option<&VaultRecord>,
        keys: Vec<VaultKey>,
    ) -> Self {
        let may_move = provider.as_ref().is_some_and(|provider| !provider.oauth);
        let vault = vault.filter(|_| may_move).map(|vault| {
            let test = vault.last_test.as_ref();
            let found = |key: &VaultKey| found(test, connection.as_ref()?, key);
            InVault {
                keys: keys.into_iter().map(|key| ListedKey { found: found(&key), key }).collect(),
                tested_at: test.map(|test| test.at),
            }
        });
        Self { provider, connection, vault }
    }
}

/// Whether the function has a key, as far as is known. Keys that the provider took after the test were there.
fn found(test: Option<&VaultTest>, connection: &Connection, key: &VaultKey) -> Option<bool> {
    let test = test?;
    if key.required && connection.verified_at.is_some_and(|verified_at| verified_at > test.at) {
        return Some(true);
    }
    test.found(&key.name, connection.updated_at)
}

/// What a page tells once, without more.
pub(super) fn notice(about: &str, done: Done) -> Notice {
    Notice { done, connection: about.to_owned(), opens: Vec::new(), fault: None }
}

fn sees_vault(visitor: &Visitor) -> Result<(), Error> {
    if visitor.providers().is_some() { Err(Error::NotFound) } else { Ok(()) }
}

fn permit(visitor: &Visitor) -> Result<Permit<ManageVault, OrgId>, Error> {
    sees_vault(visitor)?;
    Ok(visitor.permit_org())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{provider::Catalogue, vault::TestOutcome};

    /// What is known of each key of a connection to Slack that was changed and verified at these seconds.
    fn known(changed: u64, verified: Option<u64>, missing: &[&str]) -> Vec<Option<bool>> {
        let at = |second| Timestamp::UNIX_EPOCH + Duration::from_secs(second);
        let catalogue = Catalogue::builtin().unwrap();
        let provider = catalogue.get(&"slack".parse().unwrap()).unwrap();
        let mut connection = Connection::sample("help".parse().unwrap(), provider.name.clone());
        (connection.updated_at, connection.verified_at) = (at(changed), verified.map(at));
        let missing = missing.iter().map(|name| (*name).to_owned()).collect();
        let outcome = TestOutcome::Ok;
        let test = VaultTest { outcome, missing, latency_ms: 1, environment: 1, at: at(10) };
        VaultKey::of(&connection, provider).iter().map(|key| found(Some(&test), &connection, key)).collect()
    }

    #[test]
    fn a_test_is_believed_until_something_newer_is_known() {
        let token = "bot_channel_help_slack_bot_token";
        assert_eq!(known(5, None, &[token]), [Some(false), Some(true)]);
        assert_eq!(known(15, None, &[token]), [None, None]);
        assert_eq!(known(5, Some(9), &[token]), [Some(false), Some(true)]);
        assert_eq!(known(5, Some(11), &[token]), [Some(true), Some(true)]);
    }
}
