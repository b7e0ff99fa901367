//! Examines a set-up: what a start would need, and more. Each finding says what was tried, what came
//! back and what to do.
//!
//! To add a check: a function that gives its [`Finding`], and its line in [`examine`].

use std::{path::Path, sync::Arc};

use jiff::Timestamp;

use super::{
    StartError,
    open::{connect_aws, open_catalogue, open_local},
};
use crate::{
    adapter::{
        local::Keyring,
        providers::ProviderClient,
        sql::{Database, Inspection},
    },
    config::{ServeFlags, Settings, StoreSettings},
    domain::{
        clock::{Clock, SystemClock, SystemRandom, time_ordered_id},
        finding::Finding,
        secret::Version,
    },
};

/// More than this between replicas and the database, and leases and expiry go wrong.
const MOST_SKEW_SECONDS: i64 = 1;

/// The check of the settings, without which nothing else can be tried.
pub const SETTINGS: &str = "settings";

/// Tries everything that can be tried with these settings. Writes nothing but the probe secret.
pub async fn examine(flags: &ServeFlags) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let settings = match flags.settings() {
        Ok(settings) => settings,
        Err(faults) => {
            let fault = |text: &str| {
                let (found, remedy) = text.split_once(": ").unwrap_or((text, "see `keybroker serve --help`"));
                Finding::good(SETTINGS, "to read the settings", found).bad(remedy)
            };
            return faults.to_string().lines().map(fault).collect();
        }
    };
    let mut findings = vec![Finding::good(SETTINGS, "to read the settings", "they are whole")];
    let inspected = Database::inspect(&settings.database_url.0).await;
    let current = inspected.as_ref().is_ok_and(|inspection| inspection.pending == 0);
    match inspected {
        Ok(inspection) => findings.extend(database(&inspection, clock.now())),
        Err(error) => findings.push(
            Finding::good("database", "to open the database", error.to_string())
                .bad("check KEYBROKER_DATABASE_URL, and that the database runs and lets this user in"),
        ),
    }
    findings.extend(settings.providers.file.as_deref().map(providers));
    if !ProviderClient::new(settings.providers.timeout, false).is_usable() {
        let finding = Finding::good("providers", "to set up TLS", "there are no CA certificates");
        findings.push(finding.warning("install them (ca-certificates); until then no key can be tried"));
    }
    let version = Version::generate(&*clock, &SystemRandom);
    match &settings.store {
        StoreSettings::Aws { kms_key_id, writes_per_second } => {
            match connect_aws(&settings, kms_key_id.clone(), *writes_per_second).await {
                Ok(store) => findings.extend(store.examine(&version, clock.now()).await),
                Err(error) => findings.push(credentials(&error.to_string())),
            }
        }
        StoreSettings::Local { master_key_file } => {
            findings.push(master_key(master_key_file));
            if current {
                findings.push(local(&settings, master_key_file, &clock, &version).await);
            }
        }
    }
    findings
}

fn credentials(error: &str) -> Finding {
    let (found, remedy) = error.rsplit_once(": ").unwrap_or((error, "set the AWS SDK's variables"));
    Finding::good("credentials", "to find region and credentials", found).bad(remedy)
}

fn database(inspection: &Inspection, now: Timestamp) -> Vec<Finding> {
    let schema = Finding::good(
        "database",
        "to read the schema's state",
        match inspection.pending {
            0 => "the schema is up to date".to_owned(),
            pending => format!("{pending} migrations are not applied yet"),
        },
    );
    let mut findings = vec![match inspection.pending {
        0 => schema,
        _ => schema.warning("the next start applies them; or run `keybroker migrate` first"),
    }];
    if let Some(theirs) = inspection.clock {
        let seconds = (now.as_second() - theirs.as_second()).abs();
        let tried = "to compare this machine's clock with the database's";
        let finding = Finding::good("clock", tried, format!("{seconds} s apart"));
        let remedy = "leases and expiry follow the clock: keep all machines in step by NTP";
        findings.push(if seconds <= MOST_SKEW_SECONDS { finding } else { finding.warning(remedy) });
    }
    findings
}

fn providers(file: &Path) -> Finding {
    let finding = |found: String| Finding::good("providers", "to read KEYBROKER_PROVIDERS_FILE", found);
    match open_catalogue(Some(file)) {
        Ok(catalogue) => finding(format!("with it there are {} providers", catalogue.iter().count())),
        Err(StartError::Config(error) | StartError::Failed(error)) => {
            finding(error).bad("correct the line that is named; docs/providers.md tells every key")
        }
    }
}

fn master_key(file: &Path) -> Finding {
    let tried = "to read KEYBROKER_MASTER_KEY_FILE";
    match Keyring::read(file) {
        Ok(_) => Finding::good("master key", tried, "it holds a key"),
        Err(error) => Finding::good("master key", tried, error.to_string()).bad(
            "make one with `openssl rand -base64 32`, mode 600; if there were secrets, restore the old one",
        ),
    }
}

async fn local(
    settings: &Settings,
    master_key_file: &Path,
    clock: &Arc<dyn Clock>,
    version: &Version,
) -> Finding {
    let tried = "to write a probe secret and read it back";
    let result = async {
        let origin = time_ordered_id(&**clock, &SystemRandom);
        let database =
            Database::open(&settings.database_url.0, 1, origin).await.map_err(|e| e.to_string())?;
        let store =
            open_local(settings, master_key_file, &database, clock).await.map_err(|e| e.to_string())?;
        store.examine(version).await.map_err(|e| e.to_string())
    };
    match result.await {
        Ok(()) => Finding::good("store", tried, "the same value"),
        Err(error) => Finding::good("store", tried, error)
            .bad("put the key back under which the secrets were encrypted"),
    }
}
