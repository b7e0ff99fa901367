//! What AWS Secrets Manager does, as seen by other programs and under its faults.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::{Db, Store, TestApp, app::vapi, aws::Fault, services::secretsmanager};

fn secret(app: &TestApp) -> String {
    format!("tenant/{}/vapi", app.org)
}

#[tokio::test]
async fn another_program_reads_exactly_the_credentials() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let body =
        json!({"credentials": {"privateApiKey": "sk \"1\"", "publicApiKey": "pk"}, "label": "Main account"});
    let refused = app.put(&app.path("vapi")).json(&body).send().await;
    assert_eq!(
        refused.expect_problem(422, "invalid_credentials").json()["errors"][0]["field"],
        "privateApiKey"
    );

    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let read = secretsmanager(&["get-secret-value", "--secret-id", &secret(&app)]).await;
    assert_eq!(read["SecretString"], r#"{"publicApiKey":"pk","privateApiKey":"sk-0123456789abcdef"}"#);
    assert_eq!(read["Name"], secret(&app));

    let about = secretsmanager(&["describe-secret", "--secret-id", &secret(&app)]).await;
    assert!(about["Description"].as_str().is_none_or(str::is_empty), "{about}");
    assert!(about["Tags"].as_array().is_none_or(Vec::is_empty), "{about}");
}

#[tokio::test]
async fn a_secret_that_another_program_wrote_is_taken_over() {
    let app = TestApp::new(Db::Postgres, Store::Moto).await;
    let theirs = r#"{"publicApiKey":"theirs","privateApiKey":"sk-theirs-0123456789"}"#;
    secretsmanager(&["create-secret", "--name", &secret(&app), "--secret-string", theirs]).await;
    app.read("vapi").await.expect_problem(404, "not_found");

    app.put_vapi("sk-ours-0123456789").await.expect(201);
    assert_eq!(app.private_key().await, "sk-ours-0123456789");
    // What was there before is not ours to go back to.
    app.post(&format!("{}/rollback", app.path("vapi"))).send().await.expect_problem(409, "conflict");
}

#[tokio::test]
async fn what_an_operator_writes_in_aws_is_served() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    let ours = app.put_vapi("sk-ours-0123456789").await.expect(201).version();
    let theirs = r#"{"publicApiKey":"p","privateApiKey":"sk-operators"}"#;
    secretsmanager(&["put-secret-value", "--secret-id", &secret(&app), "--secret-string", theirs]).await;
    let read = app.read("vapi").await.expect(200);
    assert_eq!(read.json()["credentials"]["privateApiKey"], "sk-operators");

    // Who saw the state before is told that it changed; who saw this one may replace it.
    let put = |version: &str| {
        let put = app.put(&app.path("vapi")).header("if-match", &format!("\"{version}\""));
        put.json(&vapi("sk-after-0123456789")).send()
    };
    put(&ours).await.expect_problem(412, "precondition_failed");
    put(&read.version()).await.expect(200);

    secretsmanager(&["put-secret-value", "--secret-id", &secret(&app), "--secret-string", "not JSON"]).await;
    let path = format!("{}/credentials", app.path("vapi"));
    let past_cache = app.get(&path).header("cache-control", "no-cache").send().await;
    past_cache.expect_problem(502, "store_refused");
    app.put_vapi("sk-mended-0123456789").await.expect(200);
    assert_eq!(app.private_key().await, "sk-mended-0123456789");
}

#[tokio::test]
async fn disconnecting_leaves_the_key_in_neither_stage() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.delete(&app.path("vapi")).send().await.expect(204);
    for stage in ["AWSCURRENT", "AWSPREVIOUS"] {
        let arguments = ["get-secret-value", "--secret-id", &secret(&app), "--version-stage", stage];
        assert_eq!(secretsmanager(&arguments).await["SecretString"], "{}", "{stage}");
    }
}

#[tokio::test]
async fn a_secret_that_aws_is_deleting_has_its_own_error() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    secretsmanager(&["delete-secret", "--secret-id", &secret(&app)]).await;
    app.read("vapi").await.expect_problem(409, "scheduled_for_deletion");
    app.put_vapi("sk-another-0123456789").await.expect_problem(409, "scheduled_for_deletion");
    app.delete(&app.path("vapi")).send().await.expect_problem(409, "scheduled_for_deletion");

    secretsmanager(&["restore-secret", "--secret-id", &secret(&app)]).await;
    app.put_vapi("sk-another-0123456789").await.expect(200);
    assert_eq!(app.private_key().await, "sk-another-0123456789");
}

#[tokio::test]
async fn a_secret_lost_in_aws_is_made_again_by_put() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    secretsmanager(&["delete-secret", "--secret-id", &secret(&app), "--force-delete-without-recovery"]).await;
    app.read("vapi").await.expect_problem(404, "not_found");
    app.put_vapi("sk-0123456789abcdef").await.expect(200);
    assert_eq!(app.private_key().await, "sk-0123456789abcdef");
}

/// The policy that `iam policy` prints lets keybroker's user into `tenant/` and nowhere else.
#[tokio::test]
async fn outside_its_prefix_keybroker_is_refused() {
    let app = TestApp::with(Db::Sqlite, Store::Moto, &[("KEYBROKER_SECRET_PREFIX", "other")]).await;
    let reply = app.put_vapi("sk-0123456789abcdef").await.expect_problem(502, "store_refused");
    assert!(!reply.text.contains("arn:"), "{}", reply.text);
    assert!(app.log().contains("AccessDeniedException"));
    app.get(&app.path("vapi")).send().await.expect_problem(404, "not_found");
    let ready = app.get("/readyz").send().await.expect(503).json();
    assert_eq!(ready, json!({"status": "unavailable", "database": "ok", "store": "unavailable"}));
}

#[tokio::test]
async fn wrong_aws_credentials_are_a_refusal() {
    let settings = [("AWS_SECRET_ACCESS_KEY", "wrong")];
    let app = TestApp::with(Db::Sqlite, Store::Moto, &settings).await;
    app.put_vapi("sk-0123456789abcdef").await.expect_problem(502, "store_refused");
}

#[rstest]
#[case::throttled(Fault::Code("ThrottlingException"))]
#[case::internal(Fault::Internal)]
#[tokio::test]
async fn a_passing_fault_is_tried_again(#[case] fault: Fault) {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.aws().fail("CreateSecret", 1, fault);
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.aws().fail("GetSecretValue", 1, fault);
    assert_eq!(app.private_key().await, "sk-0123456789abcdef");
    assert_eq!(app.aws().count("GetSecretValue"), 2);
}

#[rstest]
#[case::throttled(Fault::Code("ThrottlingException"))]
#[case::internal(Fault::Internal)]
#[case::silent(Fault::Slow(Duration::from_mins(1)))]
#[tokio::test]
async fn a_lasting_fault_is_unavailability_and_ends(#[case] fault: Fault) {
    let settings = [("KEYBROKER_STORE_TIMEOUT", "2s")];
    let app = TestApp::with(Db::Sqlite, Store::Moto, &settings).await;
    app.aws().fail_all(fault);
    for reply in [app.put_vapi("sk-0123456789abcdef").await, app.put_vapi("sk-0123456789abcdef").await] {
        let reply = reply.expect_problem(503, "store_unavailable");
        assert!(reply.header("retry-after").is_some());
    }
    app.aws().heal();
    app.settled().await;
    app.get(&app.path("vapi")).send().await.expect_problem(404, "not_found");
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
}

/// The store did it, and nobody heard: the write counts, and is not done twice.
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_found_again() {
    let settings = [("KEYBROKER_STORE_TIMEOUT", "2s")];
    let app = TestApp::with(Db::Postgres, Store::Moto, &settings).await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    app.aws().fail("PutSecretValue", usize::MAX, Fault::LoseAnswer);
    app.put_vapi("sk-second-0123456789").await.expect_problem(503, "store_unavailable");
    app.aws().heal();
    app.settled().await;
    assert_eq!(app.private_key().await, "sk-second-0123456789");
    let history = app.history("vapi").await;
    assert_eq!(
        history.iter().map(|(r#type, _)| r#type.as_str()).collect::<Vec<_>>(),
        ["connection.created", "connection.updated"]
    );
    assert_eq!(app.get(&app.path("vapi")).send().await.version(), history[1].1);
}

#[tokio::test]
async fn a_refusal_names_nothing_of_aws() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    for code in
        ["AccessDeniedException", "DecryptionFailure", "InvalidSignatureException", "LimitExceededException"]
    {
        app.aws().fail("GetSecretValue", usize::MAX, Fault::Code(code));
        let path = format!("{}/credentials", app.path("vapi"));
        let reply = app.get(&path).header("cache-control", "no-cache").send().await;
        let reply = reply.expect_problem(502, "store_refused");
        assert!(!reply.text.contains(code) && !reply.text.contains("by the test"), "{}", reply.text);
        assert!(app.log().contains(code), "the log tells the operator");
        app.aws().heal();
    }
}

#[tokio::test]
async fn past_its_ttl_a_value_bridges_an_outage() {
    let settings = [("KEYBROKER_CACHE_TTL", "1s"), ("KEYBROKER_STORE_TIMEOUT", "1s")];
    let app = TestApp::with(Db::Sqlite, Store::Moto, &settings).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    assert_eq!(app.private_key().await, "sk-0123456789abcdef");
    app.aws().fail_all(Fault::Internal);
    let calls = app.aws().count("GetSecretValue");
    crate::support::until("the value is stale and served", || async {
        assert_eq!(app.private_key().await, "sk-0123456789abcdef");
        (app.aws().count("GetSecretValue") > calls).then_some(())
    })
    .await;
    let path = format!("{}/credentials", app.path("vapi"));
    let past_cache = app.get(&path).header("cache-control", "no-cache").send().await;
    past_cache.expect_problem(503, "store_unavailable");
}

#[tokio::test]
async fn when_aws_answers_with_the_version_before_the_known_one_is_asked_for() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    let second = app.put_vapi("sk-second-0123456789").await.expect(200).version();
    let first = app.history("vapi").await[0].1.clone();
    // As if AWS were not consistent yet: the label is still on the first version.
    let stage =
        ["update-secret-version-stage", "--version-stage", "AWSCURRENT", "--secret-id", &secret(&app)];
    let moved = ["--move-to-version-id", &first, "--remove-from-version-id", &second];
    secretsmanager(&[&stage[..], &moved[..]].concat()).await;
    assert_eq!(app.private_key().await, "sk-second-0123456789");
}

#[tokio::test]
async fn new_secrets_get_the_configured_key() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let app = TestApp::with(Db::Sqlite, Store::Moto, &[("KEYBROKER_AWS_KMS_KEY_ID", key)]).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let about = secretsmanager(&["describe-secret", "--secret-id", &secret(&app)]).await;
    assert_eq!(about["KmsKeyId"], key);
}

#[tokio::test]
async fn requests_name_the_application() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    let agents = app.aws().user_agents();
    let name = format!("app/keybroker-{}", env!("CARGO_PKG_VERSION"));
    assert!(agents.iter().all(|agent| agent.contains(&name)), "{agents:?}");
    assert!(!agents.is_empty());
}

#[tokio::test]
async fn a_put_by_a_stranger_to_the_index_after_a_disconnect_is_not_served() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.delete(&app.path("vapi")).send().await.expect(204);
    let theirs = r#"{"publicApiKey":"p","privateApiKey":"sk-theirs"}"#;
    secretsmanager(&["put-secret-value", "--secret-id", &secret(&app), "--secret-string", theirs]).await;
    app.read("vapi").await.expect_problem(404, "not_found");
    app.put(&app.path("vapi")).json(&vapi("sk-back-0123456789")).send().await.expect(200);
    assert_eq!(app.private_key().await, "sk-back-0123456789");
}

/// Until it is known what became of a reconnect, a disconnect must not be acknowledged: it could be undone.
#[tokio::test]
async fn a_disconnect_is_not_acknowledged_before_an_open_reconnect_is_settled() {
    let settings = [("KEYBROKER_STORE_TIMEOUT", "2s")];
    let app = TestApp::with(Db::Postgres, Store::Moto, &settings).await;
    app.put_vapi("sk-first-0123456789").await.expect(201);
    app.delete(&app.path("vapi")).send().await.expect(204);
    app.aws().fail("PutSecretValue", usize::MAX, Fault::LoseAnswer);
    app.put_vapi("sk-again-0123456789").await.expect_problem(503, "store_unavailable");
    app.aws().heal();
    app.delete(&app.path("vapi")).send().await.expect_problem(503, "store_unavailable");
    app.settled().await;
    assert_eq!(app.private_key().await, "sk-again-0123456789");
    app.delete(&app.path("vapi")).send().await.expect(204);
    app.read("vapi").await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn what_is_found_gone_is_not_served_from_memory() {
    let app = TestApp::new(Db::Sqlite, Store::Moto).await;
    app.put_vapi("sk-0123456789abcdef").await.expect(201);
    app.private_key().await;
    secretsmanager(&["delete-secret", "--secret-id", &secret(&app), "--force-delete-without-recovery"]).await;
    app.private_key().await;
    let path = format!("{}/credentials", app.path("vapi"));
    let past_cache = app.get(&path).header("cache-control", "no-cache").send().await;
    past_cache.expect_problem(404, "not_found");
    app.read("vapi").await.expect_problem(404, "not_found");
}
