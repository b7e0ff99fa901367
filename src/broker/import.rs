//! Import: many connections, each stored or adopted, by an operator.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    connections::{Connections, Wanted},
    error::{Conflict, Error},
    write::{Answer, LabelChange, Outcome, Terms},
};
use crate::domain::{
    access::Caller,
    id::{ConnectionName, OrgId, ProviderName},
    provider::{Catalogue, FieldError, SentField},
    secret::{Credentials, LONGEST_VALUE, Prefix, SecretName},
    strict::fields_of,
};

/// So many refusals by the store one after another mean that it will refuse the rest too.
const HOPELESS: u32 = 10;

/// The first pause before a row is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One connection to be imported, as it came.
pub struct Row {
    /// Whose it is.
    pub org: OrgId,
    /// Its name.
    pub connection: ConnectionName,
    /// Whose keys it holds.
    pub provider: ProviderName,
    /// The fields to be stored; nothing where they are in the store already.
    pub credentials: Option<Vec<(String, SentField)>>,
    /// What people call it.
    pub label: LabelChange,
}

/// A row whose fields are the provider's.
pub struct CheckedRow {
    name: SecretName,
    provider: ProviderName,
    credentials: Option<Credentials>,
    label: LabelChange,
}

impl CheckedRow {
    /// Which connection it is for.
    #[must_use]
    pub fn name(&self) -> &SecretName {
        &self.name
    }
}

impl Row {
    /// Checks the row by the catalogue. Touches nothing.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(self, catalogue: &Catalogue) -> Result<CheckedRow, Vec<FieldError>> {
        let entry = catalogue.get(&self.provider).ok_or_else(|| {
            let known = catalogue.iter().map(|provider| provider.name.as_str()).collect::<Vec<_>>();
            let message = format!("is not in the catalogue, which has {}", known.join(", "));
            vec![FieldError::new("provider", message)]
        })?;
        let credentials = self.credentials.map(|fields| entry.check(fields)).transpose()?;
        if credentials.as_ref().is_some_and(|credentials| credentials.to_json().len() > LONGEST_VALUE) {
            return Err(vec![FieldError::new("credentials", too_large())]);
        }
        let name = SecretName::new(self.org, self.connection);
        Ok(CheckedRow { name, provider: self.provider, credentials, label: self.label })
    }
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The connection is new.
    Created,
    /// It has the row's keys or label now.
    Updated,
    /// It was as the row says.
    Unchanged,
    /// What the store held is its keys now.
    Adopted,
}

/// Why nothing became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotImported {
    /// The row can't be imported; others can.
    Refused(String),
    /// Nothing can be imported at present.
    GaveUp(String),
}

/// Carries rows out.
pub struct Importer {
    connections: Connections,
    caller: Caller,
    prefix: Prefix,
    /// How long the store or the database may fail before the import ends.
    patience: Duration,
    /// How many rows the store refused since the last that was imported.
    refusals: AtomicU32,
    /// When that was.
    last_imported: Mutex<Option<Instant>>,
}

impl Importer {
    /// An importer in `caller`'s name.
    #[must_use]
    pub fn new(connections: Connections, caller: Caller, prefix: Prefix, patience: Duration) -> Self {
        let (refusals, last_imported) = (AtomicU32::new(0), Mutex::default());
        Self { connections, caller, prefix, patience, refusals, last_imported }
    }

    /// Stores or adopts one row, and waits where that may help; not any more once told to stop.
    ///
    /// # Errors
    /// If the row is refused, or the store or the database fails for too long.
    pub async fn carry_out(
        &self,
        row: &CheckedRow,
        stop: &CancellationToken,
    ) -> Result<Imported, NotImported> {
        let (mut pause, mut failing) = (FIRST_PAUSE, None::<(Instant, String)>);
        loop {
            let error = match self.attempt(row).await {
                Ok(answer) => {
                    self.refusals.store(0, Ordering::Relaxed);
                    *self.last_imported.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    return Ok(outcome(row, &answer));
                }
                Err(error) => error,
            };
            let (retry_after, why) = match &error {
                // Our own limit of writes: the others go on meanwhile, so this is no failure.
                Error::RateLimited { retry_after } => (*retry_after, None),
                Error::Unavailable { retry_after, .. } => (*retry_after, Some(error.to_string())),
                Error::Conflict(Conflict::WriteUnderWay) => {
                    (Duration::ZERO, Some("another write to the connection is under way".into()))
                }
                _ => return Err(self.refusal(row, error)),
            };
            if stop.is_cancelled() {
                return Err(NotImported::GaveUp("stopped".into()));
            }
            // What it failed with at first says more than what follows from that.
            failing = why.map(|why| failing.unwrap_or_else(|| (Instant::now(), why)));
            let waited = failing.as_ref().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            if let Some((_, why)) = &failing
                && waited >= self.patience
            {
                return Err(self.out_of_patience(why));
            }
            tracing::debug!(org = %row.name.org(), connection = %row.name.connection(), %error, "a row is tried again");
            let left = self.patience.saturating_sub(waited);
            stop.run_until_cancelled(sleep(retry_after.max(pause).min(left))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Where others were imported meanwhile, the fault is with the row.
    fn out_of_patience(&self, error: &str) -> NotImported {
        let last = *self.last_imported.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = self.patience.as_secs();
        match last {
            Some(last) if last.elapsed() < self.patience / 2 => {
                NotImported::Refused(format!("could not be imported for {seconds} s: {error}"))
            }
            _ => NotImported::GaveUp(format!("nothing could be imported for {seconds} s: {error}")),
        }
    }

    async fn attempt(&self, row: &CheckedRow) -> Result<Answer, Error> {
        let permit = self.caller.permit(row.name.org().clone(), row.name.connection().clone())?;
        let (provider, label) = (row.provider.clone(), row.label.clone());
        match &row.credentials {
            Some(credentials) => {
                let credentials = Some(fields_of(credentials));
                let wanted = Wanted { provider: Some(provider), credentials, label, verify: false };
                self.connections.put(permit, wanted, Terms::default()).await
            }
            None => self.connections.adopt(permit, provider, label, Terms::default()).await,
        }
    }

    /// Why a row is refused, for the operator.
    fn refusal(&self, row: &CheckedRow, error: Error) -> NotImported {
        let secret = row.name.under(&self.prefix);
        NotImported::Refused(match error {
            Error::NotFound => format!(
                "the store holds nothing at {secret}; write the credentials there first, or into the row"
            ),
            Error::InvalidCredentials(errors) if row.credentials.is_none() => {
                format!("what the store holds at {secret} does not fit: {}", in_words(&errors))
            }
            Error::InvalidCredentials(errors) => in_words(&errors),
            Error::Conflict(Conflict::OtherProvider) => {
                "the connection is another provider's; disconnect it first, or choose another name".into()
            }
            Error::ScheduledForDeletion => {
                format!("AWS is deleting {secret}; restore it there, or wait until it is gone")
            }
            Error::Conflict(Conflict::KeysInVault) => {
                "the organization keeps its keys in its own vault; disable that first".into()
            }
            Error::TooLarge => format!("credentials {}", too_large()),
            Error::StoreRefused(reason) => {
                if self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= HOPELESS {
                    let advice = "`keybroker doctor` finds out why";
                    return NotImported::GaveUp(format!("the store refuses every row: {reason}; {advice}"));
                }
                format!("the store refuses: {reason}")
            }
            // Not to be had of a row's write, or handled before.
            Error::InvalidRequest(_)
            | Error::Unauthenticated(_)
            | Error::MissingScope(_)
            | Error::LinkExpired
            | Error::Vault(_)
            | Error::KeyRejected(_)
            | Error::ProviderUnreachable(_)
            | Error::PreconditionFailed
            | Error::Conflict(_)
            | Error::RateLimited { .. }
            | Error::Unavailable { .. }
            | Error::Internal(_) => error.to_string(),
        })
    }
}

fn outcome(row: &CheckedRow, answer: &Answer) -> Imported {
    match answer.outcome {
        Outcome::Unchanged => Imported::Unchanged,
        _ if row.credentials.is_none() => Imported::Adopted,
        Outcome::Created => Imported::Created,
        Outcome::Updated | Outcome::RolledBack | Outcome::Disconnected => Imported::Updated,
    }
}

fn too_large() -> String {
    format!("are longer than {LONGEST_VALUE} bytes, which is the most that a store takes")
}

/// Field errors as one line.
#[must_use]
pub fn in_words(errors: &[FieldError]) -> String {
    let each = errors.iter().map(|error| format!("{} {}", error.field, error.message));
    each.collect::<Vec<_>>().join("; ")
}
