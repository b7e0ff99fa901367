//! The database orders the versions, whatever AWS answers meanwhile.

use hyper::Method;

use crate::support::{Db, Reply, Store, TestApp, app::vapi, aws::Fault, services::secretsmanager};

async fn past_cache(app: &TestApp) -> Reply {
    let path = format!("{}/credentials", app.path("vapi"));
    app.get(&path).header("cache-control", "no-cache").send().await
}

/// As if AWS did not show the last writes yet: moves the label AWSCURRENT.
async fn make_current(app: &TestApp, version: &str, instead_of: &str) {
    let secret = format!("tenant/{}/vapi", app.org);
    let moved = ["--move-to-version-id", version, "--remove-from-version-id", instead_of];
    let stage = ["update-secret-version-stage", "--version-stage", "AWSCURRENT", "--secret-id", &secret];
    secretsmanager(&[&stage[..], &moved[..]].concat()).await;
}

#[tokio::test]
async fn an_older_version_in_aws_is_not_shown_however_old_it_is() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let mut versions = Vec::new();
    for n in 0..3 {
        versions.push(app.put_vapi(&format!("sk-{n}-0123456789abcdef")).await.version());
    }
    for older in &versions[..2] {
        make_current(&app, older, &versions[2]).await;
        let read = past_cache(&app).await.expect(200);
        assert_eq!(read.version(), versions[2]);
        assert_eq!(read.json()["credentials"]["privateApiKey"], "sk-2-0123456789abcdef");
        make_current(&app, &versions[2], older).await;
    }
}

/// Nor does it count for those who replace what they saw.
#[tokio::test]
async fn an_older_version_in_aws_fulfils_no_condition() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let first = app.put_vapi("sk-first-0123456789").await.expect(201).version();
    let second = app.put_vapi("sk-second-0123456789").await.expect(200).version();
    make_current(&app, &first, &second).await;
    let put = |seen: &str| {
        let put = app.put(&app.path("vapi")).header("if-match", &format!("\"{seen}\""));
        put.json(&vapi("sk-third-0123456789")).send()
    };
    put(&first).await.expect_problem(412, "precondition_failed");
    put(&second).await.expect(200);
}

/// What an erasure left is older than the keys that were put after it.
#[tokio::test]
async fn an_erasure_that_was_undone_is_not_shown() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    app.delete(&app.path("vapi")).send().await.expect(204);
    let erased = app.get(&app.path("vapi")).send().await.version();
    let again = app.put_vapi("sk-again-0123456789").await.expect(200).version();
    make_current(&app, &erased, &again).await;
    assert_eq!(past_cache(&app).await.expect(200).version(), again);
}

/// What another program writes is the truth, an erasure included.
#[tokio::test]
async fn what_another_program_wrote_is_shown() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let secret = format!("tenant/{}/vapi", app.org);
    let put = async |value: &str| {
        secretsmanager(&["put-secret-value", "--secret-id", &secret, "--secret-string", value]).await
    };
    app.put_vapi("sk-ours-0123456789").await.expect(201);
    let theirs = put(r#"{"publicApiKey":"p","privateApiKey":"sk-theirs"}"#).await;
    assert_eq!(past_cache(&app).await.expect(200).version(), theirs["VersionId"].as_str().unwrap());
    put("{}").await;
    past_cache(&app).await.expect_problem(404, "not_found");
}

/// A write that is not whole yet is shown to nobody, so that nobody goes back from it.
#[tokio::test]
async fn a_version_is_shown_when_its_write_is_whole() {
    let app = TestApp::new(Db::Postgres, Store::Moto).await;
    let first = app.put_vapi("sk-first-0123456789").await.expect(201).version();
    app.aws().fail("PutSecretValue", 1, Fault::HoldAnswer);
    let (second, ()) = tokio::join!(app.put_vapi("sk-second-0123456789"), async {
        app.aws().held().await;
        let read = past_cache(&app).await.expect(200);
        assert_eq!(read.version(), first);
        assert_eq!(read.json()["credentials"]["privateApiKey"], "sk-first-0123456789");
        app.aws().release();
    });
    assert_eq!(app.private_key().await, "sk-second-0123456789");
    assert_eq!(past_cache(&app).await.version(), second.expect(200).version());
}

/// Who was shown a connection's newer version is not given older keys by the same replica, even if it has
/// not heard of the change.
#[tokio::test]
async fn whoever_saw_a_newer_version_is_given_no_older_keys() {
    let app = TestApp::new(Db::Postgres, Store::Local).await;
    let replica = app.replica(&[]).await;
    app.put_vapi("sk-0-0123456789abcdef").await.expect(201);
    let find = || replica.call(Method::GET, &replica.path("vapi")).token(&replica.root).send();
    for n in 1..30 {
        replica.private_key().await;
        app.put_vapi(&format!("sk-{n}-0123456789abcdef")).await.expect(200);
        let seen = find().await.expect(200).version();
        assert_eq!(replica.read("vapi").await.expect(200).version(), seen);
    }
}
