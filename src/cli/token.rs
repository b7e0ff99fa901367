//! `keybroker token`: tokens, by whoever reaches the database.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::Failure;
use crate::{
    app,
    broker::{
        error::Error,
        tokens::{NewToken, operator},
    },
    config::{DatabaseFlags, duration},
    domain::{
        access::{Orgs, Reach, Scope},
        id::OrgId,
        token::{TokenName, TokenRecord},
    },
};

/// Make, list and revoke API tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token and print it, this once.
#[derive(Debug, Args)]
#[group(id = "reach", required = true, multiple = false, args = ["org", "all_orgs"])]
pub(super) struct Create {
    #[command(flatten)]
    database: DatabaseFlags,

    /// What to call it.
    #[arg(long)]
    name: TokenName,

    /// What it may be used for; may be given several times.
    #[arg(long, required = true, num_args = 1.., value_delimiter = ',')]
    scope: Vec<Scope>,

    /// An organization that it is for; may be given several times.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    org: Vec<OrgId>,

    /// It is for every organization, those to come included.
    #[arg(long)]
    all_orgs: bool,

    /// When it ends by itself, as 90d; never, if left out.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_in: Option<Duration>,
}

/// List the tokens, without those revoked.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    database: DatabaseFlags,
}

/// Revoke a token. Every replica refuses it within a second.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    database: DatabaseFlags,

    /// The token's id, as `token list` shows it.
    #[arg(value_parser = token_id)]
    id: Uuid,
}

impl Token {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let operator = operator();
        let permit = operator.permit_tokens().context("the operator may manage tokens")?;
        match self {
            Self::Create(create) => {
                let orgs =
                    if create.all_orgs { Orgs::All } else { Orgs::Only(create.org.into_iter().collect()) };
                let scopes: BTreeSet<_> = create.scope.into_iter().collect();
                let reach = Reach { scopes, orgs };
                let wanted = NewToken { name: create.name, reach, expires_in: create.expires_in };
                let tokens = app::open_tokens(create.database.url()?).await?;
                let (token, record) = tokens.create(&permit, wanted, None).await.map_err(|e| match e {
                    Error::InvalidRequest(rule) => Failure::Usage(rule),
                    error => anyhow::Error::new(error).context("no token was made").into(),
                })?;
                eprintln!("token {} is shown this once:", record.id);
                println!("{}", token.reveal());
            }
            Self::List(list) => {
                let tokens = app::open_tokens(list.database.url()?).await?;
                for token in tokens.list(&permit).await.context("the tokens can't be read")? {
                    println!("{}", line(&token));
                }
            }
            Self::Revoke(revoke) => {
                let tokens = app::open_tokens(revoke.database.url()?).await?;
                let revoked = tokens.revoke(&permit, revoke.id, None).await;
                revoked.context(
                    "there is no such token, or it was revoked before; `token list` shows those there are",
                )?;
                eprintln!("token {} is revoked", revoke.id);
            }
        }
        Ok(())
    }
}

fn token_id(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| "it is not a token's id; `keybroker token list` shows those there are".to_owned())
}

fn line(token: &TokenRecord) -> String {
    let scopes = token.reach.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",");
    let orgs = match &token.reach.orgs {
        Orgs::All => "*".to_owned(),
        Orgs::Only(orgs) => orgs.iter().map(OrgId::as_str).collect::<Vec<_>>().join(","),
    };
    let expires = token.expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string());
    format!("{}  {}  orgs={orgs}  scopes={scopes}  expires={expires}", token.id, token.name.as_str())
}
