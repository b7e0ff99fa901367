//! One operation: what it needs, what it answers, and how to try it.

use axum::http::StatusCode;
use serde_json::Value;

use super::{
    curl::{self, Sample},
    schema::{Field, Schemas, TypeName, referred},
    text::{self, Paragraph, PathPiece, Span, paragraphs, path_pieces, slug, spans},
};
use crate::http::error;

/// The methods of a path, in the order that people look for them.
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Where to look for parameters, and what they are called.
const PLACES: [(&str, &str); 3] = [("path", "Path"), ("query", "Query"), ("header", "Header")];

/// What the router answers by itself, before there is an operation.
const OF_NO_OPERATION: [&str; 2] = ["no_such_route", "method_not_allowed"];

/// A method on a path.
pub(super) struct Operation {
    pub(super) anchor: String,
    pub(super) method: String,
    pub(super) path: Vec<PathPiece>,
    /// A few words, for the contents.
    pub(super) label: String,
    /// The summary's first sentence.
    pub(super) title: Vec<Span>,
    /// The rest of the summary, and the description.
    pub(super) about: Vec<Paragraph>,
    pub(super) needs_token: bool,
    pub(super) scopes: Vec<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) responses: Vec<Response>,
    pub(super) errors: Vec<Failure>,
    pub(super) curl: String,
    /// A successful answer's status and body.
    pub(super) answer: Option<(String, String)>,
}

/// A parameter and where it goes.
pub(super) struct Parameter {
    pub(super) place: &'static str,
    pub(super) field: Field,
    /// What goes into the curl example.
    sample: String,
}

/// The request's body.
pub(super) struct Body {
    pub(super) kind: TypeName,
    pub(super) fields: Vec<Field>,
    example: Value,
}

/// An answer that is explained here.
pub(super) struct Response {
    pub(super) status: String,
    pub(super) about: Vec<Span>,
    pub(super) kind: Option<TypeName>,
}

/// An answer that the section of errors explains.
pub(super) struct Failure {
    pub(super) status: String,
    pub(super) codes: Vec<&'static str>,
}

/// Every operation with its tag.
pub(super) fn all(document: &Value) -> Vec<(&str, Operation)> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths
        .flat_map(|(path, item)| METHODS.map(|method| Some((method, path, item, item.get(method)?))))
        .flatten()
        .map(|(method, path, item, operation)| {
            let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or("other");
            (tag, Source { document, method, path, item, operation }.read())
        })
        .collect()
}

/// Where the page shows an operation.
pub(super) fn anchor(method: &str, path: &str, operation: &Value) -> String {
    let id = operation.get("operationId").and_then(Value::as_str);
    format!("op-{}", id.map_or_else(|| slug(&format!("{method} {path}")), slug))
}

/// An operation as the document has it.
#[derive(Clone, Copy)]
struct Source<'a> {
    document: &'a Value,
    method: &'a str,
    path: &'a str,
    item: &'a Value,
    operation: &'a Value,
}

impl<'a> Source<'a> {
    fn schemas(self) -> Schemas<'a> {
        Schemas::of(self.document)
    }

    fn text(self, key: &str) -> Option<&'a str> {
        self.operation.get(key)?.as_str()
    }

    fn read(self) -> Operation {
        let (needs_token, scopes) = self.security();
        let (parameters, body) = (self.parameters(), self.body());
        let (responses, errors) = self.answers();
        let (title, rest) = text::first_sentence(self.text("summary").unwrap_or(self.path));
        let method = self.method.to_uppercase();
        let curl = curl::command(&Sample {
            method: &method,
            path: &filled(self.path, &parameters),
            headers: &needed_headers(&parameters),
            body: body.as_ref().map(|body| &body.example),
            needs_token,
        });
        Operation {
            anchor: anchor(self.method, self.path, self.operation),
            path: path_pieces(self.path),
            label: self.text("operationId").map_or_else(|| title.to_owned(), |id| id.replace('_', " ")),
            title: spans(title),
            about: paragraphs(Some(rest)).into_iter().chain(paragraphs(self.text("description"))).collect(),
            answer: self.answer(),
            method,
            needs_token,
            scopes,
            parameters,
            body,
            responses,
            errors,
            curl,
        }
    }

    /// Whether a token is needed, and with which scopes. One empty requirement makes it optional.
    fn security(self) -> (bool, Vec<String>) {
        let own = self.operation.get("security").or_else(|| self.document.get("security"));
        let requirements = own.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let schemes: Vec<_> = requirements.iter().filter_map(Value::as_object).collect();
        let needed = !schemes.is_empty() && schemes.iter().all(|schemes| !schemes.is_empty());
        let scopes = schemes.into_iter().flat_map(|schemes| schemes.values()).filter_map(Value::as_array);
        let scopes = scopes.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        (needed, scopes)
    }

    /// Those of the path and of the operation, by place.
    fn parameters(self) -> Vec<Parameter> {
        let listed =
            |value: &'a Value| value.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let all: Vec<_> = listed(self.item).chain(listed(self.operation)).collect();
        let at = |place: &'static str, title| {
            let here = all.iter().filter(move |one| one.get("in").is_some_and(|found| found == place));
            here.filter_map(move |one| self.parameter(one, title))
        };
        PLACES.into_iter().flat_map(|(place, title)| at(place, title)).collect()
    }

    fn parameter(self, parameter: &Value, place: &'static str) -> Option<Parameter> {
        let name = parameter.get("name")?.as_str()?;
        let schema = parameter.get("schema").unwrap_or(&Value::Null);
        let example = parameter.get("example").or_else(|| self.schemas().example_named(name));
        let about = parameter.get("description").or_else(|| schema.get("description"));
        Some(Parameter {
            place,
            sample: example.map_or_else(|| bare(&self.schemas().example(schema)), bare),
            field: Field {
                name: name.to_owned(),
                kind: without_null(self.schemas().name(schema)),
                required: parameter.get("required").is_some_and(|required| required == true),
                about: paragraphs(about.and_then(Value::as_str)),
                example: example.map(bare),
            },
        })
    }

    fn body(self) -> Option<Body> {
        let content = self.operation.pointer("/requestBody/content")?;
        let (schemas, schema) = (self.schemas(), body_schema(content)?);
        let given = content.as_object()?.values().find_map(|media| media.get("example"));
        Some(Body {
            kind: schemas.name(schema),
            fields: schemas.fields(schema),
            example: given.cloned().unwrap_or_else(|| schemas.example(schema)),
        })
    }

    fn responses(self) -> impl Iterator<Item = (&'a str, &'a str, Option<&'a Value>)> {
        let responses = self.operation.get("responses").and_then(Value::as_object).into_iter().flatten();
        responses.map(|(status, response)| {
            let about = response.get("description").and_then(Value::as_str).unwrap_or_default();
            (status.as_str(), about, response.get("content").and_then(body_schema))
        })
    }

    /// Problems without words of their own are only named: their codes are explained once.
    fn answers(self) -> (Vec<Response>, Vec<Failure>) {
        let (mut responses, mut failures) = (Vec::new(), Vec::new());
        for (status, about, schema) in self.responses() {
            let (codes, status) = (codes(status), status.to_owned());
            let is_problem = schema.and_then(referred) == Some("Problem");
            if is_problem && about.is_empty() && !codes.is_empty() {
                failures.push(Failure { status, codes });
            } else {
                let about = spans(if about.is_empty() { reason(&status) } else { about });
                responses.push(Response {
                    status,
                    about,
                    kind: schema.map(|schema| self.schemas().name(schema)),
                });
            }
        }
        (responses, failures)
    }

    fn answer(self) -> Option<(String, String)> {
        let (status, _, schema) = self.responses().find(|(status, ..)| status.starts_with('2'))?;
        let body = schema.map(|schema| curl::pretty(&self.schemas().example(schema)));
        Some((status.to_owned(), body.unwrap_or_default()))
    }
}

fn body_schema(content: &Value) -> Option<&Value> {
    content.as_object()?.values().find_map(|media| media.get("schema"))
}

fn codes(status: &str) -> Vec<&'static str> {
    let here =
        |(code, of, _): &&(&str, u16, &str)| of.to_string() == status && !OF_NO_OPERATION.contains(code);
    error::CODES.iter().filter(here).map(|(code, ..)| *code).collect()
}

fn reason(status: &str) -> &'static str {
    let status: Option<StatusCode> = status.parse().ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Any other")
}

/// The path with examples in place of its parameters, and the query that it can't do without.
fn filled(path: &str, parameters: &[Parameter]) -> String {
    let mut path = path.to_owned();
    let mut query = Vec::new();
    for Parameter { place, field, sample } in parameters {
        match *place {
            "Path" => path = path.replace(&format!("{{{}}}", field.name), sample),
            "Query" if field.required => query.push(format!("{}={sample}", field.name)),
            _ => {}
        }
    }
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

fn needed_headers(parameters: &[Parameter]) -> Vec<(String, String)> {
    let needed = parameters.iter().filter(|one| one.place == "Header" && one.field.required);
    needed.map(|one| (one.field.name.clone(), one.sample.clone())).collect()
}

/// A parameter can be left out, but not be null.
fn without_null(mut kind: TypeName) -> TypeName {
    if let [.., _, last] = kind.as_slice()
        && last.text == "null"
    {
        kind.truncate(kind.len() - 2);
    }
    kind
}

/// Text without its quotation marks.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
