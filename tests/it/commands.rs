//! The commands: their exit codes, and what they say.

mod dev;
mod lifecycle;
mod usage;

use std::{
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::support::app::program;

/// A command with this environment and nothing else.
fn keybroker(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = program();
    command.args(arguments).envs(environment.iter().copied());
    command
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    finish(&mut keybroker(arguments, environment))
}

/// Waits for a command's end, but not for ever: it may serve where it should have refused.
pub(crate) fn finish(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = command.spawn().unwrap();
    let id = process.id().to_string();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(process.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(Duration::from_mins(1)) else {
        Command::new("kill").args(["-KILL", &id]).status().unwrap();
        panic!("still running: {command:?}");
    };
    output.unwrap()
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
