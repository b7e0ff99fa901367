//! What the page shows, read from the OpenAPI document.

use askama::Template;
use serde_json::Value;

use super::{
    operation::{self, Operation},
    schema::{Schema, Schemas},
    text::{Paragraph, paragraphs, slug},
};
use crate::http::error;

/// The page.
#[derive(Template)]
#[template(path = "docs/page.html")]
pub(super) struct Page {
    title: String,
    version: String,
    about: Vec<Paragraph>,
    tags: Vec<Tag>,
    schemas: Vec<Schema>,
    problems: Vec<ProblemCode>,
}

/// Operations that belong together.
struct Tag {
    anchor: String,
    name: String,
    about: Vec<Paragraph>,
    operations: Vec<Operation>,
}

/// An error code. Its anchor is the code itself: a problem's `type` leads there.
struct ProblemCode {
    code: &'static str,
    status: u16,
    title: &'static str,
}

impl Page {
    /// The page for that document.
    pub(super) fn of(document: &Value) -> Self {
        let info = |key| document.pointer("/info")?.get(key)?.as_str();
        let problem = |&(code, status, title)| ProblemCode { code, status, title };
        Self {
            title: info("title").unwrap_or("API").to_owned(),
            version: info("version").unwrap_or_default().to_owned(),
            about: paragraphs(info("description")),
            tags: tags(document),
            schemas: Schemas::of(document).show(),
            problems: error::CODES.iter().map(problem).collect(),
        }
    }
}

/// In the document's order; what it doesn't list comes last. A tag without operations is left out.
fn tags(document: &Value) -> Vec<Tag> {
    let listed = document.get("tags").and_then(Value::as_array).into_iter().flatten();
    let mut tags: Vec<Tag> = listed
        .filter_map(|tag| {
            let text = |key| tag.get(key).and_then(Value::as_str);
            Some(Tag::new(text("name")?, text("description")))
        })
        .collect();
    for (name, operation) in operation::all(document) {
        if let Some(tag) = tags.iter_mut().find(|tag| tag.name == name) {
            tag.operations.push(operation);
        } else {
            let mut tag = Tag::new(name, None);
            tag.operations.push(operation);
            tags.push(tag);
        }
    }
    tags.retain(|tag| !tag.operations.is_empty());
    tags
}

impl Tag {
    fn new(name: &str, about: Option<&str>) -> Self {
        Self {
            anchor: format!("tag-{}", slug(name)),
            name: name.to_owned(),
            about: paragraphs(about),
            operations: Vec::new(),
        }
    }
}
