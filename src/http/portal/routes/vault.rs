//! The Security page, and what its forms do with the organization's own vault.

use askama::Template;
use axum::{
    body::Body,
    extract::State,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{
    PortalPages,
    answer::{page, see_other},
    form::Form,
    visit::Visit,
};
use crate::{
    broker::{
        error::{Conflict, Error},
        portal::{Portal, VaultOverview},
    },
    domain::{
        session::{Done, Notice},
        vault::VaultToken,
    },
    http::{
        portal::{
            security::{Part, Security},
            stop::Why,
            vault::{Vault, notice::VaultNotice},
        },
        v1::vault::template,
    },
};

/// The page.
pub(super) async fn show(
    State(portal): State<Portal>,
    method: Method,
    visit: Visit,
) -> Result<Response, Response> {
    let part = part(&portal, &visit, Vault::default()).await?;
    let told = visit.open.session.notice.clone().filter(|notice| notice.connection == Notice::VAULT);
    let part = match (part, told) {
        // HEAD shows nothing.
        (Part::Whole(vault), Some(told)) if method == Method::GET => {
            let cleared = portal.sessions().clear_notice(&visit.open.session).await;
            cleared.map_err(|error| visit.desk.failure(&error))?;
            let notice = words(told.done, &vault);
            Part::Whole(Box::new(Vault { notice, detail: told.fault, ..*vault }))
        }
        (part, _) => part,
    };
    Ok(page(StatusCode::OK, &security(&visit, part)))
}

/// The template, as a file.
pub(super) async fn download(visit: Visit) -> Response {
    if visit.open.visitor.providers().is_some() {
        return visit.desk.stop(StatusCode::NOT_FOUND, Why::NotFound);
    }
    template().into_response()
}

/// Says where the vault is.
pub(super) async fn save_url(State(portal): State<Portal>, form: Form) -> Result<Response, Response> {
    let Form { visit, sent } = form;
    let url = sent.first("url").unwrap_or_default().trim();
    let done = portal.save_vault_url(&visit.open, url, visit.request_id.clone()).await;
    let refused_url = done.is_err().then(|| url.to_owned());
    outcome(&portal, &visit, done, Vault { refused_url, ..Vault::default() }).await
}

/// Makes a token. The answer itself shows it: it is kept nowhere from where another page could.
pub(super) async fn make_token(State(portal): State<Portal>, form: Form) -> Result<Response, Response> {
    let Form { visit, sent } = form;
    let made = portal.make_vault_token(&visit.open, sent.text("seen"), visit.request_id.clone()).await;
    match made {
        Ok(token) => shown_once(&portal, &visit, token).await,
        Err(error) => outcome(&portal, &visit, Err(error), Vault::default()).await,
    }
}

/// Tries the vault.
pub(super) async fn test(State(portal): State<Portal>, form: Form) -> Result<Response, Response> {
    let visit = form.visit;
    let done = portal.test_vault(&visit.open, visit.request_id.clone()).await;
    outcome(&portal, &visit, done, Vault::default()).await
}

/// Has keys read from the vault.
pub(super) async fn enable(State(portal): State<Portal>, form: Form) -> Result<Response, Response> {
    switch(&portal, form.visit, true).await
}

/// Has keys read from the store again.
pub(super) async fn disable(State(portal): State<Portal>, form: Form) -> Result<Response, Response> {
    switch(&portal, form.visit, false).await
}

async fn switch(portal: &Portal, visit: Visit, enabled: bool) -> Result<Response, Response> {
    let done = portal.switch_vault(&visit.open, enabled, visit.request_id.clone()).await;
    outcome(portal, &visit, done, Vault::default()).await
}

/// Erases the vault's URL and token.
pub(super) async fn forget(State(portal): State<Portal>, form: Form) -> Result<Response, Response> {
    let visit = form.visit;
    let done = portal.forget_vault(&visit.open, visit.request_id.clone()).await;
    outcome(&portal, &visit, done, Vault::default()).await
}

/// A deed's address without its form, from the address bar: back to the page.
pub(super) async fn go_back(State(pages): State<PortalPages>) -> Response {
    see_other(&format!("{}/portal/security", pages.site().base))
}

/// What there is to see of the vault, beside what is `news`.
async fn part(portal: &Portal, visit: &Visit, news: Vault) -> Result<Part, Response> {
    if let Some(only) = visit.open.visitor.providers() {
        let name = |provider| portal.provider_name(provider);
        return Ok(Part::OnlyFor(only.iter().map(name).collect()));
    }
    let overview = portal.vault(&visit.open.visitor).await.map_err(|error| visit.desk.failure(&error))?;
    let VaultOverview { state, keys, environment, with_values } = overview;
    let keys = keys.iter().map(Into::into).collect();
    let vault = match state {
        None => Vault { keys, environment, with_values, ..news },
        Some(state) => Vault {
            enabled: state.enabled,
            url: state.url,
            token_hint: state.token_hint,
            last_test: state.last_test,
            keys,
            environment,
            with_values,
            ..news
        },
    };
    Ok(Part::Whole(Box::new(vault)))
}

fn security(visit: &Visit, vault: Part) -> Security<'_> {
    Security { frame: visit.desk.frame(Some(&visit.visitor)), kept: visit.desk.pages.0.kept, vault }
}

/// What became of a deed: the page by GET where it was done, and at once where it was not.
async fn outcome(
    portal: &Portal,
    visit: &Visit,
    done: Result<(), Error>,
    news: Vault,
) -> Result<Response, Response> {
    let Err(error) = done else { return Ok(see_other(&visit.desk.path("/portal/security"))) };
    let Some((status, notice)) = refusal(&error) else { return Err(visit.desk.failure(&error)) };
    let news = Vault { notice: Some(notice), detail: detail(&error), ..news };
    let part = part(portal, visit, news).await?;
    Ok(page(status, &security(visit, part)))
}

/// More than any page has, so that its buffer never grows: growing would leave a copy behind.
const PAGE_WITH_TOKEN: usize = 2 << 20;

/// The page with the token, in memory that is wiped when the answer is sent.
async fn shown_once(portal: &Portal, visit: &Visit, token: VaultToken) -> Result<Response, Response> {
    let part = part(portal, visit, Vault { new_token: Some(token), ..Vault::default() }).await?;
    let mut html = Zeroizing::new(Vec::with_capacity(PAGE_WITH_TOKEN));
    let written = security(visit, part).write_into(&mut *html);
    written.map_err(|error| visit.desk.failure(&Error::Internal(error.to_string())))?;
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    Ok((kind, Body::from(Bytes::from_owner(html))).into_response())
}

/// The test that the page tells of may have failed.
fn words(done: Done, vault: &Vault) -> Option<VaultNotice> {
    Some(match done {
        Done::VaultSaved => VaultNotice::Saved,
        Done::VaultEnabled => VaultNotice::Enabled,
        Done::VaultDisabled => VaultNotice::Disabled,
        Done::VaultForgotten => VaultNotice::Forgotten,
        Done::VaultTested => {
            let trouble = vault.last_test.as_ref()?.outcome.trouble();
            trouble.map_or(VaultNotice::Answered, VaultNotice::Trouble)
        }
        Done::Connected
        | Done::Replaced
        | Done::Unchanged
        | Done::Valid
        | Done::Invalid
        | Done::Unreachable
        | Done::Unsupported
        | Done::RolledBack
        | Done::Disconnected => return None,
    })
}

/// What the function was seen to do, or what is wrong with its URL, in the words of the API.
pub(super) fn detail(error: &Error) -> Option<String> {
    match error {
        Error::Vault(fault) => Some(fault.to_string()),
        Error::InvalidRequest(rule) => Some(rule.clone()),
        _ => None,
    }
}

/// What the page says of a failure, and with which status; nothing where a page of its own does.
pub(super) fn refusal(error: &Error) -> Option<(StatusCode, VaultNotice)> {
    Some(match error {
        Error::Vault(fault) => (StatusCode::BAD_GATEWAY, VaultNotice::Trouble(fault.trouble())),
        Error::InvalidRequest(_) => (StatusCode::UNPROCESSABLE_ENTITY, VaultNotice::UrlRefused),
        Error::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, VaultNotice::OtherToken),
        Error::Conflict(Conflict::VaultChangeUnderWay) => (StatusCode::CONFLICT, VaultNotice::UnderWay),
        Error::Conflict(Conflict::NoVaultToken) => (StatusCode::CONFLICT, VaultNotice::NoToken),
        Error::Conflict(Conflict::NoVaultUrl) => (StatusCode::CONFLICT, VaultNotice::NoUrl),
        Error::RateLimited { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, VaultNotice::TooManyAttempts(*retry_after))
        }
        Error::StoreRefused(_) | Error::ScheduledForDeletion | Error::TooLarge => {
            (StatusCode::BAD_GATEWAY, VaultNotice::StoreRefused)
        }
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, VaultNotice::StoreDown),
        Error::Conflict(
            Conflict::WriteUnderWay
            | Conflict::OtherProvider
            | Conflict::NothingToRollBackTo
            | Conflict::IdempotencyKeyReused
            | Conflict::KeysInVault,
        )
        | Error::Unauthenticated(_)
        | Error::MissingScope(_)
        | Error::NotFound
        | Error::InvalidCredentials(_)
        | Error::KeyRejected(_)
        | Error::ProviderUnreachable(_)
        | Error::LinkExpired
        | Error::Internal(_) => return None,
    })
}
