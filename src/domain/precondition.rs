//! Conditional requests (RFC 9110 §13) on a connection's version.

use super::secret::Version;

/// What a caller demands of the state it is about to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`: nothing may be there.
    Absent,
    /// `If-Match: *`: something must be there.
    Present,
    /// `If-Match: "<version>", …`: one of these must be there.
    OneOf(Vec<Version>),
}

impl Precondition {
    /// Whether it holds where `current` is there.
    #[must_use]
    pub fn holds(&self, current: Option<&Version>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => current.is_none(),
            Self::Present => current.is_some(),
            Self::OneOf(versions) => current.is_some_and(|version| versions.contains(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_holds_where_it_should() {
        let one: Version = "01920000-0000-7000-8000-000000000001".parse().unwrap();
        let two: Version = "01920000-0000-7000-8000-000000000002".parse().unwrap();
        let only_one = Precondition::OneOf(vec![one.clone()]);
        let cases = [
            (Precondition::None, [true, true, true]),
            (Precondition::Absent, [true, false, false]),
            (Precondition::Present, [false, true, true]),
            (only_one, [false, true, false]),
        ];
        for (condition, expected) in cases {
            let found = [None, Some(&one), Some(&two)].map(|current| condition.holds(current));
            assert_eq!(found, expected, "{condition:?}");
        }
    }
}
