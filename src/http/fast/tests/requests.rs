//! Requests of every kind, and a world in which they make sense.

use std::time::Duration;

use axum::body::Body;
use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::Value;
use tower::ServiceExt;

use super::{
    super::{Method, Request},
    rig::{ROOT, Rig},
};

/// What is sent, to be made twice.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    method: &'static str,
    uri: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: &'static str,
}

impl Sent {
    pub(super) fn request(&self) -> Request<Body> {
        let Self { method, uri, headers, body } = self;
        let mut request = Request::builder().method(*method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, value.as_slice());
        }
        request.body(Body::from(*body)).unwrap()
    }
}

/// What requests are made of.
pub(super) struct World {
    tokens: Vec<String>,
    versions: Vec<String>,
}

impl World {
    /// Two organizations, tokens of every kind, and all that is there in memory.
    pub(super) async fn of(rig: &Rig) -> Self {
        let mut versions = vec!["v".repeat(36)];
        for (org, connection) in [("acme", "openai"), ("acme", "a-b_C"), ("o.1@x+y=z", "openai")] {
            versions.push(rig.connect(org, connection).await);
        }
        rig.connect("acme", "gone").await;
        rig.ask(Method::DELETE, "/v1/orgs/acme/connections/gone", &Value::Null).await;
        let (expired, _) = rig.token("credentials:read", "*").await;
        let mut tokens = vec![expired];
        rig.clock.advance(Duration::from_secs(3_500));
        for (scope, org) in
            [("credentials:read", "acme"), ("credentials:read", "other"), ("connections:read", "*")]
        {
            tokens.push(rig.token(scope, org).await.0);
        }
        let (revoked, id) = rig.token("credentials:read", "*").await;
        tokens.push(revoked);
        tokens.push(ROOT.to_owned());
        let world = Self { tokens, versions };
        world.warm_up(rig).await;
        rig.ask(Method::DELETE, &format!("/v1/tokens/{id}"), &Value::Null).await;
        world.warm_up(rig).await;
        // Remembered, and expired since.
        rig.clock.advance(Duration::from_secs(101));
        world
    }

    async fn warm_up(&self, rig: &Rig) {
        for token in &self.tokens {
            for path in ["acme/connections/openai", "acme/connections/a-b_C", "o.1@x+y=z/connections/openai"]
            {
                let request = Request::get(format!("/v1/orgs/{path}/credentials"))
                    .header("authorization", format!("Bearer {token}"))
                    .body(Body::empty());
                rig.fast.router.clone().oneshot(request.unwrap()).await.unwrap();
            }
        }
    }

    fn requests(&self) -> impl Strategy<Value = Sent> + use<> {
        let names = prop_oneof![
            30 => select(vec![("acme", "openai"), ("acme", "a-b_C"), ("o.1@x+y=z", "openai")]),
            3 => (select(vec!["acme", "other", "-x", "a%63me", "ac%2Fme", "%ff", "a..b", "", "."]),
                  select(vec!["openai", "gone", "none", "op%65nai", "a.b", "..", "", "a/b"])),
        ];
        let end = prop_oneof![
            30 => Just("/credentials"),
            2 => select(vec!["/credentials/", "/credential%73", "//credentials", "/Credentials", "/credentials;a"]),
        ];
        let query = prop_oneof![
            30 => Just(""),
            2 => select(vec!["?", "?version=previous", "?version=current", "?a=b", "?version=previous&version=previous"]),
        ];
        let uri = (names, end, query)
            .prop_map(|((org, name), end, query)| format!("/v1/orgs/{org}/connections/{name}{end}{query}"));
        let method = prop_oneof![
            30 => Just("GET"),
            2 => select(vec!["HEAD", "PUT", "POST", "DELETE", "OPTIONS", "BREW"]),
        ];
        let body = prop_oneof![30 => Just(""), 1 => Just("{}")];
        let headers = (self.authorization(), self.condition(), cache_control(), request_id());
        (method, uri, headers, body).prop_map(|(method, uri, (token, condition, cache, id), body)| {
            let headers = [token, condition, cache, id].concat();
            Sent { method, uri, headers, body }
        })
    }

    fn authorization(&self) -> impl Strategy<Value = Headers> + use<> {
        let mut wrong = vec!["kb_".to_owned(), "x".repeat(300), "kb_unknown-token-0123".to_owned()];
        wrong.push(self.tokens[1].replace(|c: char| c.is_ascii_digit(), "x"));
        let token =
            prop_oneof![6 => select(self.tokens.clone()), 6 => Just(ROOT.to_owned()), 1 => select(wrong)];
        let scheme = prop_oneof![
            30 => Just("Bearer "),
            1 => select(vec!["bearer ", "BEARER ", "Basic ", "Bearer", "Bearer  ", "", " Bearer "]),
        ];
        let valid = ROOT.to_owned();
        prop_oneof![
            30 => (scheme, token).prop_map(|(scheme, token)| one("authorization", format!("{scheme}{token}"))),
            2 => select(vec![
                vec![],
                [one("authorization", format!("Bearer {valid}")), one("authorization", format!("Bearer {valid}"))].concat(),
                vec![("authorization", b"Bearer \xffkb_0123456789abcdef".to_vec())],
                one("authorization", format!("Bearer {valid} ")),
                one("authorization", format!("Bearer {valid} x")),
            ]),
        ]
    }

    fn condition(&self) -> impl Strategy<Value = Headers> + use<> {
        let version = select(self.versions.clone());
        let form = select(vec![
            "\"{}\"",
            "W/\"{}\"",
            "\"a\", \"{}\"",
            "{}",
            "\"{}",
            "\"a\"{}\"",
            "\"{}\",",
            " \"{}\" ",
        ]);
        prop_oneof![
            4 => Just(vec![]),
            4 => (version, form).prop_map(|(version, form)| one("if-none-match", form.replace("{}", &version))),
            1 => select(vec![
                one("if-none-match", "*".into()),
                one("if-none-match", String::new()),
                [one("if-none-match", "*".into()), one("if-none-match", "*".into())].concat(),
                vec![("if-none-match", b"\"\xe9\"".to_vec())],
                one("if-match", "*".into()),
            ]),
        ]
    }
}

type Headers = Vec<(&'static str, Vec<u8>)>;

fn one(name: &'static str, value: String) -> Headers {
    vec![(name, value.into_bytes())]
}

fn cache_control() -> impl Strategy<Value = Headers> {
    let values = vec!["no-cache", "No-Cache", "max-age=0", "no-store, no-cache", "private", "no-cached", ""];
    prop_oneof![
        16 => Just(vec![]),
        2 => select(values).prop_map(|value| one("cache-control", value.into())),
        1 => Just([one("cache-control", "max-age=1".into()), one("cache-control", "no-cache".into())].concat()),
    ]
}

fn request_id() -> impl Strategy<Value = Headers> {
    let values = vec!["r-1_A".to_owned(), "x".repeat(64), "x".repeat(65), "a b".to_owned(), String::new()];
    prop_oneof![
        3 => Just(vec![]),
        3 => select(values).prop_map(|value| one("x-request-id", value)),
        1 => Just([one("x-request-id", "first".into()), one("x-request-id", "second".into())].concat()),
        1 => Just(vec![("x-request-id", b"\xff".to_vec())]),
    ]
}

pub(super) fn generated(world: &World, number: usize) -> Vec<Sent> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let requests = world.requests();
    (0..number).map(|_| requests.new_tree(&mut runner).unwrap().current()).collect()
}
