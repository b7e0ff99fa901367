//! What people write, as it may be shown in a line.

/// Whether text is 1 to `longest` characters, none of them a control character.
#[must_use]
pub fn is_line(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
