//! Connect sessions, as rows. No column holds a link's token or a cookie, only their hashes.

use std::slice::from_ref;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};
use uuid::Uuid;

use super::{Database, decoded, from_json, from_millis, millis, to_json};
use crate::{
    domain::{
        event::Event,
        session::{ConnectSession, Notice, ReturnUrl, Visit},
        token::HashedToken,
    },
    port::{index::IndexError, sessions::SessionIndex},
};

const ADD: &str = "INSERT INTO connect_sessions (id, org, actor, providers, return_url, link_hash, link_until, \
     attempts, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)";

/// By which hash.
macro_rules! find {
    ($column:literal) => {
        concat!(
            "SELECT id, org, actor, providers, return_url, link_hash, link_until, cookie_hash, visit_until, \
             seen_at, attempts, notice, created_at FROM connect_sessions WHERE ",
            $column,
            " = $1"
        )
    };
}

pub(super) const OPEN: &str = "UPDATE connect_sessions SET cookie_hash = $2, visit_until = $4, seen_at = $3 \
     WHERE link_hash = $1 AND visit_until IS NULL AND link_until > $3";

pub(super) const FIND_LINK: &str = find!("link_hash");
pub(super) const FIND_VISIT: &str = find!("cookie_hash");

pub(super) const FORGET: &str = "DELETE FROM connect_sessions WHERE created_at < $1";

pub(super) const COUNT: &str =
    "UPDATE connect_sessions SET attempts = attempts + 1 WHERE id = $1 AND attempts < $2";

#[async_trait]
impl SessionIndex for Database {
    async fn add_session(
        &self,
        session: &ConnectSession,
        link: &HashedToken,
        event: &Event,
    ) -> Result<(), IndexError> {
        let query = sqlx::query(ADD)
            .bind(session.id.to_string())
            .bind(session.org.as_str())
            .bind(to_json(&session.actor))
            .bind(to_json(&session.providers))
            .bind(session.return_url.as_ref().map(|url| url.as_str().to_owned()))
            .bind(link.to_hex())
            .bind(millis(session.link_until))
            .bind(millis(session.created_at));
        self.change(query, from_ref(event)).await.map(drop)
    }

    async fn find_link(&self, link: &HashedToken) -> Result<Option<ConnectSession>, IndexError> {
        self.within(find(self, FIND_LINK, "link_hash", link)).await
    }

    async fn open_link(
        &self,
        link: &HashedToken,
        cookie: &HashedToken,
        now: Timestamp,
        until: Timestamp,
        event: &Event,
    ) -> Result<bool, IndexError> {
        let query =
            sqlx::query(OPEN).bind(link.to_hex()).bind(cookie.to_hex()).bind(millis(now)).bind(millis(until));
        self.change(query, from_ref(event)).await
    }

    async fn find_visit(&self, cookie: &HashedToken) -> Result<Option<ConnectSession>, IndexError> {
        self.within(find(self, FIND_VISIT, "cookie_hash", cookie)).await
    }

    async fn see_visitor(&self, id: Uuid, at: Timestamp) -> Result<(), IndexError> {
        let query = sqlx::query("UPDATE connect_sessions SET seen_at = $2 WHERE id = $1");
        let query = query.bind(id.to_string()).bind(millis(at));
        self.within(query.execute(self.pool())).await.map(drop)
    }

    async fn count_attempt(&self, id: Uuid, most: i64) -> Result<bool, IndexError> {
        let query = sqlx::query(COUNT).bind(id.to_string()).bind(most);
        Ok(self.within(query.execute(self.pool())).await?.rows_affected() == 1)
    }

    async fn keep_notice(&self, id: Uuid, notice: Option<&Notice>) -> Result<(), IndexError> {
        let query = sqlx::query("UPDATE connect_sessions SET notice = $2 WHERE id = $1");
        let query = query.bind(id.to_string()).bind(notice.map(to_json));
        self.within(query.execute(self.pool())).await.map(drop)
    }

    async fn end_visit(&self, id: Uuid) -> Result<(), IndexError> {
        let query = sqlx::query("UPDATE connect_sessions SET visit_until = 0 WHERE id = $1");
        self.within(query.bind(id.to_string()).execute(self.pool())).await.map(drop)
    }
}

pub(super) async fn forget(db: &Database, before: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(FORGET).bind(millis(before)).execute(db.pool()).await.map(drop)
}

async fn find(
    db: &Database,
    query: &'static str,
    column: &'static str,
    hash: &HashedToken,
) -> Result<Option<ConnectSession>, sqlx::Error> {
    let row = sqlx::query(query).bind(hash.to_hex()).fetch_optional(db.pool()).await?;
    match row {
        Some(row) if hash.matches_hex(&row.try_get::<String, _>(column)?) => session(&row).map(Some),
        _ => Ok(None),
    }
}

fn session(row: &AnyRow) -> Result<ConnectSession, sqlx::Error> {
    let text = |column| row.try_get::<String, _>(column);
    let maybe = |column| row.try_get::<Option<String>, _>(column);
    let time = |column| row.try_get::<Option<i64>, _>(column)?.map(from_millis).transpose();
    let visit = time("visit_until")?.zip(time("seen_at")?);
    Ok(ConnectSession {
        id: decoded(text("id")?.parse())?,
        org: decoded(text("org")?.parse())?,
        actor: from_json(&text("actor")?)?,
        providers: from_json(&text("providers")?)?,
        return_url: decoded(maybe("return_url")?.as_deref().map(ReturnUrl::kept).transpose())?,
        created_at: from_millis(row.try_get("created_at")?)?,
        link_until: from_millis(row.try_get("link_until")?)?,
        visit: visit.map(|(until, seen_at)| Visit { until, seen_at }),
        attempts: row.try_get("attempts")?,
        notice: maybe("notice")?.as_deref().map(from_json).transpose()?,
    })
}
