//! `keybroker import`, beside a running service.

mod adoption;
mod input;
mod interrupted;
mod limits;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{commands::finish, support::TestApp};

/// A file to be imported, and what an import leaves beside it.
struct Rows {
    folder: tempfile::TempDir,
}

impl Rows {
    fn new(lines: &[String]) -> Self {
        let rows = Self { folder: tempfile::tempdir().unwrap() };
        rows.write(lines);
        rows
    }

    fn of(values: &[Value]) -> Self {
        Self::new(&values.iter().map(Value::to_string).collect::<Vec<_>>())
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.file(), lines.join("\n")).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("rows.jsonl")
    }

    fn progress(&self) -> PathBuf {
        self.file().with_added_extension("progress")
    }

    /// Line, organization, connection and reason of each refused row.
    fn refused(&self) -> Vec<Value> {
        self.refused_in("refused.jsonl")
    }

    /// The same of a dry run.
    fn refused_by_dry_run(&self) -> Vec<Value> {
        self.refused_in("dry-run.refused.jsonl")
    }

    fn refused_in(&self, extension: &str) -> Vec<Value> {
        let file = self.file().with_added_extension(extension);
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn refused_lines(&self) -> Vec<u64> {
        self.refused().iter().map(|row| row["line"].as_u64().unwrap()).collect()
    }

    /// The names of the files that are there.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The command that imports it into the app's database and store.
    fn command(&self, app: &TestApp, flags: &[&str]) -> Command {
        let mut command = app.command(&["import"]);
        command.arg(self.file()).args(flags);
        command
    }

    fn import(&self, app: &TestApp, flags: &[&str]) -> Told {
        finish(&mut self.command(app, flags)).into()
    }
}

/// How an import ended and what it said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let told =
            Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!told.stderr.contains("panicked"), "{told:?}");
        told
    }
}

impl Told {
    #[track_caller]
    fn expect(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in says {
            assert!(self.stdout.contains(part) || self.stderr.contains(part), "{part:?} in {self:?}");
        }
        self
    }
}

/// A row that stores a Vapi key.
fn vapi(org: &str, connection: &str, private: &str) -> Value {
    let credentials = json!({"publicApiKey": "pk", "privateApiKey": private});
    json!({"org": org, "connection": connection, "provider": "vapi", "credentials": credentials})
}

/// A row that adopts a Vapi key.
fn adopted(org: &str, connection: &str) -> Value {
    json!({"org": org, "connection": connection, "provider": "vapi"})
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
