//! The tests' own view of a service's database, and a way to stop it from being written.

use sqlx::{AnyConnection, Connection, Executor, Row};

/// A connection of the test's own.
pub(crate) struct Database {
    url: String,
    connection: AnyConnection,
}

impl Database {
    pub(crate) async fn connect(url: &str) -> Self {
        sqlx::any::install_default_drivers();
        let connection = AnyConnection::connect(url).await.expect("the database is there");
        Self { url: url.to_owned(), connection }
    }

    /// A new, empty PostgreSQL database's URL.
    pub(crate) async fn create(server: &str) -> String {
        let name = format!("kb_{}", uuid::Uuid::from_bytes(crate::support::app::random_bytes()).simple());
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        Self::connect(server).await.connection.execute(create).await.unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }

    pub(crate) async fn count(&mut self, query: &'static str) -> i64 {
        self.connection.fetch_one(query).await.unwrap().get(0)
    }

    pub(crate) async fn execute(&mut self, statement: &'static str) {
        self.connection.execute(statement).await.unwrap();
    }

    pub(crate) async fn run(&mut self, statement: String) {
        self.connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }

    /// How the database would carry out a query whose values it does not know yet, step by step.
    pub(crate) async fn plan(&mut self, query: &str) -> Vec<String> {
        if self.url.starts_with("sqlite") {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            return self.rows(explain, "detail").await;
        }
        let values = (1..).take_while(|place| query.contains(&format!("${place}"))).map(|_| "NULL");
        let values = values.collect::<Vec<_>>().join(", ");
        let values = if values.is_empty() { values } else { format!("({values})") };
        for statement in
            ["SET plan_cache_mode = force_generic_plan".to_owned(), format!("PREPARE asked AS {query}")]
        {
            self.run(statement).await;
        }
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE asked{values}"));
        let plan = self.rows(explain, "QUERY PLAN").await;
        self.run("DEALLOCATE asked".to_owned()).await;
        plan
    }

    async fn rows(&mut self, query: sqlx::AssertSqlSafe<String>, column: &str) -> Vec<String> {
        self.connection.fetch_all(query).await.unwrap().iter().map(|row| row.get(column)).collect()
    }

    /// How many writes are under way, or left behind.
    pub(crate) async fn intents(&mut self) -> i64 {
        self.count("SELECT COUNT(*) FROM write_intents").await
    }

    /// Every row of every table, as text.
    pub(crate) async fn dump(&mut self) -> String {
        let mut dump = String::new();
        for query in [
            "SELECT CAST(t AS TEXT) FROM connections t",
            "SELECT CAST(t AS TEXT) FROM write_intents t",
            "SELECT CAST(t AS TEXT) FROM idempotency_keys t",
            "SELECT CAST(t AS TEXT) FROM tokens t",
            "SELECT CAST(t AS TEXT) FROM events t",
            "SELECT CAST(t AS TEXT) FROM event_chains t",
            "SELECT CAST(t AS TEXT) FROM connect_sessions t",
            "SELECT CAST(t AS TEXT) FROM vaults t",
        ] {
            for row in self.connection.fetch_all(query).await.unwrap() {
                dump.push_str(row.get(0));
                dump.push('\n');
            }
        }
        dump
    }

    /// Stops every other connection from committing a change, until dropped.
    pub(crate) async fn freeze(&self) -> Self {
        let mut other = Self::connect(&self.url).await;
        if self.url.starts_with("sqlite") {
            other.connection.execute("PRAGMA busy_timeout = 20000").await.unwrap();
            other.connection.execute("BEGIN IMMEDIATE").await.unwrap();
        } else {
            other.connection.execute("BEGIN").await.unwrap();
            let lock = "LOCK TABLE write_intents, event_counter IN ACCESS EXCLUSIVE MODE";
            other.connection.execute(lock).await.unwrap();
        }
        other
    }

    /// Ends every connection to a PostgreSQL database and lets none in.
    pub(crate) async fn take_down(self) -> DownDatabase {
        let (server, name) = self.url.rsplit_once('/').unwrap();
        let mut down =
            DownDatabase { server: Self::connect(&format!("{server}/postgres")).await, name: name.into() };
        drop(self.connection);
        down.allow(false).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(end).bind(&down.name).execute(&mut down.server.connection).await.unwrap();
        down
    }
}

/// A database that nobody can reach.
pub(crate) struct DownDatabase {
    server: Database,
    name: String,
}

impl DownDatabase {
    pub(crate) async fn bring_up(mut self) {
        self.allow(true).await;
    }

    async fn allow(&mut self, connections: bool) {
        let alter = format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {connections}", self.name);
        self.server.connection.execute(sqlx::AssertSqlSafe(alter)).await.unwrap();
    }
}
