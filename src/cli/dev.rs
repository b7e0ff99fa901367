//! `keybroker dev`

use std::{net::Ipv4Addr, num::NonZeroU32, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;

use super::{Failure, announce, until_told_to_stop};
use crate::{
    app::{App, generate_master_key},
    broker::{
        sessions::{LINK_LASTS, NewSession},
        tokens::{NewToken, operator},
    },
    config::{
        DatabaseUrl, LogFlags, PortalFlags, ProviderFlags, ReplicaSettings, Settings, StoreSettings,
        VaultFlags,
    },
    domain::{
        access::Reach,
        id::OrgId,
        secret::Prefix,
        token::{PlainToken, TokenName},
    },
    telemetry,
};

/// Serve on this machine, with everything embedded and no AWS account.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Port on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,

    /// Where state is kept: the database and the master key.
    #[arg(long, default_value = ".keybroker", value_name = "FOLDER")]
    state: PathBuf,

    #[command(flatten)]
    providers: ProviderFlags,

    /// How organizations' own vaults are asked.
    #[command(flatten)]
    vault: VaultFlags,

    #[command(flatten)]
    portal: PortalFlags,

    #[command(flatten)]
    log: LogFlags,
}

/// The organization that the welcome is about.
const ORG: &str = "acme";

/// What the token is called that each start makes anew.
const TOKEN: &str = "dev";

impl Dev {
    pub(super) async fn run(self) -> Result<(), Failure> {
        telemetry::start_logging(&self.log.log, self.log.log_format)
            .map_err(|e| Failure::Usage(format!("KEYBROKER_LOG is not a filter: {e}")))?;
        let app = App::start(self.settings()?).await?;
        let token = fresh_token(&app).await?;
        let link = portal_link(&app).await?;
        announce(&welcome(&self.state, &app, &token, &link));
        until_told_to_stop().await?;
        app.stop().await;
        Ok(())
    }

    fn settings(&self) -> Result<Settings, Failure> {
        make_private_folder(&self.state)?;
        let master_key_file = self.state.join("master.key");
        if !master_key_file.exists() {
            generate_master_key(&master_key_file)?;
        }
        let database = self.state.join("keybroker.db");
        Ok(Settings {
            listen: (Ipv4Addr::LOCALHOST, self.port).into(),
            admin_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            database_url: DatabaseUrl(format!("sqlite:{}", database.display())),
            database_connections: 8,
            store: StoreSettings::Local { master_key_file },
            prefix: Prefix::default(),
            store_timeout: Duration::from_secs(5),
            store_concurrency: const { NonZeroU32::new(16).unwrap() },
            write_wait: Duration::from_secs(2),
            cache_ttl: Duration::from_mins(5),
            cache_stale_if_error: Duration::from_mins(15),
            cache_max_bytes: 64 << 20,
            replicas: ReplicaSettings { max_blindness: None },
            bootstrap_token: None,
            token_rate: None::<NonZeroU32>,
            providers: self.providers.settings()?,
            vault: self.vault.settings()?,
            portal: self.portal.settings()?,
            events_retention: None,
            shutdown_grace: Duration::from_secs(5),
        })
    }
}

fn make_private_folder(folder: &PathBuf) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).with_context(|| {
        format!("the folder {} can't be made; choose another with --state", folder.display())
    })?;
    Ok(())
}

/// A token for this run. It is shown once and not kept, so the one of the run before is revoked.
async fn fresh_token(app: &App) -> Result<PlainToken, Failure> {
    let operator = operator();
    let permit = operator.permit_tokens().context("the operator may make tokens")?;
    let tokens = app.tokens();
    for old in tokens.list(&permit).await.context("the tokens can't be read")? {
        if old.name.as_str() == TOKEN {
            tokens.revoke(&permit, old.id, None).await.context("the last run's token can't be revoked")?;
        }
    }
    let name: TokenName = TOKEN.parse().context("a fixed name")?;
    let wanted = NewToken { name, reach: Reach::everything(), expires_in: None };
    let (token, _) = tokens.create(&permit, wanted, None).await.context("a token can't be made")?;
    Ok(token)
}

/// A link to the portal of the organization that the welcome is about.
async fn portal_link(app: &App) -> Result<String, Failure> {
    let operator = operator();
    let org: OrgId = ORG.parse().context("a fixed name")?;
    let permit = operator.permit_org(org).context("the operator may invite")?;
    let wanted = NewSession { expires_in: Some(*LINK_LASTS.end()), ..NewSession::default() };
    let made = app.sessions().create(&permit, wanted, None).await;
    Ok(made.context("a link to the portal can't be made")?.1)
}

fn welcome(state: &std::path::Path, app: &App, token: &PlainToken, link: &str) -> String {
    let (base, token) = (format!("http://{}", app.address()), token.reveal());
    let connection = format!("{base}/v1/orgs/{ORG}/connections/vapi");
    format!(
        r#"keybroker {version}, for development: everything is kept in {state}

listening on {base}

Token, with every scope for every organization, until the next start:

  export KEYBROKER_TOKEN={token}

Store a Vapi key of the organization {ORG}, and read it back. This one is made up, so it is not tried
with Vapi first: leave verify=false out for a real one.

  curl -X PUT '{connection}?verify=false' \
    -H "Authorization: Bearer $KEYBROKER_TOKEN" -H 'Content-Type: application/json' \
    -d '{{"credentials":{{"publicApiKey":"pk-demo","privateApiKey":"sk-demo-0123456789"}}}}'

  curl {connection}/credentials -H "Authorization: Bearer $KEYBROKER_TOKEN"

Portal of the same organization, where its admin connects integrations; the link opens once, within an hour:

  {link}

API documentation: {base}/docs
Metrics: http://{admin}/metrics
"#,
        version = env!("CARGO_PKG_VERSION"),
        state = state.display(),
        admin = app.admin_address(),
    )
}
