//! The commands: their exit codes, and what they say.

mod dev;
mod lifecycle;
mod usage;

use std::process::{Command, Output};

use crate::support::app::program;

/// A command with this environment and nothing else.
fn keybroker(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = program();
    command.args(arguments).envs(environment.iter().copied());
    command
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    keybroker(arguments, environment).output().unwrap()
}

/// What a command printed that did its work.
#[track_caller]
fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Checks how a command failed, and that what it says is all of these.
#[track_caller]
fn failed(output: &Output, code: i32, says: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(output.stdout.is_empty(), "errors go to standard error: {output:?}");
    for part in says {
        assert!(text.contains(part), "should say {part:?}: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}
