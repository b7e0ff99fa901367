//! Text of the document, cut up for the page.

/// A run of text: plain, or code where it stood between backticks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) code: bool,
}

/// The runs of one paragraph.
pub(super) type Paragraph = Vec<Span>;

/// The paragraphs of a description; none, if there is no description.
pub(super) fn paragraphs(text: Option<&str>) -> Vec<Paragraph> {
    let parts = text.unwrap_or_default().split("\n\n").map(str::trim);
    parts.filter(|part| !part.is_empty()).map(spans).collect()
}

/// A lone backtick is only a character.
pub(super) fn spans(text: &str) -> Paragraph {
    let mut spans = Vec::new();
    let mut push = |text: &str, code| {
        if !text.is_empty() {
            spans.push(Span { text: text.to_owned(), code });
        }
    };
    let mut rest = text;
    while let Some((before, (code, after))) = next_code(rest) {
        push(before, false);
        push(code, true);
        rest = after;
    }
    push(rest, false);
    spans
}

/// The first sentence without its full stop, and what comes after it.
pub(super) fn first_sentence(text: &str) -> (&str, &str) {
    let (first, rest) = text.trim().split_once(". ").unwrap_or((text.trim(), ""));
    (first.strip_suffix('.').unwrap_or(first), rest)
}

fn next_code(text: &str) -> Option<(&str, (&str, &str))> {
    let (before, rest) = text.split_once('`')?;
    Some((before, rest.split_once('`')?))
}

/// A piece of a path: fixed, or a parameter in braces.
pub(super) struct PathPiece {
    pub(super) text: String,
    pub(super) parameter: bool,
}

/// The pieces of `/v1/orgs/{org}`, slashes and braces kept.
pub(super) fn path_pieces(path: &str) -> Vec<PathPiece> {
    let piece = |text: &str| PathPiece { text: text.to_owned(), parameter: text.starts_with('{') };
    path.split_inclusive('}')
        .flat_map(|part| {
            let (fixed, parameter) = part.split_at(part.find('{').unwrap_or(part.len()));
            [piece(fixed), piece(parameter)]
        })
        .filter(|piece| !piece.text.is_empty())
        .collect()
}

/// A name that can be part of an `id`.
pub(super) fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}
