//! Layers import downwards only: reads the source and fails on an arrow that runs up.

use std::{collections::BTreeSet, fs, iter::Peekable, path::Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream::IntoIter};

use crate::support::services::root;

/// Each layer and what it may import besides itself.
const LAYERS: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("port", &["domain"]),
    ("broker", &["port", "domain"]),
    ("adapter", &["port", "domain"]),
    ("http", &["broker", "domain"]),
    ("config", &["domain"]),
    ("telemetry", &["config"]),
    ("app", &["adapter", "broker", "config", "domain", "http", "port", "telemetry"]),
    ("cli", &["app", "broker", "config", "domain", "telemetry"]),
    ("main", &["cli"]),
];

/// What may be named in one place alone, and where: outside it stands only its definition.
const MADE_IN: [(&[&str], &str, &str); 3] = [
    (&["Caller", "new"], "broker/tokens.rs", "callers are made of tokens"),
    (&["Visitor", "new"], "broker/sessions.rs", "a visitor comes from an opened link"),
    (&["SystemTask"], "broker/", "a system task is the broker's"),
];

#[test]
fn imports_run_downwards() {
    let mut faults = Vec::new();
    let mut layers = BTreeSet::new();
    for (file, source) in sources() {
        layers.insert(module(&file)[0].clone());
        faults.extend(import_faults(&file, &source));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let expected: BTreeSet<String> = LAYERS.iter().map(|(layer, _)| (*layer).to_owned()).collect();
    assert_eq!(layers, expected, "every layer has its place in the table, and the table names no other");
}

#[test]
fn permits_come_from_where_they_should() {
    for (name, place, why) in MADE_IN {
        let users: Vec<_> = sources()
            .into_iter()
            .filter(|(file, source)| file != "domain/access.rs" && names(&code(source), name))
            .map(|(file, _)| file)
            .collect();
        assert!(!users.is_empty(), "{name:?} is named nowhere: this test looks for the wrong thing");
        assert!(users.iter().all(|file| file.starts_with(place)), "{why}, but {users:?}");
    }
}

#[test]
fn an_arrow_that_runs_up_is_noticed() {
    for (file, source, up) in [
        ("domain/id.rs", "use crate::broker::error::Error;", "broker"),
        ("http/v1/tokens.rs", "use crate::{domain::id::OrgId, port::index::{Answer, Outcome}};", "port"),
        ("http/v1/tokens.rs", "fn f() { let x = crate::adapter::sql::open(); }", "adapter"),
        ("http/json.rs", "use super::super::adapter;", "adapter"),
        ("http/json.rs", "use super::{super::{port::index, domain::id}, error};", "port"),
        ("broker.rs", "pub use super::http::router as somewhere_else;", "http"),
        ("adapter/aws.rs", "mod inner { fn f(_: super::super::super::broker::error::Error) {} }", "broker"),
        ("config.rs", "macro_rules! m { () => { $crate::app::App }; }", "app"),
        ("cli/dev.rs", "use crate as keybroker; use crate::*;", "*"),
        ("main.rs", "use keybroker::{adapter::sql, cli};", "adapter"),
        ("nowhere.rs", "use crate::domain;", "domain"),
    ] {
        let faults = import_faults(file, source);
        assert_eq!(faults.len(), 1, "{file}: {source}: {faults:?}");
        assert!(faults[0].ends_with(&format!("imports {up}")), "{faults:?}");
    }
}

#[test]
fn what_runs_down_or_is_no_code_is_left_alone() {
    for (file, source) in [
        (
            "broker/write.rs",
            "use crate::{domain::access::{Permit, Write}, port::store::Store, broker::error};",
        ),
        ("http/v1/tokens.rs", "use super::super::error::Problem; use crate::http::json;"),
        ("http/json.rs", "mod inner { use super::{super::error, *}; }"),
        (
            "domain/id.rs",
            "//! [`crate::port::store`]\n/// use crate::app;\nconst X: &str = \"crate::app\"; // crate::cli",
        ),
        ("domain/id.rs", "#[cfg(test)]\nmod tests { use crate::adapter::local; }"),
        ("main.rs", "fn main() { keybroker::cli::main() }"),
    ] {
        assert_eq!(import_faults(file, source), Vec::<String>::new(), "{file}: {source}");
    }
    assert!(names(&code("use a::SystemTask as T;"), &["SystemTask"]));
    assert!(names(&code("fn f() { g(Caller::new(a)) }"), &["Caller", "new"]));
    assert!(!names(&code("/// Caller::new\nfn f() { Caller { new }; }"), &["Caller", "new"]));
}

/// Every source file of the program, but for `lib.rs` and tests, by its path under `src`.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let (mut folders, mut found) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            let is_code = Path::new(&name).extension().is_some_and(|extension| extension == "rs");
            let is_test = name.ends_with("/tests.rs") || name.contains("/tests/");
            if is_code && name != "lib.rs" && !is_test {
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "{} files are not all there are", found.len());
    found
}

/// The path of a file's module within the crate.
fn module(file: &str) -> Vec<String> {
    file.trim_end_matches(".rs").split('/').map(str::to_owned).collect()
}

/// What a file imports that its layer may not.
fn import_faults(file: &str, source: &str) -> Vec<String> {
    let module = module(file);
    let layer = module[0].clone();
    let mut imported = BTreeSet::new();
    walk(code(source), &module, &mut imported);
    let allowed = LAYERS.iter().find(|(name, _)| *name == layer).map_or(&[][..], |(_, allowed)| allowed);
    let fault = |other: &String| *other != layer && !allowed.contains(&other.as_str());
    imported.iter().filter(|other| fault(other)).map(|other| format!("{file} imports {other}")).collect()
}

/// A file's tokens. Comments are not among them, and doc comments are literals.
fn code(source: &str) -> TokenStream {
    source.parse().expect("it is Rust")
}

/// Collects the layers named by paths from the crate's root, in code that stands in `module`.
fn walk(tokens: TokenStream, module: &[String], imported: &mut BTreeSet<String>) {
    let mut tokens = tokens.into_iter().peekable();
    let mut test_only = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                test_only |= group.to_string() == "[cfg (test)]" || group.to_string() == "[cfg(test)]";
                walk(group.stream(), module, imported);
            }
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "crate" => path(&mut tokens, &[], imported),
                "keybroker" if module == ["main"] => path(&mut tokens, &[], imported),
                "super" => path(&mut tokens, &module[..module.len() - 1], imported),
                "mod" => {
                    let name = tokens.next().map(|name| name.to_string()).unwrap_or_default();
                    if let Some(TokenTree::Group(body)) = tokens.peek() {
                        let inner = [module, &[name]].concat();
                        if !test_only {
                            walk(body.stream(), &inner, imported);
                        }
                        tokens.next();
                    }
                    test_only = false;
                }
                _ => {}
            },
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Follows a path whose start stands for the module `at`: whatever it names of the root is a layer.
fn path(tokens: &mut Peekable<IntoIter>, at: &[String], imported: &mut BTreeSet<String>) {
    if !is_colon(tokens.peek()) {
        return;
    }
    tokens.next();
    tokens.next();
    step(tokens, at, imported);
}

/// One step of a path, or of each branch of a use tree.
fn step(tokens: &mut Peekable<IntoIter>, at: &[String], imported: &mut BTreeSet<String>) {
    match tokens.next() {
        Some(TokenTree::Ident(word)) if word == "super" => path(tokens, &at[..at.len() - 1], imported),
        Some(TokenTree::Ident(word)) if at.is_empty() => {
            imported.insert(word.to_string());
        }
        Some(TokenTree::Punct(star)) if at.is_empty() => {
            imported.insert(star.as_char().to_string());
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let mut branches = group.stream().into_iter().peekable();
            while branches.peek().is_some() {
                step(&mut branches, at, imported);
                while branches.next().is_some_and(|token| token.to_string() != ",") {}
            }
        }
        _ => {}
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(colon)) if colon.as_char() == ':')
}

/// Whether `name`, a path of so many words, stands anywhere in the code.
fn names(tokens: &TokenStream, name: &[&str]) -> bool {
    let flat = flatten(tokens.clone());
    let mut wanted = Vec::new();
    for word in name {
        if !wanted.is_empty() {
            wanted.extend([":", ":"]);
        }
        wanted.push(word);
    }
    flat.windows(wanted.len()).any(|window| window == wanted)
}

fn flatten(tokens: TokenStream) -> Vec<String> {
    let mut flat = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                flat.push("(".to_owned());
                flat.extend(flatten(group.stream()));
                flat.push(")".to_owned());
            }
            token => flat.push(token.to_string()),
        }
    }
    flat
}
