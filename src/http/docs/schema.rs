//! The document's schemas: what they are called, what they hold, and an example of each.

use serde_json::{Map, Value};

use super::{
    curl::pretty,
    text::{Paragraph, paragraphs},
};

const PREFIX: &str = "#/components/schemas/";

/// How many references to follow, one in another: a schema may hold itself.
pub(super) const DEEPEST: u8 = 6;

/// A word of a type's name; some lead to a schema.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) anchor: Option<String>,
}

/// A type's name, for people: `array of Connection`, `string or null`.
pub(super) type TypeName = Vec<Word>;

/// One property of an object.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: TypeName,
    pub(super) required: bool,
    pub(super) about: Vec<Paragraph>,
    pub(super) example: Option<String>,
}

/// One of several shapes that a schema may have.
pub(super) struct Variant {
    pub(super) kind: TypeName,
    pub(super) fields: Vec<Field>,
}

/// A named schema.
pub(super) struct Schema {
    pub(super) anchor: String,
    pub(super) name: String,
    pub(super) about: Vec<Paragraph>,
    /// What it is, where it is no object.
    pub(super) kind: Option<TypeName>,
    pub(super) fields: Vec<Field>,
    pub(super) variants: Vec<Variant>,
    pub(super) example: String,
}

/// All schemas of a document.
#[derive(Clone, Copy)]
pub(super) struct Schemas<'a>(Option<&'a Map<String, Value>>);

/// Where the page shows the schema of that name.
pub(super) fn anchor(name: &str) -> String {
    format!("schema-{name}")
}

/// The name in a `$ref`.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(PREFIX)
}

impl<'a> Schemas<'a> {
    /// Those of an OpenAPI document.
    pub(super) fn of(document: &'a Value) -> Self {
        Self(document.pointer("/components/schemas").and_then(Value::as_object))
    }

    /// The schema of that name.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name)
    }

    /// Every schema with its name.
    pub(super) fn all(self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.0.into_iter().flatten()
    }

    /// Every schema, for the page.
    pub(super) fn show(self) -> Vec<Schema> {
        let show = |(name, schema): (&String, &Value)| {
            let (fields, variants) = (self.fields(schema), self.variants(schema));
            Schema {
                anchor: anchor(name),
                name: name.clone(),
                about: about(schema),
                kind: (fields.is_empty() && variants.is_empty()).then(|| self.name(schema)),
                fields,
                variants,
                example: pretty(&self.example(schema)),
            }
        };
        self.all().map(show).collect()
    }

    /// The type's name.
    pub(super) fn name(self, schema: &Value) -> TypeName {
        if let Some(name) = referred(schema) {
            let anchor = self.get(name).map(|_| anchor(name));
            return vec![Word { text: name.to_owned(), anchor }];
        }
        if let Some(values) = list(schema, "enum") {
            return joined(values.iter().map(|value| word(&value.to_string())), " or ");
        }
        if let Some(alternatives) = alternatives(schema) {
            // Null comes last, as people say it.
            let (null, other): (Vec<_>, Vec<_>) = alternatives.iter().partition(|schema| is_null(schema));
            return joined(other.into_iter().chain(null).map(|schema| self.name(schema)), " or ");
        }
        if let Some(parts) = list(schema, "allOf") {
            return joined(parts.iter().map(|part| self.name(part)), " and ");
        }
        let types = types(schema);
        if types.is_empty() {
            return word("any");
        }
        joined(types.into_iter().map(|kind| self.name_of(kind, schema)), " or ")
    }

    fn name_of(self, kind: &str, schema: &Value) -> TypeName {
        let followed = |text: &str, inner: &Value| {
            let mut words = word(text);
            words.extend(self.name(inner));
            words
        };
        let format = schema.get("format").and_then(Value::as_str);
        match (kind, schema.get("items"), schema.get("additionalProperties"), format) {
            ("array", Some(items), ..) => followed("array of ", items),
            ("object", _, Some(values @ Value::Object(_)), _) => followed("map of string to ", values),
            ("string", .., Some(format)) => word(&format!("string ({format})")),
            _ => word(kind),
        }
    }

    /// An object's properties, required ones first.
    pub(super) fn fields(self, schema: &Value) -> Vec<Field> {
        let mut fields = self.fields_within(schema, DEEPEST);
        fields.sort_by_key(|field| !field.required);
        fields
    }

    fn fields_within(self, schema: &Value, depth: u8) -> Vec<Field> {
        if let Some(name) = referred(schema) {
            let within = depth.checked_sub(1).zip(self.get(name));
            return within.map(|(depth, schema)| self.fields_within(schema, depth)).unwrap_or_default();
        }
        let inherited = list(schema, "allOf").into_iter().flatten();
        let inherited = inherited.flat_map(|part| self.fields_within(part, depth));
        let required = list(schema, "required").unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let own = properties.into_iter().flatten().map(|(name, property)| Field {
            name: name.clone(),
            kind: self.name(property),
            required: required.iter().any(|required| required == name),
            about: about(property),
            example: given_example(property).map(Value::to_string),
        });
        inherited.chain(own).collect()
    }

    fn variants(self, schema: &Value) -> Vec<Variant> {
        let alternatives = alternatives(schema).into_iter().flatten();
        alternatives.map(|schema| Variant { kind: self.name(schema), fields: self.fields(schema) }).collect()
    }
}

fn about(schema: &Value) -> Vec<Paragraph> {
    paragraphs(schema.get("description").and_then(Value::as_str))
}

pub(super) fn given_example(schema: &Value) -> Option<&Value> {
    schema.get("example").or_else(|| schema.pointer("/examples/0"))
}

pub(super) fn list<'v>(schema: &'v Value, key: &str) -> Option<&'v [Value]> {
    schema.get(key)?.as_array().map(Vec::as_slice)
}

pub(super) fn alternatives(schema: &Value) -> Option<&[Value]> {
    list(schema, "oneOf").or_else(|| list(schema, "anyOf"))
}

/// The `type`, which may be one or a list.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    }
}

pub(super) fn is_null(schema: &Value) -> bool {
    types(schema) == ["null"]
}

fn word(text: &str) -> TypeName {
    vec![Word { text: text.to_owned(), anchor: None }]
}

fn joined(names: impl Iterator<Item = TypeName>, between: &str) -> TypeName {
    let mut words = TypeName::new();
    for name in names {
        if !words.is_empty() {
            words.extend(word(between));
        }
        words.extend(name);
    }
    words
}
