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
    "elevenlabs_eu",
    "elevenlabs_in",
    "google",
    "grok",
    "openai",
    "openai_eu",
    "openai_us",
    "sendgrid",
    "sendgrid_eu",
    "slack",
    "smtp",
    "telegram",
    "twilio",
    "vapi",
    "vapi_eu",
];
