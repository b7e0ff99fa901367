//! An entry of the catalogue as its file has it. Every key may be missing: another entry may have it.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    Category, Field, Provider, SentField,
    api::{Api, Auth, BaseUrl, HeaderName},
    template::Template,
    verification::{Condition, Fact, Method, Verification},
};
use crate::domain::id::ProviderName;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Entry {
    pub(super) extends: Option<String>,
    display_name: Option<String>,
    category: Option<Category>,
    docs_url: Option<String>,
    base_url: Option<BaseUrl>,
    auth: Option<Auth>,
    headers: BTreeMap<HeaderName, String>,
    opens: Option<Vec<Fact>>,
    verify: Option<Verify>,
    free_fields: Option<bool>,
    oauth: Option<bool>,
    fields: Option<Vec<Field>>,
}

/// `verify`: a table, or `false`.
#[derive(Debug, Clone)]
enum Verify {
    Off,
    On(Box<VerifyTable>),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VerifyTable {
    method: Option<Method>,
    path: Option<Template>,
    valid: Option<Vec<u16>>,
    invalid: Option<Vec<u16>>,
    invalid_when: Option<Condition>,
    valid_when: Option<Condition>,
    unreachable_when: Option<Condition>,
}

impl<'de> Deserialize<'de> for Verify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TableOrFalse;

        impl<'de> Visitor<'de> for TableOrFalse {
            type Value = Verify;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table, or false")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Verify, E> {
                if on { Err(E::custom("verify is a table, or false")) } else { Ok(Verify::Off) }
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Verify, M::Error> {
                VerifyTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|table| Verify::On(Box::new(table)))
            }
        }

        deserializer.deserialize_any(TableOrFalse)
    }
}

impl Entry {
    /// This entry, with what it does not say taken from `base`.
    pub(super) fn over(self, base: Self) -> Self {
        let mut headers = base.headers;
        headers.extend(self.headers);
        Self {
            extends: self.extends.or(base.extends),
            display_name: self.display_name.or(base.display_name),
            category: self.category.or(base.category),
            docs_url: self.docs_url.or(base.docs_url),
            base_url: self.base_url.or(base.base_url),
            auth: self.auth.or(base.auth),
            headers,
            opens: self.opens.or(base.opens),
            verify: match (self.verify, base.verify) {
                (Some(Verify::On(own)), Some(Verify::On(base))) => {
                    Some(Verify::On(Box::new(own.over(*base))))
                }
                (own, base) => own.or(base),
            },
            free_fields: self.free_fields.or(base.free_fields),
            oauth: self.oauth.or(base.oauth),
            fields: self.fields.or(base.fields),
        }
    }

    /// The provider, if the entry is whole and its parts fit one another.
    pub(super) fn provider(self, name: ProviderName) -> Result<Provider, String> {
        let missing = |key: &str| format!("it has no {key}");
        let fields = self.fields.unwrap_or_default();
        let free_fields = self.free_fields.unwrap_or(false);
        if fields.is_empty() && !free_fields {
            return Err(missing("fields"));
        }
        for (i, field) in fields.iter().enumerate() {
            if fields[..i].iter().any(|earlier| earlier.name == field.name) {
                return Err(format!("the field {} stands twice", field.name));
            }
        }
        for field in &fields {
            if field
                .example
                .as_ref()
                .is_some_and(|example| field.check(SentField::Text(example.as_str().into())).is_err())
            {
                return Err(format!("the example of the field {} does not fit its own pattern", field.name));
            }
        }
        if self.opens.is_some() && !matches!(self.verify, Some(Verify::On(_) | Verify::Off)) {
            return Err("it has opens, and no verify that comes first".into());
        }
        if self
            .auth
            .as_ref()
            .is_some_and(|auth| auth.templates().iter().all(|text| text.fields().next().is_none()))
        {
            return Err("its auth holds no field of the credentials".into());
        }
        let verification = match self.verify {
            Some(Verify::On(table)) => Some(table.verification(self.opens.unwrap_or_default())?),
            Some(Verify::Off) | None => None,
        };
        if verification.is_some() && self.base_url.is_none() {
            return Err("it has verify, and no base_url to send a key to".into());
        }
        let visible = |text: &str| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if let Some((name, _)) = self.headers.iter().find(|(_, value)| !visible(value)) {
            return Err(format!("the header {} must be visible ASCII", name.as_str()));
        }
        let (auth, headers) = (self.auth, self.headers);
        let api = self.base_url.map(|base_url| Api { base_url, auth, headers, verification });
        let paths = api.iter().flat_map(|api| &api.verification).flat_map(Verification::paths);
        if paths.into_iter().any(|path| !path.is_path()) {
            return Err("a path begins with a slash and holds no #".into());
        }
        let known =
            |field: &str| free_fields || fields.iter().any(|known| known.name == field && known.required);
        let templates = api.iter().flat_map(Api::templates);
        if let Some(unknown) = templates.flat_map(Template::fields).find(|field| !known(field)) {
            return Err(format!("it puts in {{{unknown}}}, which is none of its required fields"));
        }
        Ok(Provider {
            name,
            display_name: self.display_name.ok_or_else(|| missing("display_name"))?,
            category: self.category.ok_or_else(|| missing("category"))?,
            docs_url: self.docs_url,
            fields,
            free_fields,
            oauth: self.oauth.unwrap_or(false),
            api,
        })
    }
}

impl VerifyTable {
    fn over(self, base: Self) -> Self {
        Self {
            method: self.method.or(base.method),
            path: self.path.or(base.path),
            valid: self.valid.or(base.valid),
            invalid: self.invalid.or(base.invalid),
            invalid_when: self.invalid_when.or(base.invalid_when),
            valid_when: self.valid_when.or(base.valid_when),
            unreachable_when: self.unreachable_when.or(base.unreachable_when),
        }
    }

    fn verification(self, opens: Vec<Fact>) -> Result<Verification, String> {
        let valid = self.valid.unwrap_or_else(|| vec![200]);
        let invalid = self.invalid.unwrap_or_else(|| vec![401]);
        if let Some(both) = valid.iter().find(|status| invalid.contains(status)) {
            return Err(format!("in verify, the status {both} is both valid and invalid"));
        }
        let told = |status: &u16| matches!(status, 200..=299 | 400..=428 | 430..=499);
        if let Some(odd) = valid.iter().chain(&invalid).find(|status| !told(status)) {
            return Err(format!("in verify, the status {odd} can say nothing of a key"));
        }
        if valid.is_empty() && self.valid_when.is_none() {
            return Err("in verify, no key could be valid".into());
        }
        Ok(Verification {
            method: self.method.unwrap_or(Method::Get),
            path: self.path.ok_or("its verify has no path")?,
            valid,
            invalid,
            invalid_when: self.invalid_when,
            valid_when: self.valid_when,
            unreachable_when: self.unreachable_when,
            opens,
        })
    }
}
