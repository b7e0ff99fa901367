//! Where a vault may be. The URL is a stranger's input: what is not plainly a function's public address is
//! refused here, and every address it leads to is checked when it is used.

use std::{fmt, str::FromStr};

use url::Url;

/// The longest URL that is taken, in bytes.
const LONGEST: usize = 2_048;

/// A host that vaults may have: a name, or `*.` and a name for all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: String,
    below: bool,
}

/// Not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a host pattern is a host name, or `*.` and a host name, for instance *.on.aws")]
pub struct InvalidHostPattern;

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let whole = name.len() <= 253 && name.split('.').all(label);
        // One label alone would allow a whole top-level domain.
        let narrow = !below || name.contains('.');
        if whole && narrow {
            Ok(Self { name: name.to_ascii_lowercase(), below })
        } else {
            Err(InvalidHostPattern)
        }
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        if !self.below {
            return host == self.name;
        }
        host.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

/// Which URLs a vault may have.
#[derive(Debug, Clone)]
pub struct UrlRules {
    /// The hosts, under https.
    pub hosts: Vec<HostPattern>,
    /// Whether `http` is taken too, of which only private addresses are then asked; for development.
    pub allow_http: bool,
}

/// A function's URL that keeps the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultUrl(Url);

/// Why a URL is not taken; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVaultUrl {
    /// It is no absolute URL, or too long.
    #[error("the vault's URL must be an absolute URL of at most {LONGEST} characters")]
    Malformed,
    /// It would send keys in clear.
    #[error("the vault's URL must start with https://")]
    NotSecure,
    /// It carries more than a place.
    #[error(
        "the vault's URL must have no user name, password, port, query or fragment: copy the function URL as the console shows it"
    )]
    Extra,
    /// Its host is none of those allowed.
    #[error("the vault's host must be one of {0}: a function URL ends with .lambda-url.<region>.on.aws")]
    Host(String),
}

impl VaultUrl {
    /// Reads a URL and checks it against the rules.
    ///
    /// # Errors
    /// If it breaks one.
    pub fn parse(text: &str, rules: &UrlRules) -> Result<Self, InvalidVaultUrl> {
        // The parser would forgive white space and control characters inside it.
        if text.len() > LONGEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidVaultUrl::Malformed);
        }
        let url = Url::parse(text).map_err(|_| InvalidVaultUrl::Malformed)?;
        let host = url.host_str().ok_or(InvalidVaultUrl::Malformed)?;
        let plain_http = url.scheme() == "http" && rules.allow_http;
        if url.scheme() != "https" && !plain_http {
            return Err(InvalidVaultUrl::NotSecure);
        }
        let login = !url.username().is_empty() || url.password().is_some() || text.contains('@');
        let port = url.port().is_some() && !plain_http;
        if login || port || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidVaultUrl::Extra);
        }
        if !plain_http && !rules.hosts.iter().any(|pattern| pattern.matches(host)) {
            let hosts: Vec<_> = rules.hosts.iter().map(ToString::to_string).collect();
            return Err(InvalidVaultUrl::Host(hosts.join(", ")));
        }
        Ok(Self(url))
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL in its parts.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow_http: bool) -> UrlRules {
        UrlRules {
            hosts: vec!["*.on.aws".parse().unwrap(), "vault.acme.example".parse().unwrap()],
            allow_http,
        }
    }

    #[test]
    fn function_urls_are_taken() {
        let rules = rules(false);
        for url in [
            "https://abc123.lambda-url.us-east-1.on.aws/",
            "https://abc123.lambda-url.us-east-1.on.aws",
            "https://ABC123.Lambda-URL.us-east-1.ON.AWS/",
            "https://abc123.lambda-url.us-east-1.on.aws:443/",
            "https://vault.acme.example/keys",
        ] {
            assert!(VaultUrl::parse(url, &rules).is_ok(), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let rules = rules(false);
        for url in [
            "",
            "abc.on.aws",
            "//abc.on.aws/",
            "http://abc.on.aws/",
            "ftp://abc.on.aws/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://on.aws/",
            "https://.on.aws/",
            "https://evil-on.aws/",
            "https://abc.on.aws.evil.example/",
            "https://abc.on.aws./",
            "https://evil.example/abc.on.aws",
            "https://evil.example\\.on.aws/",
            "https://abc.on.aws:8443/",
            "https://user@abc.on.aws/",
            "https://user:password@abc.on.aws/",
            "https://@abc.on.aws/",
            "https://abc.on.aws@evil.example/",
            "https://abc.on.aws/?a=b",
            "https://abc.on.aws/?",
            "https://abc.on.aws/#a",
            "https://abc.on.aws/\n",
            " https://abc.on.aws/",
            "https://abc\t.on.aws/",
            "https://ab\u{e9}.on.aws/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://localhost/",
            "https://sub.vault.acme.example/",
        ] {
            assert!(VaultUrl::parse(url, &rules).is_err(), "{url}");
        }
        let long = format!("https://abc.on.aws/{}", "a".repeat(LONGEST));
        assert_eq!(VaultUrl::parse(&long, &rules), Err(InvalidVaultUrl::Malformed));
    }

    #[test]
    fn plain_http_is_for_development() {
        for url in ["http://127.0.0.1:8080/", "http://localhost:9/vault"] {
            assert!(VaultUrl::parse(url, &rules(true)).is_ok(), "{url}");
            assert_eq!(VaultUrl::parse(url, &rules(false)), Err(InvalidVaultUrl::NotSecure), "{url}");
        }
        assert!(VaultUrl::parse("https://evil.example/", &rules(true)).is_err());
    }

    #[test]
    fn patterns() {
        for good in ["*.on.aws", "vault.example", "localhost", "*.Lambda-URL.eu-central-1.on.aws"] {
            assert!(good.parse::<HostPattern>().is_ok(), "{good}");
        }
        for bad in ["", "*", "*.", "*.aws", "a.*.b", "**.on.aws", "on.aws/", "on.aws:443", ".on.aws", "a..b"]
        {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
