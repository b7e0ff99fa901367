//! What the pages load, and the script for the app's own page.

/// A file that is served as it is.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Asset {
    /// Where.
    pub(in crate::http) path: &'static str,
    /// As what.
    pub(in crate::http) content_type: &'static str,
    /// Which.
    pub(in crate::http) body: &'static str,
}

pub(super) const CSS: Asset = Asset {
    path: "/portal/assets/portal.css",
    content_type: "text/css; charset=utf-8",
    body: include_str!("portal.css"),
};

pub(super) const JS: Asset = Asset {
    path: "/portal/assets/portal.js",
    content_type: "text/javascript; charset=utf-8",
    body: include_str!("portal.js"),
};

pub(super) const ICON: Asset =
    Asset { path: "/portal/assets/icon.svg", content_type: "image/svg+xml", body: include_str!("icon.svg") };

/// What the portal's own pages load. Their addresses carry a checksum, so a browser may keep them.
pub(in crate::http) const PAGE_ASSETS: [Asset; 3] = [CSS, JS, ICON];

/// Where [`super::frame::Site::theme_css`] is served, as `text/css; charset=utf-8`.
pub(in crate::http) const THEME_PATH: &str = "/portal/assets/theme.css";

/// What the app's own page loads, from another origin and under a name that does not change: to be kept
/// for a short while only, with `Cross-Origin-Resource-Policy: cross-origin`.
pub(in crate::http) const EMBED_ASSETS: [Asset; 2] = [
    Asset {
        path: "/connect.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("connect.js"),
    },
    Asset {
        path: "/connect.d.ts",
        content_type: "text/plain; charset=utf-8",
        body: include_str!("connect.d.ts"),
    },
];
