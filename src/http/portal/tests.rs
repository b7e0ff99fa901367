mod samples;

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use regex::Regex;

use super::{
    activity::{Line, Who},
    assets::{self, EMBED_ASSETS, PAGE_ASSETS},
    frame::origin,
    moment::Moment,
    provider::TILES,
    text::Language,
};
use crate::domain::{
    clock::CountingRandom,
    colour::{Colour, READABLE},
    vault::{Trouble, VaultToken},
};
use samples::{Sample, Samples};

const HOSTILE: &str = r#""><script>alert(1)</script><b onclick=x style='y'>'{app}"#;

/// Made once: there are many.
static PAGES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    Language::ALL.into_iter().flat_map(|language| Samples::new(language, None, None).all()).collect()
});

fn pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGES.iter().map(|(name, page)| (name.as_str(), page.as_str()))
}

/// The first half, as [`Language::ALL`] begins with it.
fn english_pages() -> impl Iterator<Item = (&'static str, &'static str)> {
    pages().take(PAGES.len() / Language::ALL.len())
}

fn english_page(name: &str) -> &'static str {
    english_pages().find(|(known, _)| *known == name).unwrap().1
}

fn hostile_pages() -> Vec<Sample> {
    Language::ALL.into_iter().flat_map(|language| Samples::new(language, Some(HOSTILE), None).all()).collect()
}

/// The start tags of those names; of all, if none is named. No text has a bare angle bracket.
fn tags<'p>(page: &'p str, names: &[&str]) -> Vec<&'p str> {
    let starts = page.split('<').skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    let tag = starts.filter_map(|rest| rest.split('>').next());
    let name = |tag: &str| names.is_empty() || names.contains(&tag.split_whitespace().next().unwrap_or(tag));
    tag.filter(|tag| name(tag)).collect()
}

/// An attribute's value.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let rest = tag.split_once(&format!(" {name}=\""))?.1;
    rest.split('"').next()
}

#[test]
fn what_strangers_write_stays_text() {
    for (name, page) in hostile_pages() {
        assert_eq!(tags(&page, &["script"]).len(), 1, "{name} has a script of a stranger's");
        for tag in tags(&page, &[]) {
            let outside: String = tag.split('"').step_by(2).collect();
            assert!(!outside.contains("onclick") && !outside.contains('\''), "{name}: {tag}");
        }
        assert!(page.contains("alert(1)"), "{name} shows nothing of it");
    }
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    for (name, page) in pages() {
        assert!(!page.contains("<style") && !page.contains(" style="), "{name} has style of its own");
        assert!(!page.contains("javascript:") && !page.contains("data:"), "{name} has a URL that runs");
        for tag in tags(page, &[]) {
            assert!(!tag.contains(" on"), "{name} has a handler: {tag}");
        }
        for tag in tags(page, &["script", "link", "img", "iframe", "object", "embed", "source"]) {
            let url = attribute(tag, "src").or(attribute(tag, "href")).unwrap();
            assert!(url.starts_with("/portal/assets/"), "{name}: {tag}");
        }
        for tag in tags(page, &["form"]) {
            assert_eq!(attribute(tag, "method"), Some("post"), "{name}: {tag}");
            let action = attribute(tag, "action");
            assert!(action.is_none_or(|action| action.starts_with("/portal/")), "{name}: {tag}");
        }
        for tag in tags(page, &["a"]).into_iter().filter(|tag| tag.contains("_blank")) {
            assert_eq!(attribute(tag, "rel"), Some("noopener noreferrer"), "{name}: {tag}");
        }
    }
    let css = assets::CSS.body;
    assert!(!["@import", "url(", "http"].iter().any(|forbidden| css.contains(forbidden)));
}

#[test]
fn every_form_of_someone_signed_in_has_the_csrf_token() {
    for (name, page) in pages().filter(|(name, _)| !name.starts_with("opening")) {
        for form in page.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            assert!(
                form.contains(r#"<input type="hidden" name="csrf" value="9f3cTOKEN">"#),
                "{name}: {form}"
            );
        }
    }
}

#[test]
fn a_secret_is_never_in_a_page() {
    for (name, page) in pages() {
        assert!(!page.contains("SECRET-VALUE"), "{name} shows a secret");
        for tag in tags(page, &["input"]).into_iter().filter(|tag| tag.contains("type=\"password\"")) {
            assert!(attribute(tag, "value").is_none(), "{name}: {tag}");
            assert_eq!(attribute(tag, "autocomplete"), Some("off"), "{name}: {tag}");
        }
    }
}

#[test]
fn every_input_has_its_label_and_every_reference_its_target() {
    for (name, page) in pages() {
        let all = tags(page, &[]);
        let ids: Vec<_> = all.iter().filter_map(|tag| attribute(tag, "id")).collect();
        let distinct: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(ids.len(), distinct.len(), "{name} has an id twice: {ids:?}");
        let labelled: BTreeSet<_> =
            tags(page, &["label"]).into_iter().filter_map(|tag| attribute(tag, "for")).collect();
        for tag in tags(page, &["input"]).into_iter().filter(|tag| !tag.contains("type=\"hidden\"")) {
            let id = attribute(tag, "id").unwrap_or_else(|| panic!("{name}: {tag} has no id"));
            assert!(labelled.contains(id), "{name}: {id} has no label");
        }
        for tag in all {
            let described = ["aria-describedby", "aria-labelledby", "for"];
            let targets =
                described.iter().filter_map(|it| attribute(tag, it)).flat_map(str::split_whitespace);
            let anchor = attribute(tag, "href").and_then(|link| link.strip_prefix('#'));
            for target in targets.chain(anchor) {
                assert!(distinct.contains(target), "{name}: {tag} leads nowhere");
            }
        }
    }
}

#[test]
fn a_page_has_one_heading_and_skips_no_level() {
    for (name, page) in pages() {
        let levels: Vec<u32> =
            tags(page, &["h1", "h2", "h3", "h4"]).iter().map(|tag| tag[1..2].parse().unwrap()).collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1, "{name}");
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
        assert!(page.contains("<main id=\"content\""), "{name}");
        assert!(!page.contains("<title> "), "{name}");
    }
}

#[test]
fn a_failure_is_an_alert_and_a_success_leads_back() {
    for (name, page) in english_pages() {
        if let Some(after) = name.strip_prefix("connect-") {
            let failed = ["rejected", "wrong", "unreachable"].contains(&after);
            assert_eq!(page.contains("role=\"alert\""), failed, "{name}");
            assert_eq!(page.contains(" autofocus"), failed, "{name}");
        }
        let told = page.contains(r#" data-return-origin="https://app.example""#);
        assert_eq!(
            told,
            ["connected-now", "notice-00", "notice-01", "notice-02", "notice-21", "vault-registered"]
                .contains(&name),
            "{name}"
        );
        assert_eq!(told, page.contains("status=connected&#38;connection=vapi"), "{name}");
    }
    assert_eq!(origin("https://app.example/settings").as_deref(), Some("https://app.example"));
}

#[test]
fn what_is_no_secret_is_kept_and_what_is_wrong_is_told_at_its_field() {
    let page = english_page("connect-wrong");
    let inputs = tags(page, &["input"]);
    let input = |name: &str| {
        let id = format!("field-{name}");
        *inputs.iter().find(|tag| attribute(tag, "id") == Some(id.as_str())).unwrap()
    };
    assert_eq!(attribute(input("accountSid"), "value"), Some("AC123"));
    for id in ["accountSid", "authToken"] {
        let tag = input(id);
        assert_eq!(attribute(tag, "aria-invalid"), Some("true"));
        assert!(attribute(tag, "aria-describedby").unwrap().contains(&format!("fault-{id}")));
        assert!(!page.contains(&format!("id=\"fault-{id}\"></p>")), "{id} has no words");
    }
}

#[test]
fn the_table_of_troubles_says_what_the_api_says() {
    let page = english_page("security-aws");
    for trouble in Trouble::ALL {
        for text in [trouble.title(), trouble.cause(), trouble.remedy()] {
            let text = text.replace('\'', "&#39;");
            assert!(page.contains(&text), "the page does not say: {text}");
        }
    }
}

#[test]
fn a_token_is_in_one_page_once() {
    let token = VaultToken::generate(&CountingRandom::default());
    for (name, page) in pages() {
        let shown = usize::from(name.starts_with("security-token"));
        assert_eq!(page.matches(token.reveal()).count(), shown, "{name}");
        assert_eq!(page.contains(" data-address=\"/portal/security\""), shown == 1, "{name}");
    }
}

#[test]
fn what_is_to_be_copied_is_there() {
    for (name, page) in pages() {
        let all = tags(page, &[]);
        for source in all.iter().filter_map(|tag| attribute(tag, "data-copy")) {
            assert!(all.iter().any(|tag| attribute(tag, "id") == Some(source)), "{name}: {source}");
        }
    }
    let page = english_page("security-configured");
    assert_eq!(tags(page, &["button"]).iter().filter(|tag| tag.contains("data-copy")).count(), 6);
}

#[test]
fn a_connection_in_the_vault_takes_no_key_and_names_those_that_it_needs() {
    for name in ["vault-connect", "vault-registered", "vault-lacks-key", "vault-reconnect", "vault-troubled"]
    {
        let page = english_page(name);
        assert!(!page.contains("type=\"password\"") && !page.contains("/rollback\""), "{name}");
        let fresh = name == "vault-connect";
        assert_eq!(page.contains("<button class=\"main\">Connect</button>"), fresh, "{name}");
        assert_eq!(page.contains("wf_conn_mail_token"), !fresh, "{name}");
        assert!(!page.contains(">Replace</button>"), "{name}");
    }
    assert!(english_page("vault-registered").contains(" data-stay"));
    assert!(!english_page("connected-now").contains(" data-stay"));
}

#[test]
fn the_steps_tell_which_are_taken_and_which_is_next() {
    let states = |name: &str| -> Vec<&'static str> {
        let page = english_page(name);
        let titles = page.split("<span class=\"ordinal\"").skip(1);
        let title = titles.map(|rest| rest.split("</h3>").next().unwrap().to_owned());
        title.map(|it| ["Done", "Next"].into_iter().find(|word| it.contains(word)).unwrap_or("")).collect()
    };
    assert_eq!(states("security-aws"), ["Next", "", "", "", "", "", ""]);
    assert_eq!(states("security-configured"), ["Done", "Done", "Next", "Done", "Done", "Done", ""]);
    assert_eq!(states("security-enabled"), ["Done", "Done", "Next", "Done", "Done", "Done", "Done"]);
}

#[test]
fn every_event_of_the_log_has_its_words() {
    let words = |what: &str| {
        let at: Moment = jiff::Timestamp::UNIX_EPOCH.into();
        let line = Line { at, actor: Who::Service, what: what.into(), connection: None, count: 1 };
        Language::ALL.map(|language| {
            line.words(language.texts()).into_iter().map(|span| span.text).collect::<String>()
        })
    };
    let kinds = "created updated unchanged verified needs_reconnect rolled_back disconnected";
    let connection = kinds.split(' ').map(|kind| format!("connection.{kind}"));
    let others = [
        "credentials.read",
        "session.created",
        "session.opened",
        "vault.enabled",
        "vault.disabled",
        "vault.tested",
        "vault.token_created",
        "token.created",
        "token.revoked",
    ];
    let mut said = BTreeSet::new();
    for what in connection.chain(others.map(str::to_owned)) {
        for words in words(&what) {
            assert!(!words.contains(&what), "{what} is not put into words");
            assert!(said.insert(words), "{what} sounds like another");
        }
    }
    assert_eq!(words("new.type")[0], "The key service: new.type");
}

#[test]
fn tiles_can_be_read() {
    for tile in 0..TILES {
        let rule = format!(".tile-{tile} {{ --tile: ");
        let colour: Colour = assets::CSS.body.split_once(&rule).unwrap().1[..7].parse().unwrap();
        assert!(colour.contrast(Colour::WHITE) >= READABLE, "{tile}");
    }
}

#[test]
fn a_page_with_all_it_loads_stays_small() {
    let samples = Samples::new(Language::German, None, None);
    let loaded: usize = PAGE_ASSETS.iter().map(|asset| asset.body.len()).sum();
    let loaded = loaded + samples.site().theme_css().len();
    for (name, page) in samples.all() {
        assert!(page.len() + loaded < 50_000, "{name} is {} bytes with {loaded} that it loads", page.len());
    }
    for asset in EMBED_ASSETS {
        assert!(asset.body.len() < 5_000, "{} as {}", asset.path, asset.content_type);
    }
}

/// Writes every page with what it loads, to be looked at: `target/portal-preview/index.html`.
/// `cargo test portal -- --ignored`
#[test]
#[ignore = "for the eye; the other tests check the same pages"]
fn pages_can_be_looked_at() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/portal-preview");
    fs::create_dir_all(&folder).unwrap();
    for asset in PAGE_ASSETS {
        fs::write(folder.join(asset.path.rsplit('/').next().unwrap()), asset.body).unwrap();
    }
    let local = Regex::new(r"/portal/assets/([a-z.]+)\?v=[0-9a-f]{8}").unwrap();
    let mut index = String::from("<!doctype html><meta charset=utf-8><title>Portal</title>");
    for (look, accent) in [("", None), ("lime-", Some("#d4ff3a")), ("ink-", Some("#14213d"))] {
        for language in Language::ALL {
            let samples = Samples::new(language, None, accent);
            let theme = format!("{look}theme.css");
            fs::write(folder.join(&theme), samples.site().theme_css()).unwrap();
            for (name, page) in samples.all() {
                let file = format!("{look}{}-{name}.html", language.code());
                // Nothing is there that could be pressed.
                let page = page.replace(" data-press", "");
                let page = local.replace_all(&page, "$1").replace("\"theme.css\"", &format!("\"{theme}\""));
                fs::write(folder.join(&file), page).unwrap();
                index.extend(["<p><a href=", &file, ">", &file, "</a>"]);
            }
        }
    }
    fs::write(folder.join("index.html"), index).unwrap();
}
