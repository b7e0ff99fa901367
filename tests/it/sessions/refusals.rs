//! What a visit can't do: with forms of others, from elsewhere, to what is not its own.

use hyper::Method;
use serde_json::json;

use super::{Browser, OPENAI, VAPI, ada, form, form_token, link};
use crate::support::{TestApp, app::vapi};

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let app = TestApp::local().await;
    app.put_vapi("sk-stays-0123456789").await.expect(201);
    let mine = Browser::open(&app, &ada(&[])).await;
    let sibling = Browser::open(&app, &ada(&[])).await;
    let other = TestApp::local().await;
    let stranger = Browser::open(&other, &ada(&[])).await;
    let own = format!("http://{}", app.address);
    let csrf = Some(mine.csrf.as_str());
    let wrong = format!("{}0", &mine.csrf[1..]);
    let with = |name: &'static str, value: &'static str| (csrf, vec![(name, value)]);
    let site = |value: &'static str| (csrf, vec![("origin", "null"), ("sec-fetch-site", value)]);
    let keys = [("field.publicApiKey", "pk"), ("field.privateApiKey", "sk-forged-0123456789")];
    for (token, headers) in [
        (None, vec![]),
        (Some(""), vec![]),
        (Some(wrong.as_str()), vec![]),
        (Some(sibling.csrf.as_str()), vec![]),
        (Some(stranger.csrf.as_str()), vec![]),
        with("origin", "https://evil.example"),
        with("origin", "http://127.0.0.1:1"),
        site("cross-site"),
        site("same-site"),
        site("none"),
    ] {
        for (path, fields) in [
            (VAPI.to_owned(), keys.as_slice()),
            (format!("{VAPI}/test"), &[]),
            (format!("{VAPI}/rollback"), &[]),
            (format!("{VAPI}/disconnect"), &[]),
            ("/portal/sign-out".to_owned(), &[]),
            ("/portal/security/vault/url".to_owned(), &[("url", "http://127.0.0.1:1/")]),
            ("/portal/security/vault/token".to_owned(), &[]),
            ("/portal/security/vault/enable".to_owned(), &[]),
            ("/portal/security/vault/forget".to_owned(), &[]),
        ] {
            let mut call = form(mine.call(Method::POST, &path), token, fields);
            for (name, value) in &headers {
                call = call.header(name, value);
            }
            call.send().await.expect(403);
        }
    }
    // A form as scripts of other sites may send it without being asked, and none at all.
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/json"] {
        let body = format!("csrf={}", mine.csrf);
        let call = mine.call(Method::POST, &format!("{VAPI}/disconnect"));
        call.header("content-type", kind).body(body).send().await.expect(403);
    }
    let got = mine.get(&format!("{VAPI}/disconnect?csrf={}", mine.csrf)).await.expect(303);
    assert_eq!(got.header("location"), Some(VAPI));
    assert_eq!(app.private_key().await, "sk-stays-0123456789");
    assert_eq!(app.history("vapi").await.len(), 1, "nothing was done");
    app.get(&format!("/v1/orgs/{}/vault", app.org)).send().await.expect(404);

    // Unchanged it goes through, as browsers send it with and without an opaque origin.
    for headers in
        [vec![], vec![("origin", own.as_str())], vec![("origin", "null"), ("sec-fetch-site", "same-origin")]]
    {
        let mut call = form(mine.call(Method::POST, &format!("{VAPI}/test")), csrf, &[]);
        for (name, value) in headers {
            call = call.header(name, value);
        }
        call.send().await.expect(303);
    }
}

#[tokio::test]
async fn a_link_is_not_opened_from_another_site() {
    let app = TestApp::local().await;
    let link = link(&app, &ada(&[])).await;
    let post = |name: &str, value: &str| app.call(Method::POST, &link).header(name, value).send();
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let reply = post(name, value).await.expect(403);
        assert_eq!(reply.header("set-cookie"), None);
    }
    post("sec-fetch-site", "same-origin").await.expect(303);
}

#[tokio::test]
async fn a_session_for_some_providers_reaches_no_other() {
    let app = TestApp::local().await;
    app.put_vapi("sk-stays-0123456789").await.expect(201);
    app.put_vapi("sk-again-0123456789").await.expect(200);
    let named = json!({"provider": "vapi", "label": "Of Vapi", "credentials": vapi("sk-x")["credentials"]});
    app.put(&app.path("second")).json(&named).send().await.expect(201);
    let history = app.history("vapi").await;
    let browser = Browser::open(&app, &ada(&["openai", "slack"])).await;
    let keys = [("field.publicApiKey", "pk"), ("field.privateApiKey", "sk-forged-0123456789")];
    for name in ["vapi", "second", "telegram", "nonsense", "..%2Fvapi", "VAPI"] {
        let path = format!("/portal/connections/{name}");
        browser.get(&path).await.expect(404);
        browser.post(&path, &keys).await.expect(404);
        for deed in ["test", "rollback", "disconnect"] {
            browser.post(&format!("{path}/{deed}"), &[]).await.expect(404);
        }
    }
    for page in ["/portal", "/portal/activity"] {
        let page = browser.get(page).await.expect(200);
        let shows = |text: &str| page.text.to_lowercase().contains(text);
        assert!(!shows("vapi") && !shows("telegram") && !shows("second"), "{}", page.text);
    }
    assert_eq!(app.history("vapi").await, history);
    assert_eq!(app.private_key().await, "sk-again-0123456789");

    // Its own it reaches; with one alone it is led there.
    browser.post(OPENAI, &[("field.apiKey", "sk-own-0123456789")]).await.expect(303);
    browser.get(OPENAI).await.expect(200);
    let one = Browser::open(&app, &ada(&["openai"])).await;
    assert_eq!(one.get("/portal").await.expect(303).header("location"), Some(OPENAI));
}

#[tokio::test]
async fn an_organization_sees_nothing_of_another() {
    let app = TestApp::local().await;
    app.put_vapi("sk-stays-0123456789").await.expect(201);
    let path = format!("/v1/orgs/{}_other/connect-sessions", app.org);
    let reply = app.post(&path).json(&ada(&[])).send().await.expect(201).json();
    let (_, token) = reply["url"].as_str().unwrap().rsplit_once('/').unwrap();
    let reply = app.call(Method::POST, &format!("/connect/{token}")).send().await.expect(303);
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let get = |path: &str| app.call(Method::GET, path).header("cookie", &cookie).send();
    let page = get(VAPI).await.expect(200);
    assert!(page.text.contains("Not connected") && !page.text.contains("6789"), "{}", page.text);
    for path in ["/portal", "/portal/activity"] {
        let page = get(path).await.expect(200);
        assert!(
            !page.text.contains(&format!("{}\"", app.org)) && !page.text.contains(">Connected"),
            "{path}"
        );
    }
    // Its form carries its own token; with the other's cookie it is worth nothing.
    let theirs = form_token(&page);
    let mine = Browser::open(&app, &ada(&[])).await;
    let call = mine.call(Method::POST, &format!("{VAPI}/disconnect"));
    form(call, Some(&theirs), &[]).send().await.expect(403);
    assert_eq!(app.private_key().await, "sk-stays-0123456789");
}

/// Naming none is not naming all.
#[tokio::test]
async fn a_session_for_no_provider_is_refused() {
    let app = TestApp::local().await;
    let none = json!({"providers": []});
    super::create(&app, &none).await.expect_problem(400, "invalid_request");
}

/// Another site may open a link of its own in a visitor's browser. Then it is left to the visitor to go on.
#[tokio::test]
async fn a_link_does_not_press_itself_over_a_visit() {
    let app = TestApp::local().await;
    let mine = Browser::open(&app, &ada(&[])).await;
    let another = link(&app, &json!({"actor": {"id": "mallory"}})).await;
    let alone = app.call(Method::GET, &another).send().await.expect(200);
    assert!(alone.text.contains("data-press"), "{}", alone.text);
    let over = mine.get(&another).await.expect(200);
    assert!(!over.text.contains("data-press") && over.text.contains("as Ada Lovelace"), "{}", over.text);
}

#[tokio::test]
async fn whoever_presses_twice_is_let_in() {
    let app = TestApp::local().await;
    let mine = Browser::open(&app, &ada(&[])).await;
    let again = mine.call(Method::POST, &mine.link).send().await.expect(303);
    assert_eq!((again.header("location"), again.header("set-cookie")), (Some("/portal"), None));
    app.call(Method::POST, &mine.link).send().await.expect(410);
    mine.call(Method::GET, &mine.link).send().await.expect(410);
}

/// A page that showed no connection makes one, and replaces none that was made meanwhile.
#[tokio::test]
async fn a_stale_page_replaces_nothing() {
    let app = TestApp::local().await;
    let mine = Browser::open(&app, &ada(&[])).await;
    let page = mine.get(VAPI).await.expect(200).text;
    assert!(page.contains("name=\"version\" value=\"\""), "{page}");
    app.put_vapi("sk-meanwhile-0123456789").await.expect(201);
    let keys = [("version", ""), ("field.publicApiKey", "pk"), ("field.privateApiKey", "sk-late-0123456789")];
    mine.post(VAPI, &keys).await.expect(412);
    assert_eq!(app.private_key().await, "sk-meanwhile-0123456789");
}

/// Whatever is typed into the address bar, a page answers.
#[tokio::test]
async fn people_get_pages() {
    let app = TestApp::local().await;
    let mine = Browser::open(&app, &ada(&[])).await;
    for (path, status) in [
        ("/portal/nonsense", 404),
        ("/portal/connections/%FF", 404),
        ("/portal/connections/a%2Fb", 404),
        ("/connect/%FF", 404),
        ("/portal/sign-out", 303),
    ] {
        let reply = mine.get(path).await.expect(status);
        let html = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        assert!(html || status == 303, "{path}: {reply:?}");
    }
}
