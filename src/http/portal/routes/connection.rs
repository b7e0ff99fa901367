//! A connection's page, and what its forms do.

use axum::{
    extract::State,
    http::{Method, StatusCode},
    response::Response,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{
    PortalPages,
    answer::{Segment, page, see_other},
    form::{Form, Sent},
    vault::{self, detail},
    visit::Visit,
};
use crate::{
    broker::{
        error::{Conflict, Error},
        portal::{Filled, InVault, Integration, Portal},
        write::LabelChange,
    },
    domain::{
        connection::{Connection, Label, Shown as Known},
        id::ConnectionName,
        precondition::Precondition,
        provider::{FieldError, FieldFault, Provider, SentField},
        session::Done,
    },
    http::portal::{
        connection::{ConnectionPage, Keys, Stored},
        field::{FIELD_PREFIX, FREE_NAME, FREE_VALUE, Fault, FieldView, FreeRow, StoredField},
        notice::Notice,
        provider::{ProviderView, State as Standing},
    },
};

/// The form, and how the connection stands.
pub(super) async fn show(
    State(portal): State<Portal>,
    Segment(name): Segment,
    method: Method,
    visit: Visit,
) -> Result<Response, Response> {
    let failure = |error| visit.desk.failure(&error);
    let target = Target::of(&portal, &visit, &parsed(&name).map_err(failure)?).await.map_err(failure)?;
    let told = visit.open.session.notice.clone().filter(|notice| notice.connection == name);
    // HEAD shows nothing.
    if told.is_some() && method == Method::GET {
        portal.sessions().clear_notice(&visit.open.session).await.map_err(failure)?;
    }
    let (notice, opens) = match told {
        Some(told) => (words(told.done, target.vault.is_some()), told.opens),
        None => (None, Vec::new()),
    };
    Ok(target.page(&visit, StatusCode::OK, View { notice, opens, ..View::default() }))
}

/// Connects, or replaces.
pub(super) async fn connect(
    State(portal): State<Portal>,
    Segment(name): Segment,
    form: Form,
) -> Result<Response, Response> {
    let Form { visit, sent } = form;
    let failure = |error| visit.desk.failure(&error);
    let name = parsed(&name).map_err(failure)?;
    let provider = provider(&portal, &visit, &name).await.map_err(failure)?;
    let shown = Shown::of(&sent, &provider);
    let done = match filled(sent, &provider) {
        Ok(filled) => portal.connect(&visit.open, &name, filled, visit.request_id.clone()).await,
        Err(error) => Err(error),
    };
    outcome(&portal, &visit, &name, done, Some(shown)).await
}

/// Tries the stored key.
pub(super) async fn test(
    State(portal): State<Portal>,
    Segment(name): Segment,
    form: Form,
) -> Result<Response, Response> {
    let visit = form.visit;
    let name = parsed(&name).map_err(|error| visit.desk.failure(&error))?;
    let done = portal.test(&visit.open, &name, visit.request_id.clone()).await;
    outcome(&portal, &visit, &name, done, None).await
}

/// Goes back to the key before.
pub(super) async fn roll_back(
    State(portal): State<Portal>,
    Segment(name): Segment,
    form: Form,
) -> Result<Response, Response> {
    let Form { visit, sent } = form;
    let name = parsed(&name).map_err(|error| visit.desk.failure(&error))?;
    let done = portal.roll_back(&visit.open, &name, precondition(&sent), visit.request_id.clone()).await;
    outcome(&portal, &visit, &name, done, None).await
}

/// Erases the keys.
pub(super) async fn disconnect(
    State(portal): State<Portal>,
    Segment(name): Segment,
    form: Form,
) -> Result<Response, Response> {
    let Form { visit, sent } = form;
    let name = parsed(&name).map_err(|error| visit.desk.failure(&error))?;
    let done = portal.disconnect(&visit.open, &name, precondition(&sent), visit.request_id.clone()).await;
    outcome(&portal, &visit, &name, done, None).await
}

/// A deed's address without its form, from the address bar: back to the connection's page.
pub(super) async fn go_back(State(pages): State<PortalPages>, Segment(name): Segment) -> Response {
    match name.parse::<ConnectionName>() {
        Ok(name) => see_other(&format!("{}/portal/connections/{name}", pages.site().base)),
        Err(_) => see_other(&format!("{}/portal", pages.site().base)),
    }
}

/// The connection that a page is about.
struct Target {
    name: ConnectionName,
    provider: Provider,
    connection: Option<Connection>,
    vault: Option<InVault>,
    standing: Standing,
    connected: Option<(String, Timestamp)>,
}

/// What a page shows beside what is kept: news, and what was just sent.
#[derive(Default)]
struct View {
    notice: Option<Notice>,
    opens: Vec<(String, String)>,
    shown: Option<Shown>,
    faults: Vec<FieldError>,
    detail: Option<String>,
}

impl Target {
    async fn of(portal: &Portal, visit: &Visit, name: &ConnectionName) -> Result<Self, Error> {
        let found = portal.integration(&visit.open.visitor, name).await?;
        let standing = Standing::of(&found);
        let Integration { provider, connection, vault } = found;
        // A provider that is not in the catalogue any more has no form.
        let provider = provider.ok_or(Error::NotFound)?;
        let connected = match &connection {
            Some(_) => portal.connected_by(&visit.open.visitor, name).await?,
            None => None,
        };
        Ok(Self { name: name.clone(), provider, connection, vault, standing, connected })
    }

    fn page(self, visit: &Visit, status: StatusCode, view: View) -> Response {
        let connection = self.connection.as_ref();
        let kept = connection.filter(|connection| !connection.is_disconnected());
        let stored = kept.map(|connection| self.stored(connection));
        let label = match &view.shown {
            Some(shown) => shown.label.clone(),
            None => connection.and_then(|connection| Some(connection.label.as_ref()?.as_str().to_owned())),
        };
        let shown = view.shown.unwrap_or_else(|| Shown::kept(kept));
        let fields = self.provider.fields.iter().map(|field| {
            let fault = view.faults.iter().find(|fault| fault.field == field.name);
            FieldView {
                value: shown.field(&field.name),
                fault: fault.map(|fault| fault_of(fault.fault)),
                ..FieldView::from(field)
            }
        });
        let page_view = ConnectionPage {
            frame: visit.desk.frame(Some(&visit.visitor)),
            fields: fields.collect(),
            free: shown.free.iter().map(|name| free_row(name, &view.faults)).collect(),
            provider: ProviderView::from(&self.provider),
            connection: self.name.to_string(),
            state: self.standing,
            label,
            notice: view.notice,
            opens: view.opens,
            stored,
            vault: self.vault.as_ref().map(|vault| Keys {
                names: vault.keys.iter().map(Into::into).collect(),
                tested_at: vault.tested_at.map(Into::into),
                whole: visit.open.visitor.providers().is_none(),
            }),
            detail: view.detail,
            version: connection.map(|connection| connection.version.to_string()),
        };
        page(status, &page_view)
    }

    fn stored(&self, connection: &Connection) -> Stored {
        let label = |name: &str| {
            let field = self.provider.fields.iter().find(|field| field.name == name);
            field.map_or(name, |field| field.label.as_str()).to_owned()
        };
        let fields = connection.fields.iter();
        Stored {
            fields: fields
                .map(|field| StoredField { label: label(&field.name), shown: field.shown.clone() })
                .collect(),
            verified_at: connection.verified_at.map(Into::into),
            connected_at: self.connected.as_ref().map(|(_, at)| (*at).into()),
            connected_by: self.connected.as_ref().map(|(who, _)| who.clone()),
            can_roll_back: connection.previous.is_some() && self.vault.is_none(),
        }
    }
}

/// A name that can't be one leads nowhere.
fn parsed(name: &str) -> Result<ConnectionName, Error> {
    name.parse().map_err(|_| Error::NotFound)
}

/// Whose keys a form holds.
async fn provider(portal: &Portal, visit: &Visit, name: &ConnectionName) -> Result<Provider, Error> {
    portal.integration(&visit.open.visitor, name).await?.provider.ok_or(Error::NotFound)
}

/// What became of a deed: the page by GET where it was done, and at once where it was not, with what was
/// sent and is no secret.
async fn outcome(
    portal: &Portal,
    visit: &Visit,
    name: &ConnectionName,
    done: Result<(), Error>,
    shown: Option<Shown>,
) -> Result<Response, Response> {
    let Err(error) = done else { return Ok(visit.to_connection(name.as_str())) };
    let failure = |error| visit.desk.failure(&error);
    let Some((status, notice)) = refusal(&error) else { return Err(failure(error)) };
    let detail = detail(&error);
    let faults = match error {
        Error::InvalidCredentials(faults) => faults,
        _ => Vec::new(),
    };
    let target = Target::of(portal, visit, name).await.map_err(failure)?;
    Ok(target.page(visit, status, View { notice: Some(notice), shown, faults, detail, ..View::default() }))
}

/// What was sent and is no secret, to be shown again.
#[derive(Default)]
struct Shown {
    label: Option<String>,
    fields: Vec<(String, String)>,
    free: Vec<String>,
}

impl Shown {
    fn of(sent: &Sent, provider: &Provider) -> Self {
        let public = provider.fields.iter().filter(|field| !field.secret);
        let fields = public.filter_map(|field| {
            Some((field.name.clone(), sent.text(&format!("{FIELD_PREFIX}{}", field.name))?.to_owned()))
        });
        Self {
            label: sent.text("label").map(str::to_owned),
            fields: fields.collect(),
            free: sent.texts(FREE_NAME).map(str::to_owned).collect(),
        }
    }

    /// What stands in the form before anything is sent: what is known and no secret.
    fn kept(connection: Option<&Connection>) -> Self {
        let fields = connection.iter().flat_map(|connection| &connection.fields);
        let public = fields.filter_map(|field| match &field.shown {
            Known::Value(value) => Some((field.name.clone(), value.clone())),
            Known::Hint(_) => None,
        });
        Self { fields: public.collect(), ..Self::default() }
    }

    fn field(&self, name: &str) -> Option<String> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    }
}

/// What a form asks for. An input that was left empty is a field that was left out.
fn filled(sent: Sent, provider: &Provider) -> Result<Filled, Error> {
    let wrong = || Error::InvalidCredentials(Vec::new());
    let label = match sent.text("label").map(|text| Label::try_from(text.trim().to_owned())) {
        None => LabelChange::Set(None),
        Some(label) => LabelChange::Set(Some(label.map_err(|_| wrong())?)),
    };
    let precondition = precondition(&sent);
    let mut fields: Vec<(String, SentField)> = Vec::new();
    let mut free_name = String::new();
    for (name, value) in sent.into_fields() {
        if name == FREE_NAME {
            free_name = plain(&value);
            continue;
        }
        let value = SentField::Text(value);
        if let Some(field) = name.strip_prefix(FIELD_PREFIX) {
            if provider.fields.iter().any(|known| known.name == field) {
                fields.push((field.to_owned(), value));
            }
        } else if name == FREE_VALUE && !(free_name.is_empty() && value.is_empty()) {
            fields.push((std::mem::take(&mut free_name), value));
        }
    }
    let distinct =
        |(i, (name, _)): (usize, &(String, _))| !fields[..i].iter().any(|(known, _)| known == name);
    if !fields.iter().enumerate().all(distinct) {
        return Err(wrong());
    }
    let named = |name: &str| provider.fields.iter().find(|field| field.name == name);
    fields.retain(|(name, value)| !value.is_empty() || named(name).is_none_or(|field| field.required));
    Ok(Filled { fields, label, precondition })
}

/// What is sent from a page is to change what the page showed.
fn precondition(sent: &Sent) -> Precondition {
    match sent.first("version") {
        None => Precondition::None,
        // The page showed that there was none.
        Some("") => Precondition::Absent,
        Some(version) => Precondition::OneOf(version.parse().into_iter().collect()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a field's name is no secret")]
fn plain(name: &SecretString) -> String {
    name.expose_secret().trim().to_owned()
}

fn fault_of(fault: FieldFault) -> Fault {
    match fault {
        FieldFault::Missing => Fault::Missing,
        FieldFault::TooLong => Fault::TooLong,
        FieldFault::Form => Fault::Format,
    }
}

fn free_row(name: &str, faults: &[FieldError]) -> FreeRow {
    let fault = faults.iter().find(|fault| fault.field == name).map(|fault| fault_of(fault.fault));
    FreeRow { name: name.to_owned(), fault: fault.or(name.is_empty().then_some(Fault::Unnamed)) }
}

fn words(done: Done, in_vault: bool) -> Option<Notice> {
    Some(match done {
        Done::Connected | Done::Unchanged if in_vault => Notice::Registered,
        Done::Disconnected if in_vault => Notice::DisconnectedInVault,
        Done::Invalid if in_vault => Notice::KeyInVaultRejected,
        Done::Connected => Notice::Connected,
        Done::Replaced => Notice::Replaced,
        Done::Unchanged => Notice::Unchanged,
        Done::Valid => Notice::TestedValid,
        Done::Invalid => Notice::StoredKeyRejected,
        Done::Unreachable => Notice::TestUnreachable,
        Done::Unsupported => Notice::NoTest,
        Done::RolledBack => Notice::RolledBack,
        Done::Disconnected => Notice::Disconnected,
        Done::VaultSaved
        | Done::VaultTested
        | Done::VaultEnabled
        | Done::VaultDisabled
        | Done::VaultForgotten => return None,
    })
}

/// What a form says of a failure, and with which status; nothing where a page of its own does.
fn refusal(error: &Error) -> Option<(StatusCode, Notice)> {
    Some(match error {
        Error::InvalidCredentials(_) => (StatusCode::UNPROCESSABLE_ENTITY, Notice::WrongFormat),
        Error::KeyRejected(_) => (StatusCode::UNPROCESSABLE_ENTITY, Notice::KeyRejected),
        Error::ProviderUnreachable(_) => (StatusCode::BAD_GATEWAY, Notice::Unreachable),
        Error::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, Notice::Changed),
        Error::Conflict(Conflict::WriteUnderWay | Conflict::IdempotencyKeyReused) => {
            (StatusCode::CONFLICT, Notice::WriteUnderWay)
        }
        Error::Conflict(Conflict::KeysInVault) => (StatusCode::CONFLICT, Notice::KeysInVault),
        Error::Vault(_)
        | Error::Conflict(Conflict::VaultChangeUnderWay | Conflict::NoVaultToken | Conflict::NoVaultUrl) => {
            let (status, notice) = vault::refusal(error)?;
            (status, Notice::Vault(notice))
        }
        Error::Conflict(Conflict::OtherProvider) => (StatusCode::CONFLICT, Notice::OtherProvider),
        Error::Conflict(Conflict::NothingToRollBackTo) => (StatusCode::CONFLICT, Notice::NoPrevious),
        Error::ScheduledForDeletion => (StatusCode::CONFLICT, Notice::ScheduledForDeletion),
        Error::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Notice::TooLarge),
        Error::RateLimited { retry_after } => {
            (StatusCode::TOO_MANY_REQUESTS, Notice::TooManyAttempts(*retry_after))
        }
        Error::StoreRefused(_) => (StatusCode::BAD_GATEWAY, Notice::StoreRefused),
        Error::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, Notice::StoreDown),
        Error::Unauthenticated(_)
        | Error::MissingScope(_)
        | Error::NotFound
        | Error::LinkExpired
        | Error::InvalidRequest(_)
        | Error::Internal(_) => return None,
    })
}
