//! How asking a vault can fail, and what to do about it. The API's errors and the portal's table say the
//! same.

/// Why a vault did not give keys. Nothing in it repeats an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultFault {
    /// There was no answer.
    #[error("{0}")]
    Unreachable(&'static str),
    /// It refused the token.
    #[error("it answered {0}")]
    Unauthorized(u16),
    /// It lacks keys of these names.
    #[error("it has no value for {}", .0.join(", "))]
    KeyMissing(Vec<String>),
    /// It answered something else than a vault does.
    #[error("{0}")]
    BadResponse(String),
}

/// A kind of trouble with a vault, as a person meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No answer.
    ConnectionFailed,
    /// The token is refused.
    Unauthorized,
    /// A key is not there.
    KeyNotFound,
    /// The answer makes no sense.
    BadResponse,
}

impl Trouble {
    /// All of them, in the order in which an admin meets them.
    pub const ALL: [Self; 4] =
        [Self::ConnectionFailed, Self::Unauthorized, Self::KeyNotFound, Self::BadResponse];

    /// Its name in metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ConnectionFailed => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::KeyNotFound => "key_missing",
            Self::BadResponse => "bad_response",
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::ConnectionFailed => "Connection failed",
            Self::Unauthorized => "Unauthorized",
            Self::KeyNotFound => "Key not found",
            Self::BadResponse => "Unusable answer",
        }
    }

    /// What is usually behind it.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::ConnectionFailed => {
                "The function URL is wrong or was deleted, or the function takes longer than the time limit."
            }
            Self::Unauthorized => {
                "AUTH_TOKEN in the function is not the token generated here, or the function URL lacks a permission."
            }
            Self::KeyNotFound => "The function has no environment variable of that name, or it is empty.",
            Self::BadResponse => {
                "The function failed, or runs other code than the template, or answers more than 64 KiB."
            }
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::ConnectionFailed => {
                "Copy the function URL again from Configuration, Function URL; set the function's timeout below the time limit, 5 seconds unless the operator changed it."
            }
            Self::Unauthorized => {
                "Generate a token and set it as AUTH_TOKEN, without spaces. If the function URL answers Forbidden, give it both permissions: lambda:InvokeFunctionUrl and lambda:InvokeFunction for principal *."
            }
            Self::KeyNotFound => {
                "Add the variable under Configuration, Environment variables, spelled exactly as listed, and save."
            }
            Self::BadResponse => {
                "Deploy the template unchanged as index.mjs, with the handler index.handler, and look at the function's log in CloudWatch."
            }
        }
    }
}

impl VaultFault {
    /// What happened, what is usually behind it and what to do, in sentences.
    #[must_use]
    pub fn explained(&self) -> String {
        let trouble = self.trouble();
        format!("{self}. {} {}", trouble.cause(), trouble.remedy())
    }

    /// Which kind of trouble it is.
    #[must_use]
    pub const fn trouble(&self) -> Trouble {
        match self {
            Self::Unreachable(_) => Trouble::ConnectionFailed,
            Self::Unauthorized(_) => Trouble::Unauthorized,
            Self::KeyMissing(_) => Trouble::KeyNotFound,
            Self::BadResponse(_) => Trouble::BadResponse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_tells_a_cause_and_a_remedy() {
        for trouble in Trouble::ALL {
            for text in [trouble.cause(), trouble.remedy()] {
                assert!(text.ends_with('.') && text.len() > 20, "{text}");
            }
        }
    }
}
