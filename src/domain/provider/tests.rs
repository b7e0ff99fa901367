use super::*;

fn provider(name: &str) -> Provider {
    Catalogue::builtin().unwrap().get(&name.parse().unwrap()).unwrap().clone()
}

fn sent(fields: &[(&str, &str)]) -> Vec<(String, SentField)> {
    fields.iter().map(|(n, v)| ((*n).to_owned(), SentField::Text((*v).into()))).collect()
}

fn errors(provider: &Provider, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let errors = provider.check(sent(fields)).unwrap_err();
    errors.into_iter().map(|e| (e.field, e.message)).collect()
}

#[test]
fn the_builtin_providers_are_those_of_the_contract() {
    let catalogue = Catalogue::builtin().unwrap();
    let fields = |p: &Provider| p.fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>().join(" ");
    let all: Vec<_> = catalogue.iter().map(|p| format!("{}: {}", p.name, fields(p))).collect();
    insta::assert_snapshot!(all.join("\n"), @"
    anthropic: apiKey
    custom: 
    deepgram: apiKey
    deepseek: apiKey
    elevenlabs: apiKey
    google: apiKey
    grok: apiKey
    openai: apiKey
    sendgrid: apiKey
    slack: botToken signingSecret
    smtp: host port username password
    telegram: botToken
    twilio: accountSid authToken
    vapi: publicApiKey privateApiKey
    ");
}

#[test]
fn every_example_fits_its_own_pattern() {
    for provider in Catalogue::builtin().unwrap().iter() {
        for field in &provider.fields {
            let example = field.example.clone().expect("every built-in field has an example");
            let name = format!("{} {}", provider.name, field.name);
            assert!(field.check(SentField::Text(example.into())).is_ok(), "{name}");
        }
    }
}

#[test]
fn good_fields_come_out_in_the_catalogues_order() {
    let given = sent(&[("privateApiKey", "s"), ("publicApiKey", "p")]);
    let credentials = provider("vapi").check(given).unwrap();
    assert_eq!(&**credentials.to_json(), br#"{"publicApiKey":"p","privateApiKey":"s"}"#);
}

#[test]
fn everything_wrong_is_said_at_once_and_no_value_is_repeated() {
    let mut fields = sent(&[("publicApiKey", ""), ("bogus", "canary"), ("sk-1234", "canary")]);
    fields.push(("privateApiKey".into(), SentField::NotText));
    let errors = provider("vapi").check(fields).unwrap_err();
    let text: Vec<_> = errors.iter().map(|e| format!("{} {}", e.field, e.message)).collect();
    insta::assert_snapshot!(text.join("\n"), @"
    publicApiKey is empty
    privateApiKey must be text
    bogus is unknown; vapi takes publicApiKey, privateApiKey
    credentials has an unknown field, whose name is not repeated here; vapi takes publicApiKey, privateApiKey
    ");
}

#[test]
fn a_missing_field_is_named() {
    let found = errors(&provider("vapi"), &[("publicApiKey", "p")]);
    assert_eq!(found, [("privateApiKey".into(), "is required".into())]);
}

#[test]
fn patterns_match_the_whole_value() {
    for port in ["0x50", "58 7", "587\n", "123456"] {
        let fields = [("host", "h.example"), ("username", "u"), ("password", "p"), ("port", port)];
        assert_eq!(errors(&provider("smtp"), &fields)[0].0, "port", "{port:?}");
    }
}

#[test]
fn lengths_are_bounded() {
    let found = errors(&provider("openai"), &[("apiKey", &"k".repeat(4_097))]);
    assert_eq!(found, [("apiKey".into(), "is longer than 4096 bytes".into())]);
}

#[test]
fn free_fields_are_free_within_bounds() {
    let custom = provider("custom");
    let long = "v".repeat(60_000);
    assert!(custom.check(sent(&[("any.thing", &long), ("other-1", "x")])).is_ok());
    assert!(!custom.is_public("any.thing"));
    assert_eq!(errors(&custom, &[])[0].1, "needs at least one field");
    assert_eq!(errors(&custom, &[("a b", "x")])[0].0, "credentials");
    let many: Vec<_> = (0..51).map(|i| format!("f{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(errors(&custom, &many)[0].1, "has more than 50 fields");
}
