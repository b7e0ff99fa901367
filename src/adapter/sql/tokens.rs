//! API tokens, as rows. No column holds a token, only its hash.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};
use uuid::Uuid;

use super::{Database, decoded, from_json, from_millis, millis, to_json};
use crate::{
    domain::{
        access::{Orgs, Reach},
        event::Event,
        id::OrgId,
        token::{HashedToken, TokenName, TokenRecord},
    },
    port::index::{IndexError, TokenIndex},
};

pub(super) const FIND: &str =
    "SELECT id, hash, name, scopes, orgs, created_at, expires_at, revoked_at FROM tokens WHERE hash = $1";

const LIST: &str = "SELECT id, hash, name, scopes, orgs, created_at, expires_at, revoked_at FROM tokens \
     WHERE revoked_at IS NULL ORDER BY created_at, id";

const ADD: &str = "INSERT INTO tokens (id, hash, name, scopes, orgs, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";

pub(super) const REVOKE: &str = "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

#[async_trait]
impl TokenIndex for Database {
    async fn find_token(&self, hash: &HashedToken) -> Result<Option<TokenRecord>, IndexError> {
        let query = sqlx::query(FIND).bind(hash.to_hex());
        self.within(async {
            let row = query.fetch_optional(self.pool()).await?;
            match row {
                Some(row) if hash.matches_hex(&row.try_get::<String, _>("hash")?) => token(&row).map(Some),
                _ => Ok(None),
            }
        })
        .await
    }

    async fn list_tokens(&self) -> Result<Vec<TokenRecord>, IndexError> {
        let rows = sqlx::query(LIST).fetch_all(self.pool());
        self.within(async { rows.await?.iter().map(token).collect() }).await
    }

    async fn add_token(
        &self,
        token: &TokenRecord,
        hash: &HashedToken,
        events: &[Event],
    ) -> Result<bool, IndexError> {
        let orgs = match &token.reach.orgs {
            Orgs::All => None,
            Orgs::Only(orgs) => Some(orgs),
        };
        let query = sqlx::query(ADD)
            .bind(token.id.to_string())
            .bind(hash.to_hex())
            .bind(token.name.as_str())
            .bind(to_json(&token.reach.scopes))
            .bind(to_json(&orgs))
            .bind(millis(token.created_at))
            .bind(token.expires_at.map(millis));
        self.change(query, events).await
    }

    async fn revoke_token(&self, id: Uuid, at: Timestamp, events: &[Event]) -> Result<bool, IndexError> {
        self.change(sqlx::query(REVOKE).bind(id.to_string()).bind(millis(at)), events).await
    }
}

fn token(row: &AnyRow) -> Result<TokenRecord, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let time = |column| row.try_get::<Option<i64>, _>(column)?.map(from_millis).transpose();
    let orgs: Option<BTreeSet<OrgId>> = from_json(&text("orgs")?)?;
    Ok(TokenRecord {
        id: decoded(text("id")?.parse())?,
        name: decoded(TokenName::try_from(text("name")?))?,
        reach: Reach { scopes: from_json(&text("scopes")?)?, orgs: orgs.map_or(Orgs::All, Orgs::Only) },
        created_at: from_millis(row.try_get("created_at")?)?,
        expires_at: time("expires_at")?,
        revoked_at: time("revoked_at")?,
    })
}
