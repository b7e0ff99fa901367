//! The index in SQLite or PostgreSQL: one dialect, one folder of migrations.
//!
//! TEXT and BIGINT, `$1`, `ON CONFLICT`, times in milliseconds: what both databases take. To add a
//! query: put it into the file of its table, with the organization in its `WHERE`.

mod audit;
mod chains;
mod checks;
mod connections;
mod events;
mod hot;
mod leases;
mod listen;
mod lookups;
mod reads;
mod seal;
mod sessions;
mod system;
mod tokens;
mod vaults;
mod writes;

use std::{fs::File, future::Future, io, path::PathBuf, time::Duration};

use jiff::Timestamp;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection, Database as _, Executor, Row, Sqlite, Transaction,
    any::AnyPoolOptions,
};
use tokio::time::{error::Elapsed, timeout};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::hot::hot_queries;
use self::lookups::Lookups;
use crate::port::index::IndexError;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// How long one question to the database may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Makes SQLite durable (each commit reaches the disk), concurrent (readers don't wait for the writer) and
/// forgetful (what is deleted is overwritten). With a checkpoint every 4 MB, SQLite's own choice, the pages
/// of the audit log's indexes are written many times over.
const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA busy_timeout = 4000; PRAGMA secure_delete = ON; \
     PRAGMA wal_autocheckpoint = 16384";

/// An open database with the current schema.
#[derive(Debug, Clone)]
pub struct Database {
    pool: AnyPool,
    lookups: Lookups,
    tasks: TaskTracker,
    /// How a transaction that will write begins: on SQLite it takes the write lock at once, since one
    /// that reads first and writes later fails when another wrote in between.
    begin: &'static str,
    /// Names this process in the events that it appends.
    origin: Uuid,
}

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of a database that keybroker knows.
    #[error("the database URL must be sqlite:PATH or postgres://USER@HOST/NAME")]
    Url,
    /// It does not answer.
    #[error("the database can't be opened: {0}; check KEYBROKER_DATABASE_URL and that the database runs")]
    Connect(String),
    /// Its schema can't be brought up to date.
    #[error("the database's schema can't be brought up to date: {0}")]
    Migrate(String),
}

impl Database {
    /// Opens the database, makes it if it is a SQLite file that isn't there, and brings its schema up
    /// to date. `connections` bounds the pool; `origin` names this process.
    ///
    /// # Errors
    /// If the URL is wrong, the database does not answer, or a migration fails.
    pub async fn open(url: &str, connections: u32, origin: Uuid) -> Result<Self, OpenError> {
        let url = Url::parse(url)?;
        let sqlite = url.is_sqlite();
        url.make_private_file().map_err(|e| OpenError::Connect(e.to_string()))?;
        // First without the pool, which would say no more than that it waited in vain.
        let mut first = url.connect().await?;
        // Only then: even asking for a table that is there takes the right to make one.
        if pending(&mut first).await > 0 {
            MIGRATIONS.run(&mut first).await.map_err(|e| OpenError::Migrate(e.to_string()))?;
        }
        first.close().await.map_err(|e| connect_error(&e))?;
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(TIME_LIMIT)
            // With either, sqlx 0.9.0 looks after idle connections in a task that can spin for ever, by an
            // underflow of its count (launchbadge/sqlx#3645). One that was lost meanwhile is found by trying
            // each before it is used; those of SQLite are threads of this process, which trying would only
            // hold up.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(!sqlite)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        connection.execute(SQLITE_SETTINGS).await?;
                    }
                    Ok(())
                })
            })
            .connect(url.as_str())
            .await
            .map_err(|e| connect_error(&e))?;
        let tasks = TaskTracker::new();
        let lookups = Lookups::start(pool.clone(), &tasks);
        Ok(Self { pool, lookups, tasks, begin: if sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }, origin })
    }

    /// Looks at a database without changing it.
    ///
    /// # Errors
    /// If the URL is wrong or the database does not answer.
    pub async fn inspect(url: &str) -> Result<Inspection, OpenError> {
        let url = Url::parse(url)?;
        if url.sqlite_file().is_some_and(|file| !file.exists()) {
            return Ok(Inspection { pending: MIGRATIONS.iter().count(), clock: None });
        }
        let mut connection = url.connect().await?;
        let pending = pending(&mut connection).await;
        let clock = if url.is_sqlite() {
            None
        } else {
            let now = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
            let row = sqlx::query(now).fetch_one(&mut connection).await.map_err(|e| connect_error(&e))?;
            Some(row.try_get(0).and_then(from_millis).map_err(|e| connect_error(&e))?)
        };
        Ok(Inspection { pending, clock })
    }

    /// The connections, for a single statement.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A transaction that will write.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, IndexError> {
        self.within(self.pool.begin_with(self.begin)).await
    }

    /// A connection apart from the others, for transactions that are large and delete what holds no secrets.
    /// SQLite does not overwrite that there, which would take as much writing as there is to delete, and
    /// keeps up to 32 MiB of pages in memory, so that it writes each of them once and not whenever 2 MB are
    /// changed.
    async fn apart(&self) -> Result<AnyConnection, IndexError> {
        let mut connection = self.within(self.pool.acquire()).await?.detach();
        if connection.backend_name() == Sqlite::NAME {
            let settings = "PRAGMA secure_delete = OFF; PRAGMA cache_size = -32768";
            self.within(connection.execute(settings)).await?;
        }
        Ok(connection)
    }

    /// Waits for the database's answer, but not for ever.
    ///
    /// # Errors
    /// If it does not come in time, or is an error.
    pub async fn within<T>(
        &self,
        question: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, IndexError> {
        timeout(TIME_LIMIT, question).await.map_err(late)?.map_err(|e| index_error(&e))
    }

    /// Closes the connections, after what is under way.
    pub async fn close(&self) {
        self.pool.close().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn late(_: Elapsed) -> IndexError {
    IndexError::Unavailable(format!("no answer within {TIME_LIMIT:?}"))
}

/// What a database is like.
#[derive(Debug)]
pub struct Inspection {
    /// How many migrations it lacks.
    pub pending: usize,
    /// What it takes for the time; nothing where its clock is this machine's.
    pub clock: Option<Timestamp>,
}

/// A URL of a database that keybroker knows.
#[derive(Debug)]
pub struct Url(String);

impl Url {
    /// Reads one. A SQLite file that isn't there is made, unless the URL says otherwise.
    ///
    /// # Errors
    /// If it is neither `sqlite:PATH` nor `postgres://…`.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(text.to_owned()));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if path.contains('?') => Ok(Self(text.to_owned())),
            Some(_) => Ok(Self(format!("{text}?mode=rwc"))),
            None => Err(OpenError::Url),
        }
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    async fn connect(&self) -> Result<AnyConnection, OpenError> {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(self.as_str()).await.map_err(|e| connect_error(&e))
    }

    fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    /// Makes a SQLite file that isn't there, for its owner only: with the embedded store it holds the
    /// secrets, encrypted as they are. SQLite gives the files beside it the same mode.
    fn make_private_file(&self) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let Some(file) = self.sqlite_file().filter(|_| self.0.contains("mode=rwc")) else { return Ok(()) };
        File::options().create(true).truncate(false).write(true).mode(0o600).open(file).map(drop)
    }

    /// The file, where it is one.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let path = self.0.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        path.split('?').next().map(PathBuf::from)
    }
}

/// How many migrations a database lacks: all, if it says nothing of them. One of a newer keybroker than
/// this does no harm, so that replicas can be replaced one by one.
async fn pending(database: impl Executor<'_, Database = Any>) -> usize {
    let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(database).await;
    let applied: Vec<i64> = applied.unwrap_or_default();
    MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count()
}

/// What went wrong, without the URL, which may hold a password.
fn connect_error(error: &sqlx::Error) -> OpenError {
    OpenError::Connect(match error {
        sqlx::Error::Configuration(_) => "its URL has a form or a parameter that is not understood".into(),
        error => error.to_string(),
    })
}

fn index_error(error: &sqlx::Error) -> IndexError {
    use sqlx::Error as E;
    match error {
        E::ColumnDecode { .. }
        | E::ColumnNotFound(_)
        | E::ColumnIndexOutOfBounds { .. }
        | E::Decode(_)
        | E::TypeNotFound { .. }
        | E::Encode(_) => IndexError::Broken(error.to_string()),
        E::Database(inner) if inner.is_unique_violation() || inner.is_check_violation() => {
            IndexError::Broken(error.to_string())
        }
        E::RowNotFound => IndexError::NotFound,
        // Whatever else it is, the question may be asked again.
        _ => IndexError::Unavailable(error.to_string()),
    }
}

fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

fn decoded<T, E>(value: Result<T, E>) -> Result<T, sqlx::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    value.map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

fn from_millis(millis: i64) -> Result<Timestamp, sqlx::Error> {
    decoded(Timestamp::from_millisecond(millis))
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("values of the domain are always written")
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    decoded(serde_json::from_str(text))
}

/// The most rows of so many columns that one statement names. SQLite looks for each parameter's number among
/// all of the statement's, at every parse and every binding, so that one costs the more the more there are.
const fn most_rows(columns: usize) -> usize {
    192 / columns
}

/// A statement made for so many rows: of numbered places, and so safe. Full ones are all the same text and
/// stay prepared.
fn for_rows(sql: String, rows: usize, columns: usize) -> events::Query {
    sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(rows == most_rows(columns))
}

/// `($1, $2), ($3, $4)` and so on.
fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}
