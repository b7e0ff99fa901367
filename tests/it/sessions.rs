//! Connect sessions and the portal as HTTP: what a browser is given, and what is refused to one that is not
//! to be trusted. What people see of it is in `tests/browser`.

use hyper::Method;
use keybroker::domain::{
    access::Scope,
    clock::{Clock, SystemClock},
    session::SessionSecret,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Db, Reply, Store, TestApp,
    client::Call,
    provider::{Treatment, treat},
};

mod refusals;
mod vault;

const APP: &str = "https://app.example";
const OPENAI: &str = "/portal/connections/openai";
const VAPI: &str = "/portal/connections/vapi";

/// A browser with a visit under way.
struct Browser<'a> {
    app: &'a TestApp,
    /// What it sends as `Cookie`.
    cookie: String,
    /// What its forms carry.
    csrf: String,
    /// The link that it came by.
    link: String,
}

/// The path of a new link.
async fn link(app: &TestApp, session: &Value) -> String {
    let reply = create(app, session).await.expect(201).json();
    let (_, path) = reply["url"].as_str().unwrap().split_once("://").unwrap();
    path[path.find('/').unwrap()..].to_owned()
}

async fn create(app: &TestApp, session: &Value) -> Reply {
    app.post(&format!("/v1/orgs/{}/connect-sessions", app.org)).json(session).send().await
}

fn ada(providers: &[&str]) -> Value {
    let actor = json!({"id": "user_ada", "name": "Ada Lovelace"});
    if providers.is_empty() {
        json!({"actor": actor})
    } else {
        json!({"actor": actor, "providers": providers})
    }
}

impl<'a> Browser<'a> {
    async fn open(app: &'a TestApp, session: &Value) -> Self {
        let link = link(app, session).await;
        let reply = app.call(Method::POST, &link).send().await.expect(303);
        assert_eq!(reply.header("location"), Some("/portal"));
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let guest = Self { app, cookie, csrf: String::new(), link };
        let csrf = form_token(&guest.get("/portal/security").await.expect(200));
        Self { csrf, ..guest }
    }

    fn call(&self, method: Method, path: &str) -> Call {
        self.app.call(method, path).header("cookie", &self.cookie)
    }

    async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path).send().await
    }

    /// Sends a form, with the visit's own token.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        form(self.call(Method::POST, path), Some(&self.csrf), fields).send().await
    }

    fn secret(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }

    fn link_token(&self) -> &str {
        self.link.rsplit_once('/').unwrap().1
    }
}

/// What the forms of a page carry.
fn form_token(page: &Reply) -> String {
    let (_, after) = page.text.split_once(r#"name="csrf" value=""#).unwrap();
    after.split('"').next().unwrap().to_owned()
}

fn form(call: Call, csrf: Option<&str>, fields: &[(&str, &str)]) -> Call {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(csrf.map(|token| ("csrf", token))).extend_pairs(fields);
    call.header("content-type", "application/x-www-form-urlencoded").body(body.finish())
}

#[tokio::test]
async fn a_session_has_a_link_for_as_long_as_asked() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_RETURN_URLS", APP)]).await;
    let seconds = |reply: &Reply| {
        let until: jiff::Timestamp = reply.json()["expires_at"].as_str().unwrap().parse().unwrap();
        until.duration_since(SystemClock::default().now()).as_secs()
    };
    for (session, lasts) in [
        (json!({}), 1_800),
        (json!({"expires_in": 60}), 60),
        (json!({"expires_in": 3_600, "providers": ["vapi"], "return_url": format!("{APP}/x?y=z")}), 3_600),
    ] {
        let reply = create(&app, &session).await.expect(201);
        assert!((lasts - 5..=lasts).contains(&seconds(&reply)), "{session}: {}", reply.text);
        let reply = reply.json();
        let names: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["expires_at", "id", "url"]);
        let (start, token) = reply["url"].as_str().unwrap().rsplit_once('/').unwrap();
        assert_eq!(start, format!("http://{}/connect", app.address));
        assert!(token.len() >= 43 && token.bytes().all(|b| b.is_ascii_alphanumeric()), "{token}");
    }
    for wrong in [
        json!({"expires_in": 59}),
        json!({"expires_in": 3_601}),
        json!({"expires_in": 0}),
        json!({"expires_in": -1}),
        json!({"providers": ["nonsense"]}),
        json!({"providers": ["vapi", "No Name"]}),
        json!({"actor": {"id": ""}}),
        json!({"actor": {"id": "x", "name": "a\nb"}}),
        json!({"return_url": "https://app.example.evil.test/"}),
        json!({"return_url": "http://app.example/"}),
        json!({"return_url": "https://user@app.example/"}),
        json!({"return_url": "/settings"}),
        json!({"return_url": "javascript:alert(1)"}),
        json!({"something": "else"}),
    ] {
        let reply = create(&app, &wrong).await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{wrong}: {}", reply.text);
    }
    assert_eq!(app.database().await.count("SELECT count(*) FROM connect_sessions").await, 3);
}

#[rstest]
#[case(Db::Sqlite)]
#[case(Db::Postgres)]
#[tokio::test]
async fn a_link_is_spent_once_and_by_nothing_but_a_post(#[case] db: Db) {
    let app = TestApp::new(db, Store::Local).await;
    let link = link(&app, &ada(&[])).await;
    for method in [Method::GET, Method::HEAD].into_iter().cycle().take(20) {
        let reply = app.call(method, &link).send().await.expect(200);
        assert_eq!(reply.header("set-cookie"), None);
    }
    let posts = (0..8).map(|_| app.call(Method::POST, &link).send());
    let replies = futures_util::future::join_all(posts).await;
    let (opened, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 303);
    assert_eq!(opened.len(), 1);
    for reply in refused {
        assert_eq!((reply.status.as_u16(), reply.header("set-cookie")), (410, None), "{}", reply.text);
    }
    for method in [Method::GET, Method::POST] {
        let reply = app.call(method, &link).send().await.expect(410);
        assert_eq!(reply.header("set-cookie"), None);
        assert!(reply.text.contains("ask for a new one"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_link_that_expired_or_never_was_is_gone() {
    let app = TestApp::local().await;
    let expired = link(&app, &ada(&[])).await;
    app.call(Method::GET, &expired).send().await.expect(200);
    app.database().await.execute("UPDATE connect_sessions SET link_until = 1").await;
    let guessed = format!("/connect/{}", "a".repeat(43));
    for path in [&expired, &guessed, "/connect/x", "/connect/%00"] {
        for method in [Method::GET, Method::POST] {
            let reply = app.call(method, path).send().await.expect(410);
            assert_eq!(reply.header("set-cookie"), None);
        }
    }
}

#[tokio::test]
async fn under_http_the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let app = TestApp::local().await;
    let link = link(&app, &ada(&[])).await;
    let reply = app.call(Method::POST, &link).send().await.expect(303);
    let cookie = reply.header("set-cookie").unwrap();
    let (value, flags) = cookie.split_once("; ").unwrap();
    assert!(value.starts_with("keybroker="), "{cookie}");
    assert_eq!(flags, "Path=/; HttpOnly; SameSite=Lax");
}

#[tokio::test]
async fn under_https_the_cookie_is_bound_to_it_and_to_the_host() {
    let settings = [("KEYBROKER_PUBLIC_URL", "https://keys.example")];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    let reply = create(&app, &ada(&[])).await.expect(201).json();
    let link = reply["url"].as_str().unwrap().strip_prefix("https://keys.example").unwrap();
    let post = || app.call(Method::POST, link);
    post().header("origin", &format!("http://{}", app.address)).send().await.expect(403);
    post().header("origin", "http://keys.example").send().await.expect(403);
    let reply = post().header("origin", "https://keys.example").send().await.expect(303);
    let cookie = reply.header("set-cookie").unwrap();
    let (value, flags) = cookie.split_once("; ").unwrap();
    assert!(value.starts_with("__Host-keybroker="), "{cookie}");
    assert_eq!(flags, "Path=/; HttpOnly; SameSite=Lax; Secure");
    let get = |cookie: &str| app.call(Method::GET, "/portal").header("cookie", cookie).send();
    get(value).await.expect(200);
    // Another service of the same domain could set a cookie without the prefix.
    get(value.strip_prefix("__Host-").unwrap()).await.expect(401);
}

#[tokio::test]
async fn every_page_guards_itself() {
    let app = TestApp::local().await;
    let fresh = link(&app, &ada(&[])).await;
    let browser = Browser::open(&app, &ada(&[])).await;
    let refused = browser.app.call(Method::POST, VAPI).header("origin", "https://evil.example");
    for reply in [
        app.call(Method::GET, &fresh).send().await.expect(200),
        app.call(Method::GET, &browser.link).send().await.expect(410),
        app.call(Method::GET, "/portal").send().await.expect(401),
        browser.get("/portal").await.expect(200),
        browser.get(VAPI).await.expect(200),
        browser.get("/portal/connections/nonsense").await.expect(404),
        browser.get("/portal/activity").await.expect(200),
        browser.get("/portal/activity?cursor=nonsense").await.expect(200),
        browser.get("/portal/security").await.expect(200),
        browser.post(VAPI, &[]).await.expect(422),
        browser.post(&format!("{VAPI}/test"), &[]).await,
        refused.send().await.expect(403),
        app.call(Method::POST, &fresh).send().await.expect(303),
        browser.post("/portal/sign-out", &[]).await.expect(200),
    ] {
        let header = |name: &str| reply.header(name).unwrap_or_else(|| panic!("no {name}: {reply:?}"));
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        for rule in ["script-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert!(header("permissions-policy").contains("camera=()"));
        let html = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        assert!(html || reply.status == 303, "{reply:?}");
    }
}

/// Through every state that a connection's page can have.
#[tokio::test]
async fn no_page_holds_a_stored_secret() {
    let app = TestApp::with(Db::Sqlite, Store::Local, &[("KEYBROKER_VERIFY_TIMEOUT", "1s")]).await;
    let id = app.org.trim_start_matches("org_");
    let [first, second, refused, silent] = ["a", "b", "c", "d"].map(|which| format!("canary{which}{id}"));
    treat(&refused, Treatment::Refuse);
    treat(&silent, Treatment::Silence);
    let browser = Browser::open(&app, &ada(&[])).await;
    let mut pages = vec![browser.get(VAPI).await.expect(200)];
    let keys = |key| [("field.publicApiKey", "pk-shown"), ("field.privateApiKey", key)];
    for (path, fields, status) in [
        ("", keys(&refused).as_slice(), 422),
        ("", &keys(&silent), 502),
        ("", &keys(&format!("{first} {first}")), 422),
        ("", &keys(&first), 303),
        ("/test", &[], 303),
        ("", &keys(&second), 303),
        ("", &keys(&refused), 422),
        ("/rollback", &[], 303),
        ("/disconnect", &[], 303),
        ("", &keys(&first), 303),
    ] {
        pages.push(browser.post(&format!("{VAPI}{path}"), fields).await.expect(status));
        for page in [VAPI, VAPI, "/portal", "/portal/activity", "/portal/security"] {
            pages.push(browser.get(page).await.expect(200));
        }
    }
    treat(&first, Treatment::Refuse);
    pages.push(browser.post(&format!("{VAPI}/test"), &[]).await);
    pages.push(browser.get(VAPI).await.expect(200));
    assert!(pages.last().unwrap().text.contains("Needs reconnecting"));
    assert!(pages.iter().any(|page| page.text.contains("pk-shown")));
    for page in &pages {
        assert!(!page.text.contains("canary"), "{}", page.text);
        assert!(!page.text.contains(browser.secret()) && !page.text.contains(browser.link_token()));
    }
}

#[rstest]
#[case(Db::Sqlite)]
#[case(Db::Postgres)]
#[tokio::test]
async fn links_and_cookies_are_kept_as_hashes_only(#[case] db: Db) {
    let mut app = TestApp::new(db, Store::Local).await;
    let unopened = link(&app, &ada(&[])).await;
    app.call(Method::GET, &unopened).send().await.expect(200);
    let (secrets, hashes) = {
        let browser = Browser::open(&app, &ada(&[])).await;
        browser.get("/portal").await.expect(200);
        browser.post(VAPI, &[("field.privateApiKey", "wrong one")]).await.expect(422);
        app.call(Method::POST, &browser.link).send().await.expect(410);
        let unopened = unopened.rsplit_once('/').unwrap().1;
        let secrets = [browser.link_token(), browser.secret(), unopened].map(str::to_owned);
        let hashes = secrets.clone().map(|secret| SessionSecret::parse(&secret).unwrap().hashed().to_hex());
        (secrets.into_iter().chain([browser.csrf.clone()]).collect::<Vec<_>>(), hashes)
    };
    let dump = if db == Db::Postgres { app.database().await.dump().await } else { String::new() };
    app.terminate().await;
    let log = app.log();
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("connect session opened"), "it is talkative");
    let mut kept = dump.into_bytes();
    kept.extend(app.files().into_iter().flat_map(|(_, bytes)| bytes));
    let holds = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
    for secret in &secrets {
        assert!(!log.contains(secret), "the log holds it");
        assert!(!holds(secret), "the database holds it");
    }
    for hash in &hashes {
        assert!(holds(hash), "the database does not hold the hash {hash}");
    }
}

#[tokio::test]
async fn a_visit_ends_when_it_is_not_used_and_when_it_has_lasted() {
    let settings = [("KEYBROKER_PORTAL_IDLE", "3s"), ("KEYBROKER_PORTAL_LIFETIME", "6s")];
    let app = TestApp::with(Db::Sqlite, Store::Local, &settings).await;
    let (used, unused) = (Browser::open(&app, &ada(&[])).await, Browser::open(&app, &ada(&[])).await);
    let second = || tokio::time::sleep(std::time::Duration::from_secs(1));
    for _ in 0..4 {
        second().await;
        used.get("/portal").await.expect(200);
    }
    unused.get("/portal").await.expect(401);
    unused.post(&format!("{VAPI}/test"), &[]).await.expect(401);
    for _ in 0..3 {
        second().await;
        used.get("/portal").await;
    }
    used.get("/portal").await.expect(401);
}

#[tokio::test]
async fn signing_out_ends_the_visit() {
    let app = TestApp::local().await;
    let (leaves, stays) = (Browser::open(&app, &ada(&[])).await, Browser::open(&app, &ada(&[])).await);
    let reply = leaves.post("/portal/sign-out", &[]).await.expect(200);
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.starts_with("keybroker=;") && cookie.contains("Max-Age=0"), "{cookie}");
    leaves.get("/portal").await.expect(401);
    leaves.post(VAPI, &[]).await.expect(401);
    app.call(Method::POST, &leaves.link).send().await.expect(410);
    stays.get("/portal").await.expect(200);
}

#[tokio::test]
async fn keys_can_not_be_tried_without_end() {
    let app = TestApp::local().await;
    app.put_vapi("sk-tried-0123456789").await.expect(201);
    let browser = Browser::open(&app, &ada(&[])).await;
    let test = format!("{VAPI}/test");
    let mut tried = 0;
    let last = loop {
        let reply = browser.post(&test, &[]).await;
        if reply.status != 303 {
            break reply;
        }
        tried += 1;
        assert!(tried <= 100, "there is no end");
    };
    last.expect(429);
    assert!(tried >= 10, "a person needs a few: {tried}");
    let keys = [("field.publicApiKey", "pk"), ("field.privateApiKey", "sk-other-0123456789")];
    browser.post(VAPI, &keys).await.expect(429);
    assert_eq!(app.private_key().await, "sk-tried-0123456789");
    // What tries no key goes on, and so does everyone else.
    browser.get(VAPI).await.expect(200);
    let other = Browser::open(&app, &ada(&[])).await;
    other.post(&test, &[]).await.expect(303);
}

#[tokio::test]
async fn the_log_tells_who_made_the_link_and_who_used_it() {
    let app = TestApp::local().await;
    let browser = Browser::open(&app, &ada(&["vapi"])).await;
    let keys = [("field.publicApiKey", "pk"), ("field.privateApiKey", "sk-of-ada-0123456789")];
    browser.post(VAPI, &keys).await.expect(303);
    browser.post(&format!("{VAPI}/test"), &[]).await.expect(303);
    browser.post(&format!("{VAPI}/disconnect"), &[]).await.expect(303);
    let path = format!("/v1/orgs/{}/events?limit=200", app.org);
    let events = app.get(&path).send().await.expect(200).json();
    let events = events["events"].as_array().unwrap();
    let of = |kind: &str| {
        let found = events.iter().find(|event| event["type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}: {events:?}"))
    };
    assert_eq!(of("session.created")["actor"]["type"], "token");
    let ada = json!({"type": "user", "id": "user_ada", "name": "Ada Lovelace"});
    for kind in ["session.opened", "connection.created", "connection.verified", "connection.disconnected"] {
        assert_eq!(of(kind)["actor"], ada, "{kind}");
        assert!(of(kind)["request_id"].is_string(), "{kind}");
    }
}

#[tokio::test]
async fn the_link_takes_its_own_scope_and_its_own_organization() {
    let app = TestApp::local().await;
    let path = format!("/v1/orgs/{}/connect-sessions", app.org);
    let post = |token: &str| app.call(Method::POST, &path).token(token).json(&json!({})).send();
    let others: Vec<_> = Scope::ALL.into_iter().filter(|scope| *scope != Scope::SessionsWrite).collect();
    post(&app.token(&others, &["*"]).await).await.expect_problem(403, "missing_scope");
    let elsewhere = post(&app.token(&[Scope::SessionsWrite], &["org_elsewhere"]).await).await;
    assert!([403, 404].contains(&elsewhere.status.as_u16()), "{}", elsewhere.text);
    // A visitor's cookie is no token of the API.
    let browser = Browser::open(&app, &ada(&[])).await;
    browser.call(Method::GET, &app.path("vapi")).send().await.expect(401);
    let bearer = app.call(Method::GET, &app.path("vapi")).token(browser.secret());
    bearer.send().await.expect(401);
}
