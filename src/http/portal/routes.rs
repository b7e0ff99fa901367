//! The portal's routes: who may come in, what is asked of the broker, and which page answers.
//!
//! Every answer is a page, refusals included. Every POST is checked for where it comes from, and within a
//! visit for the visit's own form token.

mod answer;
mod connection;
mod entry;
mod form;
mod lists;
mod vault;
mod visit;

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{any, get},
};
use url::Url;

use super::{
    assets::{Asset, EMBED_ASSETS, PAGE_ASSETS, THEME_PATH},
    branding::Branding,
    frame::Site,
    security::Kept,
};
use crate::{domain::colour::Colour, http::state::AppState};

/// How the portal is reached and dressed; the same for every answer.
#[derive(Debug, Clone)]
pub struct PortalPages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    site: Site,
    kept: Kept,
    /// Scheme, host and port of the public URL.
    origin: String,
    /// Whether cookies are for https alone.
    secure: bool,
    content_security_policy: HeaderValue,
}

/// What an operator may say about the portal's looks.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    /// The app's name.
    pub app_name: Option<String>,
    /// Its logo.
    pub logo_url: Option<String>,
    /// Its colour.
    pub accent: Option<Colour>,
}

impl PortalPages {
    /// The pages of a portal that a browser reaches at `public_url`. `in_aws` says where keys are kept.
    #[must_use]
    pub fn new(public_url: &str, looks: Looks, in_aws: bool) -> Self {
        let url = Url::parse(public_url).ok();
        let origin = url.as_ref().map_or_else(String::new, |url| url.origin().ascii_serialization());
        let branding = Branding {
            app_name: looks.app_name.unwrap_or_else(|| "keybroker".to_owned()),
            logo_url: looks.logo_url,
            accent: looks.accent,
        };
        let site = Site::new(branding, url.as_ref().map_or("", Url::path));
        let policy = site.content_security_policy();
        Self(Arc::new(Inner {
            site,
            kept: if in_aws { Kept::Aws } else { Kept::Local },
            secure: origin.starts_with("https:"),
            origin,
            content_security_policy: HeaderValue::from_str(&policy)
                .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'")),
        }))
    }

    fn site(&self) -> &Site {
        &self.0.site
    }
}

/// The pages, and what they load.
pub(in crate::http) fn routes(pages: &PortalPages) -> Router<AppState> {
    let mut router = Router::new()
        .route("/connect/{token}", get(entry::show_link).post(entry::open_link))
        .route("/portal", get(lists::show_integrations))
        .route("/portal/connections/{connection}", get(connection::show).post(connection::connect))
        .route("/portal/connections/{connection}/test", get(connection::go_back).post(connection::test))
        .route(
            "/portal/connections/{connection}/rollback",
            get(connection::go_back).post(connection::roll_back),
        )
        .route(
            "/portal/connections/{connection}/disconnect",
            get(connection::go_back).post(connection::disconnect),
        )
        .route("/portal/activity", get(lists::show_activity))
        .route("/portal/security", get(vault::show))
        .route("/portal/security/secret-vault-lambda.mjs", get(vault::download))
        .route("/portal/security/vault/url", get(vault::go_back).post(vault::save_url))
        .route("/portal/security/vault/token", get(vault::go_back).post(vault::make_token))
        .route("/portal/security/vault/test", get(vault::go_back).post(vault::test))
        .route("/portal/security/vault/enable", get(vault::go_back).post(vault::enable))
        .route("/portal/security/vault/disable", get(vault::go_back).post(vault::disable))
        .route("/portal/security/vault/forget", get(vault::go_back).post(vault::forget))
        .route("/portal/sign-out", get(lists::go_to_start).post(entry::sign_out))
        .route("/portal/{*rest}", any(lists::no_such_page))
        .layer(from_fn_with_state(pages.clone(), guard));
    let site = pages.site();
    for (asset, address) in PAGE_ASSETS.into_iter().zip([&site.css, &site.js, &site.icon]) {
        let known: Arc<str> = address.rsplit_once('?').map_or("", |(_, query)| query).into();
        let handler = move |RawQuery(query): RawQuery| {
            let cache = if query.as_deref() == Some(&*known) { FOR_EVER } else { NEVER };
            std::future::ready(serve(asset, cache))
        };
        router = router.route(asset.path, get(handler));
    }
    for asset in EMBED_ASSETS {
        router = router.route(asset.path, get(move || std::future::ready(embeddable(asset))));
    }
    let theme: Arc<str> = site.theme_css().into();
    let css = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static(FOR_A_WHILE)),
    ];
    router.route(THEME_PATH, get(move || std::future::ready((css, theme.to_string()))))
}

/// Their addresses change when they do.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Another version's address, in the middle of a deployment: what is answered is not what was meant.
const NEVER: &str = "no-store";

/// The app's page loads it under a name that does not change.
const FOR_A_WHILE: &str = "public, max-age=3600";

fn serve(asset: Asset, cache: &'static str) -> ([(HeaderName, &'static str); 2], &'static str) {
    ([(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, cache)], asset.body)
}

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

fn embeddable(asset: Asset) -> ([(HeaderName, &'static str); 1], impl axum::response::IntoResponse) {
    ([(RESOURCE_POLICY, "cross-origin")], serve(asset, FOR_A_WHILE))
}

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Gives every page the headers that keep it to itself.
async fn guard(State(pages): State<PortalPages>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, pages.0.content_security_policy.clone());
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nothing = "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()";
    headers.insert(PERMISSIONS_POLICY, HeaderValue::from_static(nothing));
    response
}
