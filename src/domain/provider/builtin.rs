//! The built-in entries, one file each, part of the program.

macro_rules! entries {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("builtin/", $name, ".toml")))),+]
    };
}

/// Name and text of every built-in entry.
pub(super) const ENTRIES: &[(&str, &str)] = entries![
    "anthropic",
    "custom",
    "deepgram",
    "deepseek",
    "elevenlabs",
    "google",
    "grok",
    "openai",
    "sendgrid",
    "slack",
    "smtp",
    "telegram",
    "twilio",
    "vapi",
];
