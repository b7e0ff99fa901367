//! What is around every page: the app's name, the ways to the other pages, who is signed in.

use super::{
    assets,
    branding::{Branding, theme_css},
    provider::monogram,
    text::{Language, Texts, fill},
};

/// What is the same on every page, made once at the start.
#[derive(Debug, Clone)]
pub(in crate::http) struct Site {
    pub(super) branding: Branding,
    /// What stands before `/portal` in a browser, without a slash at its end: the path of the public URL.
    pub(super) base: String,
    pub(super) css: String,
    pub(super) theme: String,
    pub(super) js: String,
    pub(super) icon: String,
}

impl Site {
    /// The portal of an app, reached below the path `base` of the public URL: "" or `/keys`.
    pub(in crate::http) fn new(branding: Branding, base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let theme = theme_css(&branding);
        let address =
            |path: &str, body: &str| format!("{base}{path}?v={:08x}", crc32fast::hash(body.as_bytes()));
        Self {
            css: address(assets::CSS.path, assets::CSS.body),
            theme: address(assets::THEME_PATH, &theme),
            js: address(assets::JS.path, assets::JS.body),
            icon: address(assets::ICON.path, assets::ICON.body),
            branding,
            base,
        }
    }
}

impl Site {
    /// What is served at [`assets::THEME_PATH`].
    pub(in crate::http) fn theme_css(&self) -> String {
        theme_css(&self.branding)
    }

    /// The `Content-Security-Policy` that every page keeps to.
    pub(in crate::http) fn content_security_policy(&self) -> String {
        let logo = self.branding.logo_url.as_deref().and_then(origin).map(|origin| format!(" {origin}"));
        format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'{}; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
            logo.unwrap_or_default()
        )
    }
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub(in crate::http) struct Visitor {
    /// The actor's name, if the app told one.
    pub(in crate::http) actor: Option<String>,
    /// For the hidden field `csrf` of every form.
    pub(in crate::http) csrf: String,
    /// Where the app wants them back, checked against the allow-list.
    pub(in crate::http) return_url: Option<String>,
}

/// The pages that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Integrations,
    Activity,
    Security,
}

/// What a page is put into.
#[derive(Clone, Copy)]
pub(in crate::http) struct Frame<'a> {
    pub(super) site: &'a Site,
    pub(super) visitor: Option<&'a Visitor>,
    pub(super) language: Language,
    pub(super) t: &'static Texts,
}

impl<'a> Frame<'a> {
    /// The frame of one answer. Without a visitor there is no navigation.
    pub(in crate::http) fn new(site: &'a Site, language: Language, visitor: Option<&'a Visitor>) -> Self {
        Self { site, visitor, language, t: language.texts() }
    }

    pub(super) fn app(&self) -> &'a str {
        &self.site.branding.app_name
    }

    /// What stands for the app where it has no logo.
    pub(super) fn app_letters(&self) -> String {
        monogram(self.app()).chars().take(1).collect()
    }

    /// A text that may name the app.
    pub(super) fn say(&self, text: &str) -> String {
        fill(text, &[("app", self.app())])
    }

    /// A text that may name the app and a provider.
    pub(super) fn of(&self, text: &str, provider: &str) -> String {
        fill(text, &[("app", self.app()), ("provider", provider)])
    }

    pub(super) fn csrf(&self) -> &'a str {
        self.visitor.map_or("", |visitor| visitor.csrf.as_str())
    }

    pub(super) fn return_url(&self) -> Option<&'a str> {
        self.visitor?.return_url.as_deref()
    }

    /// What the language of the built-in catalogue has to be called, where it is not the page's.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        (self.language != Language::English).then_some(Language::English.code())
    }

    /// The ways to the other pages: where, what it is called, and which one it is.
    pub(super) fn ways(&self) -> [(&'static str, &'static str, Place); 3] {
        [
            ("/portal", self.t.integrations, Place::Integrations),
            ("/portal/activity", self.t.activity, Place::Activity),
            ("/portal/security", self.t.security, Place::Security),
        ]
    }
}

/// The return URL of a connected account: `?status=connected&connection=…` beside what it had.
pub(in crate::http) fn returning(return_url: &str, connection: &str) -> String {
    let Ok(mut url) = url::Url::parse(return_url) else { return return_url.to_owned() };
    url.query_pairs_mut().append_pair("status", "connected").append_pair("connection", connection);
    url.into()
}

/// The only origin that hears of a connected account when the portal runs in a popup.
pub(super) fn origin(return_url: &str) -> Option<String> {
    let origin = url::Url::parse(return_url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_keeps_its_query_and_its_fragment() {
        assert_eq!(
            returning("https://app.example/settings?tab=2#keys", "vapi"),
            "https://app.example/settings?tab=2&status=connected&connection=vapi#keys"
        );
        assert_eq!(origin("https://app.example:8443/x?y").as_deref(), Some("https://app.example:8443"));
        assert_eq!(origin("data:text/html,x"), None);
    }

    #[test]
    fn the_policy_lets_in_the_logo_and_nothing_else() {
        let policy = |logo: Option<&str>| {
            let logo_url = logo.map(str::to_owned);
            let branding = Branding { app_name: "Acme".into(), logo_url, accent: None };
            Site::new(branding, "/keys/").content_security_policy()
        };
        let with_logo = policy(Some("https://cdn.example/logo.svg;script-src *"));
        assert!(with_logo.contains("; img-src 'self' https://cdn.example; form-action"), "{with_logo}");
        assert!(policy(None).contains("; img-src 'self'; form-action"));
    }
}
