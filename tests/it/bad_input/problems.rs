//! One error of each code, as a whole.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{
    Db, Store, TestApp,
    app::vapi,
    aws::Fault,
    client::{Call, Reply},
};

/// The body, without what differs from one time to the next.
async fn problem(call: Call) -> Value {
    without_id(&call.send().await)
}

fn without_id(reply: &Reply) -> Value {
    let mut body = reply.json();
    let id = body.as_object_mut().unwrap().remove("request_id").unwrap();
    assert_eq!(Some(id.as_str().unwrap()), reply.header("x-request-id"));
    body
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "most of them are the snapshot")]
async fn errors_of_the_caller_keep_their_form() {
    let app = TestApp::local().await;
    let path = app.path("vapi");
    app.put_vapi("sk-0123456789").await.expect(201);
    let reader = app.token(&[keybroker::domain::access::Scope::CredentialsRead], &[&app.org]).await;
    let big = "x".repeat(65_537);
    let problems = [
        problem(app.get("/v1/orgs/_/connections")).await,
        problem(app.call(Method::GET, "/v1/providers")).await,
        problem(app.call(Method::GET, &path).token(&reader)).await,
        problem(app.get(&app.path("missing"))).await,
        problem(app.get("/v1/nothing")).await,
        problem(app.post(&path)).await,
        problem(app.put(&path).json(&vapi("sk")).header("if-none-match", "*")).await,
        problem(app.post(&format!("{path}/rollback"))).await,
        problem(app.put(&path).header("content-type", "application/json").body(big)).await,
        problem(app.put(&path).body("{}")).await,
        problem(app.put(&path).json(&json!({"credentials": {"publicApiKey": "", "x": "y"}}))).await,
    ];
    insta::assert_json_snapshot!(problems, @r#"
    [
      {
        "code": "invalid_request",
        "detail": "In the path, the organization id must be 1 to 128 of A-Z a-z 0-9 _ . @ + = -, starting with a letter or digit.",
        "retryable": false,
        "status": 400,
        "title": "The request is malformed",
        "type": "/docs#invalid_request"
      },
      {
        "code": "unauthenticated",
        "detail": "Send a valid token as `Authorization: Bearer kb_…`. Missing, mistyped, revoked and expired tokens get this answer.",
        "retryable": false,
        "status": 401,
        "title": "A valid token is needed",
        "type": "/docs#unauthenticated"
      },
      {
        "code": "missing_scope",
        "detail": "This needs a token with the scope connections:read. Ask whoever made the token for one.",
        "retryable": false,
        "status": 403,
        "title": "The token lacks a scope",
        "type": "/docs#missing_scope"
      },
      {
        "code": "not_found",
        "detail": "Nothing of that name is there for this token. Check the names and the token's organizations.",
        "retryable": false,
        "status": 404,
        "title": "There is no such thing for this token",
        "type": "/docs#not_found"
      },
      {
        "code": "no_such_route",
        "detail": "GET /openapi.json lists the paths; /docs shows them to people.",
        "retryable": false,
        "status": 404,
        "title": "There is no such path",
        "type": "/docs#no_such_route"
      },
      {
        "code": "method_not_allowed",
        "detail": "The header Allow lists the methods that this path takes.",
        "retryable": false,
        "status": 405,
        "title": "The path does not take this method",
        "type": "/docs#method_not_allowed"
      },
      {
        "code": "precondition_failed",
        "detail": "The connection is not in the state that If-Match or If-None-Match demands. Read it again and decide anew.",
        "retryable": false,
        "status": 412,
        "title": "The condition does not hold",
        "type": "/docs#precondition_failed"
      },
      {
        "code": "conflict",
        "detail": "There is no previous version to go back to: this is the first one, or the connection was disconnected.",
        "retryable": false,
        "status": 409,
        "title": "Something stands in the way",
        "type": "/docs#conflict"
      },
      {
        "code": "too_large",
        "detail": "A body may have 65536 bytes at most.",
        "retryable": false,
        "status": 413,
        "title": "The body is too large",
        "type": "/docs#too_large"
      },
      {
        "code": "unsupported_media_type",
        "detail": "Send JSON, with the header `Content-Type: application/json`.",
        "retryable": false,
        "status": 415,
        "title": "The body must be JSON",
        "type": "/docs#unsupported_media_type"
      },
      {
        "code": "invalid_credentials",
        "detail": "Correct the fields named in `errors`; GET /v1/providers tells what each provider takes.",
        "errors": [
          {
            "field": "publicApiKey",
            "message": "is empty"
          },
          {
            "field": "privateApiKey",
            "message": "is required"
          },
          {
            "field": "x",
            "message": "is unknown; vapi takes publicApiKey, privateApiKey"
          }
        ],
        "retryable": false,
        "status": 422,
        "title": "The credentials don't fit the provider",
        "type": "/docs#invalid_credentials"
      }
    ]
    "#);
}

#[tokio::test]
async fn errors_of_the_store_keep_their_form() {
    let app = TestApp::with(
        Db::Sqlite,
        Store::Moto,
        &[("KEYBROKER_CACHE_TTL", "0s"), ("KEYBROKER_STORE_TIMEOUT", "3s")],
    )
    .await;
    app.put_vapi("sk-0123456789").await.expect(201);
    let mut problems = Vec::new();
    for fault in [Fault::Code("AccessDeniedException"), Fault::Internal] {
        app.aws().fail("GetSecretValue", usize::MAX, fault);
        let reply = app.read("vapi").await;
        app.aws().heal();
        problems.push((without_id(&reply), reply.header("retry-after").map(str::to_owned)));
    }
    insta::assert_json_snapshot!(problems, @r#"
    [
      [
        {
          "code": "store_refused",
          "detail": "The store refuses keybroker, or holds something that is not credentials. An operator must act: the log names the cause under this request_id.",
          "retryable": false,
          "status": 502,
          "title": "The store refuses",
          "type": "/docs#store_refused"
        },
        null
      ],
      [
        {
          "code": "store_unavailable",
          "detail": "The store or the database does not answer at present. Try again after the time in Retry-After.",
          "retryable": true,
          "status": 503,
          "title": "The store does not answer",
          "type": "/docs#store_unavailable"
        },
        "2"
      ]
    ]
    "#);
}
