//! Connections that many ask for at the same time: one query finds them, and each gets its own.

use futures_util::future::join_all;
use keybroker::{
    adapter::sql,
    port::index::{ConnectionIndex, IndexError},
};
use rstest::rstest;
use uuid::Uuid;

use crate::support::{Db, database::Database};

/// Thirty names in each of four organizations, the same ones.
const CONNECTIONS: &str = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 119) \
     INSERT INTO connections (org, name, provider, status, source, version, generation, fields, created_at, updated_at) \
     SELECT 'org' || (i / 30), 'name' || (i % 30), 'custom', 'active', 'managed', \
     '00000000-0000-0000-0000-000000000000', 1, '[]', i, i FROM n";

#[rstest]
#[case::sqlite(Db::Sqlite)]
#[case::postgres(Db::Postgres)]
#[tokio::test]
async fn of_many_who_ask_at_once_each_gets_its_own(#[case] db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let url = db.url(folder.path()).await;
    let index = sql::Database::open(&url, 2, Uuid::nil()).await.unwrap();
    let mut database = Database::connect(&url).await;
    database.execute(CONNECTIONS).await;
    database
        .execute("UPDATE connections SET status = 'nonsense' WHERE org = 'org1' AND name = 'name7'")
        .await;

    // Twice each, and some that are not there.
    let asked = (0..5).flat_map(|org| (0..31).map(move |name| (format!("org{org}"), format!("name{name}"))));
    let asked: Vec<_> = asked.clone().chain(asked).collect();
    let answers = asked.iter().map(|(org, name)| async {
        let (org, name) = (org.parse().unwrap(), name.parse().unwrap());
        index.find_connection(&org, &name).await
    });
    for ((org, name), answer) in asked.iter().zip(join_all(answers).await) {
        match (org.as_str(), name.as_str()) {
            ("org4", _) | (_, "name30") => assert_eq!(answer.unwrap(), None, "{org} {name}"),
            ("org1", "name7") => assert!(matches!(answer, Err(IndexError::Broken(_))), "{answer:?}"),
            _ => {
                let found = answer.unwrap().unwrap();
                assert_eq!((found.org.as_str(), found.name.as_str()), (org.as_str(), name.as_str()));
            }
        }
    }

    index.close().await;
    let (org, name) = asked[0].clone();
    let answer = index.find_connection(&org.parse().unwrap(), &name.parse().unwrap()).await;
    assert!(matches!(answer, Err(IndexError::Unavailable(_))), "{answer:?}");
}
