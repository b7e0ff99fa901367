//! An example for each schema: what the document gives, filled up with what fits.

use serde_json::{Map, Value};

use super::schema::{DEEPEST, Schemas, alternatives, given_example, is_null, list, referred, types};

impl<'a> Schemas<'a> {
    /// An example: what the document gives, filled up with what fits.
    pub(super) fn example(self, schema: &Value) -> Value {
        self.example_within(schema, DEEPEST)
    }

    /// The example of whichever property has that name: an `{org}` looks alike everywhere.
    pub(super) fn example_named(self, name: &str) -> Option<&'a Value> {
        let property = |schema: &'a Value| given_example(schema.get("properties")?.get(name)?);
        self.all().find_map(|(_, schema)| property(schema))
    }

    fn example_within(self, schema: &Value, depth: u8) -> Value {
        if let Some(example) = given_example(schema).or_else(|| schema.get("default")) {
            return example.clone();
        }
        if let Some(name) = referred(schema) {
            let within = depth.checked_sub(1).zip(self.get(name));
            return within.map(|(depth, schema)| self.example_within(schema, depth)).unwrap_or_default();
        }
        if let Some(value) = list(schema, "enum").and_then(<[Value]>::first) {
            return value.clone();
        }
        if let Some(schema) = alternatives(schema).and_then(|all| all.iter().find(|one| !is_null(one))) {
            return self.example_within(schema, depth);
        }
        if let Some(parts) = list(schema, "allOf") {
            let parts = parts.iter().map(|part| self.example_within(part, depth));
            return Value::Object(parts.filter_map(into_object).flatten().collect());
        }
        match types(schema).into_iter().find(|kind| *kind != "null") {
            Some("array") => {
                schema.get("items").map(|items| self.example_within(items, depth)).into_iter().collect()
            }
            Some("object") => Value::Object(self.example_object(schema, depth)),
            Some("integer" | "number") => number(schema),
            Some("boolean") => true.into(),
            Some("string") => text(schema).into(),
            _ => Value::Null,
        }
    }

    fn example_object(self, schema: &Value, depth: u8) -> Map<String, Value> {
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let properties = properties.map(|(name, schema)| (name.as_str(), schema));
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let others = others.map(|schema| ("…", schema));
        let example = |(name, schema): (&str, &Value)| (name.to_owned(), self.example_within(schema, depth));
        properties.chain(others).map(example).collect()
    }
}

/// The smallest that is more than nothing.
fn number(schema: &Value) -> Value {
    let minimum = schema.get("minimum").filter(|least| least.as_f64().is_some_and(|least| least > 0.0));
    minimum.cloned().unwrap_or_else(|| 1.into())
}

/// A text of the schema's format.
fn text(schema: &Value) -> &'static str {
    match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => "01930d2a-7c1e-7b42-9f0e-3d1c5a6b7e8f",
        Some("date-time") => "2026-01-31T12:00:00Z",
        _ => "…",
    }
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(object) = value { Some(object) } else { None }
}
