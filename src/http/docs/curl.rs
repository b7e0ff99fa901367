//! Requests as a person can try them in a shell.

use std::fmt::Write;

use serde_json::Value;

/// A request to be written.
pub(super) struct Sample<'a> {
    pub(super) method: &'a str,
    /// With its parameters filled in.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: Option<&'a Value>,
    pub(super) needs_token: bool,
}

/// The curl command.
pub(super) fn command(sample: &Sample<'_>) -> String {
    let mut command = String::from("curl");
    if sample.method != "GET" {
        _ = write!(command, " -X {}", sample.method);
    }
    _ = write!(command, " \"$KEYBROKER_URL{}\"", in_double_quotes(sample.path));
    if sample.needs_token {
        command.push_str(" \\\n  -H \"Authorization: Bearer $KEYBROKER_TOKEN\"");
    }
    for (name, value) in sample.headers {
        _ = write!(command, " \\\n  -H {}", quoted(&format!("{name}: {value}")));
    }
    if let Some(body) = sample.body {
        let body = pretty(body).replace('\n', "\n  ");
        _ = write!(command, " \\\n  -H 'Content-Type: application/json' \\\n  -d {}", quoted(&body));
    }
    command
}

/// JSON, indented.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn in_double_quotes(text: &str) -> String {
    let special = |c: char| matches!(c, '"' | '$' | '`' | '\\');
    let escape = |c: char| special(c).then_some('\\').into_iter().chain([c]);
    text.chars().flat_map(escape).collect()
}
