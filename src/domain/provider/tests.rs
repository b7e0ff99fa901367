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
fn the_builtin_providers_are_those_that_are_documented() {
    let catalogue = Catalogue::builtin().unwrap();
    let fields = |p: &Provider| p.fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>().join(" ");
    let all: Vec<_> = catalogue.iter().map(|p| format!("{}: {}", p.name, fields(p))).collect();
    insta::assert_snapshot!(all.join("\n"), @"
    anthropic: apiKey
    custom: 
    deepgram: apiKey
    deepseek: apiKey
    elevenlabs: apiKey
    elevenlabs_eu: apiKey
    elevenlabs_in: apiKey
    google: apiKey
    grok: apiKey
    openai: apiKey
    openai_eu: apiKey
    openai_us: apiKey
    sendgrid: apiKey
    sendgrid_eu: apiKey
    slack: botToken signingSecret
    smtp: host port username password
    telegram: botToken
    twilio: accountSid authToken
    vapi: publicApiKey privateApiKey
    vapi_eu: publicApiKey privateApiKey
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

fn unusable(text: &str) -> String {
    let UnusableEntry { line, reason } = Catalogue::extended(text).unwrap_err();
    format!("{}: {reason}", line.map_or_else(|| "?".to_owned(), |line| line.to_string()))
}

const ACME: &str = "
[providers.acme]
display_name = 'Acme'
category = 'voice'
fields = [{ name = 'key', label = 'Key' }]
";

#[test]
fn a_file_adds_and_overrides() {
    let text = format!(
        "{ACME}\n[providers.vapi]\nbase_url = 'http://127.0.0.1:8090/'\nverify = {{ path = '/me' }}\n"
    );
    let catalogue = Catalogue::extended(&text).unwrap();
    let get = |name: &str| catalogue.get(&name.parse().unwrap()).unwrap();
    assert_eq!(get("acme").display_name, "Acme");
    assert!(get("acme").verification().is_none());
    let (vapi, builtin) = (get("vapi"), provider("vapi"));
    assert_eq!((&vapi.display_name, vapi.fields.len()), (&builtin.display_name, builtin.fields.len()));
    let (api, verification) = vapi.verification().unwrap();
    assert_eq!(api.base_url.as_str(), "http://127.0.0.1:8090");
    assert_eq!(verification.path, "/me".to_owned().try_into().unwrap());
    assert_eq!(verification.invalid, builtin.verification().unwrap().1.invalid);
}

#[test]
fn verification_can_be_turned_off_and_entries_extended() {
    let text =
        "[providers.vapi]\nverify = false\n[providers.mine]\nextends = 'openai'\ndisplay_name = 'Mine'\n";
    let catalogue = Catalogue::extended(text).unwrap();
    let get = |name: &str| catalogue.get(&name.parse().unwrap()).unwrap();
    assert!(get("vapi").verification().is_none());
    assert_eq!(get("mine").display_name, "Mine");
    assert!(get("mine").verification().is_some());
}

#[test]
fn an_unusable_file_is_told_by_line_and_reason() {
    let faults = [
        "[providers.vapi\n".to_owned(),
        "\n[provider.vapi]\n".to_owned(),
        "[providers.vapi]\n\nbase_uri = ''".to_owned(),
        "[providers.vapi]\nbase_url = 'ftp://x'".to_owned(),
        "[providers.vapi]\nbase_url = 'https://user@x'".to_owned(),
        "[providers.vapi]\nauth = { header = 'Host', value = 'x' }".to_owned(),
        "[providers.vapi]\nauth = { header = 'X-Key' }".to_owned(),
        "\n\n[providers.vapi]\nauth = { value = '{apiKey}' }".to_owned(),
        "[providers.vapi.verify]\npath = '/{'".to_owned(),
        "[providers.vapi]\nverify = true".to_owned(),
        "[providers.vapi]\nverify = { valid = [500] }".to_owned(),
        "[providers.vapi]\nverify = { valid = [] }".to_owned(),
        "[providers.vapi]\nauth = { value = 'Bearer' }".to_owned(),
        format!("{ACME}opens = [{{ label = 'x', text = '/x' }}]\n"),
        "[providers.vapi]\nfields = [{ name = 'k', label = 'K', pattern = 'a', example = 'b' }]".to_owned(),
        "[providers.vapi]\nverify = { path = 'me' }".to_owned(),
        "[providers.vapi]\nverify = { path = '{publicApiKey}/me' }".to_owned(),
        "[providers.vapi]\n[[providers.vapi.fields]]\nname = 'a'\nlabel = 'A'\npattern = '('".to_owned(),
        "[providers.new]\ndisplay_name = 'New'\n".to_owned(),
        "[providers.New]\nextends = 'vapi'\n".to_owned(),
        "[providers.a]\nextends = 'b'\n[providers.b]\nextends = 'a'\n".to_owned(),
        "[providers.a]\nextends = 'none'\n".to_owned(),
        format!("{ACME}verify = {{ path = '/me' }}\n"),
    ];
    let told: Vec<_> = faults.iter().map(|text| unusable(text)).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    1: unclosed table, expected `]`
    2: unknown field `provider`, expected `providers`
    3: unknown field `base_uri`, expected one of `extends`, `display_name`, `category`, `docs_url`, `base_url`, `auth`, `headers`, `opens`, `verify`, `free_fields`, `oauth`, `fields`
    2: a base_url is https://HOST or http://HOST, maybe with a port and a path, and nothing else
    2: a base_url is https://HOST or http://HOST, maybe with a port and a path, and nothing else
    2: a header's name is letters, digits and hyphens, and not one that the connection itself needs
    2: auth has header and value, or username and password
    3: provider vapi: it puts in {apiKey}, which is none of its required fields
    2: each { must have its } and a field's name between them
    2: verify is a table, or false
    1: provider vapi: in verify, the status 500 can say nothing of a key
    1: provider vapi: in verify, no key could be valid
    1: provider vapi: its auth holds no field of the credentials
    2: provider acme: it has opens, and no verify that comes first
    1: provider vapi: the example of the field k does not fit its own pattern
    1: provider vapi: a path begins with a slash and holds no #
    1: provider vapi: a path begins with a slash and holds no #
    5: a pattern is a regular expression: unclosed group
    1: provider new: it has no fields
    1: provider New: the provider name must be 1 to 64 of a-z 0-9 _
    1: provider a: it extends too many others in a row, or itself
    1: provider a: it extends none, which there is not
    2: provider acme: it has verify, and no base_url to send a key to
    ");
}
