//! How a function is made in the AWS console, whose labels are the same in every language.

use crate::{
    domain::vault::template_version,
    http::portal::text::{Span, Texts, spans},
};

/// What the texts call the parts of the AWS console, and how these are labelled there.
const LABELS: &[(&str, &str)] = &[
    ("lambda", "Lambda"),
    ("create", "Create function"),
    ("scratch", "Author from scratch"),
    ("runtime", "Node.js 22.x"),
    ("code", "Code"),
    ("index", "index.mjs"),
    ("deploy", "Deploy"),
    ("configuration", "Configuration"),
    ("url", "Function URL"),
    ("create_url", "Create function URL"),
    ("auth", "Auth type"),
    ("none", "NONE"),
    ("save", "Save"),
    ("permissions", "Permissions"),
    ("policy", "Resource-based policy statements"),
    ("url_action", "lambda:InvokeFunctionUrl"),
    ("action", "lambda:InvokeFunction"),
    ("variables", "Environment variables"),
    ("edit", "Edit"),
    ("add", "Add environment variable"),
    ("key", "Key"),
    ("value", "Value"),
    ("token", "AUTH_TOKEN"),
];

/// What gives a function's URL both permissions: which one, and the command.
const COMMANDS: [(&str, &str); 2] = [
    (
        "lambda:InvokeFunctionUrl",
        "aws lambda add-permission --function-name NAME --statement-id PublicUrl --action lambda:InvokeFunctionUrl --principal '*' --function-url-auth-type NONE",
    ),
    (
        "lambda:InvokeFunction",
        "aws lambda add-permission --function-name NAME --statement-id PublicInvoke --action lambda:InvokeFunction --principal '*' --invoked-via-function-url",
    ),
];

/// A text with the labels of the console in it.
pub(in crate::http::portal) fn labelled(text: &str) -> Vec<Span> {
    spans(text, LABELS)
}

/// How the function and its URL are made, step by step.
pub(in crate::http::portal) const fn creation(t: &Texts) -> [&'static str; 3] {
    [t.vault_create_function, t.vault_create_code, t.vault_create_url]
}

/// What gives the URL its permissions, where the console did not.
pub(in crate::http::portal) const fn commands() -> [(&'static str, &'static str); 2] {
    COMMANDS
}

/// Which version of the template is put into it.
pub(in crate::http::portal) fn version() -> &'static str {
    template_version()
}
