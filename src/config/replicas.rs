//! What a replica does while it can't hear of the others' changes.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ConfigError, duration};

/// What a replica does while it can't hear of the others' changes.
#[derive(Debug, Clone, Args)]
pub struct ReplicaFlags {
    /// How long memory is trusted after the database last said what others changed.
    #[arg(long, env = "KEYBROKER_MAX_BLINDNESS", default_value = "5s", value_name = "TIME", value_parser = duration)]
    max_blindness: Duration,

    /// What becomes of memory past that: confirmed with the database each time, or served.
    #[arg(long, env = "KEYBROKER_WHEN_BLIND", default_value = "confirm", value_name = "CHOICE")]
    when_blind: WhenBlind,
}

/// What becomes of memory while a replica is blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenBlind {
    /// The database is asked each time; while it is down, nothing is served.
    Confirm,
    /// It is served, for its whole time: a replaced key and a revoked token too.
    Serve,
}

/// The shortest bound: less, and an ordinary pause of the database would make blind.
const SHORTEST: Duration = Duration::from_millis(500);

impl ReplicaFlags {
    /// The settings.
    ///
    /// # Errors
    /// If the time is out of bounds.
    pub fn settings(&self) -> Result<ReplicaSettings, ConfigError> {
        if self.max_blindness < SHORTEST {
            return Err(ConfigError("KEYBROKER_MAX_BLINDNESS must be at least 500ms".into()));
        }
        let bounded = self.when_blind == WhenBlind::Confirm;
        Ok(ReplicaSettings { max_blindness: bounded.then_some(self.max_blindness) })
    }
}

/// What a replica does while it can't hear of the others' changes, checked.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaSettings {
    /// How long memory is trusted after the database last said what others changed; nothing: always.
    pub max_blindness: Option<Duration>,
}
