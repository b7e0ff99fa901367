//! The vault's forms as HTTP. The whole flow is in `tests/browser/vault.mjs`.

use hyper::Method;

use super::{Browser, ada};
use crate::support::{Reply, TestApp};

const SECURITY: &str = "/portal/security";

/// The token that a page shows, which is nowhere in it twice.
fn token(page: &Reply) -> Option<String> {
    let (_, rest) = page.text.split_once("kbv_")?;
    assert!(!rest.contains("kbv_"), "{}", page.text);
    Some(format!("kbv_{}", rest.split('<').next().unwrap()))
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_nowhere() {
    let app = TestApp::local().await;
    let ada = Browser::open(&app, &ada(&[])).await;
    let make = async |seen: &str| ada.post(&format!("{SECURITY}/vault/token"), &[("seen", seen)]).await;
    let page = make("").await.expect(200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let first = token(&page).expect("the answer shows the token");
    assert_eq!(first.len(), 47);
    assert!(page.header("content-security-policy").is_some());

    // The same form again, as a browser sends it that loads the answer anew.
    let again = make("").await.expect(412);
    assert_eq!(token(&again), None);
    assert_eq!(token(&ada.get(SECURITY).await.expect(200)), None);

    // A form of the page as it is now makes another.
    let second = make(&format!("…{}", &first[43..])).await.expect(200);
    let second = token(&second).expect("another token");
    assert_ne!(first, second);
    for secret in [first, second] {
        assert!(!app.log().contains(&secret), "the log has a token");
        for (file, bytes) in app.files() {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} has a token", file.display());
        }
    }
}

#[tokio::test]
async fn the_template_is_served_as_it_is_to_who_may_see_the_vault() {
    let app = TestApp::local().await;
    let path = format!("{SECURITY}/secret-vault-lambda.mjs");
    let file = Browser::open(&app, &ada(&[])).await.get(&path).await.expect(200);
    assert_eq!(file.text, app.get("/v1/vault/template").send().await.expect(200).text);
    let disposition = "attachment; filename=\"secret-vault-lambda.mjs\"";
    assert_eq!(file.header("content-disposition"), Some(disposition));
    assert_eq!(file.header("cache-control"), Some("no-store"));
    Browser::open(&app, &ada(&["vapi"])).await.get(&path).await.expect(404);
    app.call(Method::GET, &path).send().await.expect(401);
}

#[tokio::test]
async fn a_deed_typed_as_an_address_leads_back() {
    let app = TestApp::local().await;
    let ada = Browser::open(&app, &ada(&[])).await;
    for deed in ["url", "token", "test", "enable", "disable", "forget"] {
        let reply = ada.get(&format!("{SECURITY}/vault/{deed}")).await.expect(303);
        assert_eq!(reply.header("location"), Some(SECURITY));
    }
    app.get(&format!("/v1/orgs/{}/vault", app.org)).send().await.expect(404);
}
