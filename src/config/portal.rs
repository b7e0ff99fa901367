//! How the portal is reached and what it looks like.

use std::{fmt, time::Duration};

use clap::Args;

use super::{ConfigError, duration};
use crate::domain::{
    colour::{Colour, InvalidColour},
    provider::BaseUrl,
    session::Origin,
};

/// How the portal is reached and what it looks like.
#[derive(Debug, Clone, Args)]
pub struct PortalFlags {
    /// How a browser reaches the portal; `http://<listen>` if left out.
    #[arg(long, env = "KEYBROKER_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Origins to which a connect session may return, separated by commas.
    #[arg(long, env = "KEYBROKER_RETURN_URLS", value_name = "ORIGINS")]
    return_urls: Option<String>,

    /// How long a visit of the portal lasts without being used.
    #[arg(long, env = "KEYBROKER_PORTAL_IDLE", default_value = "30m", value_name = "TIME", value_parser = duration)]
    portal_idle: Duration,

    /// How long a visit of the portal lasts at most.
    #[arg(long, env = "KEYBROKER_PORTAL_LIFETIME", default_value = "4h", value_name = "TIME", value_parser = duration)]
    portal_lifetime: Duration,

    /// The app's name, on the portal's pages.
    #[arg(long, env = "KEYBROKER_PORTAL_NAME", value_name = "NAME")]
    portal_name: Option<String>,

    /// The app's logo, an https URL.
    #[arg(long, env = "KEYBROKER_PORTAL_LOGO_URL", value_name = "URL")]
    portal_logo_url: Option<String>,

    /// The app's colour, as #rrggbb.
    #[arg(long, env = "KEYBROKER_PORTAL_ACCENT", value_name = "COLOUR")]
    portal_accent: Option<String>,
}

/// The longest that a visit may last. Sessions are forgotten some days later.
const LONGEST_VISIT: Duration = Duration::from_hours(24);

impl PortalFlags {
    /// The settings.
    ///
    /// # Errors
    /// If one can't be used.
    pub fn settings(&self) -> Result<PortalSettings, ConfigError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let unusable =
            |name: &str, rule: &dyn fmt::Display| ConfigError(format!("{name} can't be used: {rule}"));
        let public_url = given(&self.public_url).map(BaseUrl::try_from).transpose();
        let return_origins = given(&self.return_urls).unwrap_or_default();
        let return_origins = return_origins.split(',').map(str::trim).filter(|text| !text.is_empty());
        let return_origins = return_origins.map(str::parse).collect::<Result<Vec<Origin>, _>>();
        let logo_url = given(&self.portal_logo_url).map(BaseUrl::try_from).transpose();
        let accent = given(&self.portal_accent).map(|text| text.parse()).transpose();
        let accent = accent.map_err(|rule: InvalidColour| unusable("KEYBROKER_PORTAL_ACCENT", &rule))?;
        if self.portal_idle < Duration::from_secs(1)
            || self.portal_lifetime < self.portal_idle
            || self.portal_lifetime > LONGEST_VISIT
        {
            let rule = "it must be at least 1s, and KEYBROKER_PORTAL_LIFETIME no shorter and at most 24h";
            return Err(unusable("KEYBROKER_PORTAL_IDLE", &rule));
        }
        Ok(PortalSettings {
            public_url: public_url.map_err(|rule| unusable("KEYBROKER_PUBLIC_URL", &rule))?,
            return_origins: return_origins.map_err(|rule| unusable("KEYBROKER_RETURN_URLS", &rule))?,
            idle: self.portal_idle,
            lifetime: self.portal_lifetime,
            name: given(&self.portal_name),
            logo_url: logo_url.map_err(|rule| unusable("KEYBROKER_PORTAL_LOGO_URL", &rule))?,
            accent,
        })
    }
}

/// How the portal is reached and what it looks like, checked.
#[derive(Debug, Clone)]
pub struct PortalSettings {
    /// How a browser reaches it.
    pub public_url: Option<BaseUrl>,
    /// Where visitors may return to.
    pub return_origins: Vec<Origin>,
    /// How long a visit lasts without being used.
    pub idle: Duration,
    /// How long a visit lasts at most.
    pub lifetime: Duration,
    /// The app's name.
    pub name: Option<String>,
    /// The app's logo.
    pub logo_url: Option<BaseUrl>,
    /// The app's colour.
    pub accent: Option<Colour>,
}
