use std::collections::BTreeSet;

use super::{Language, Span, fill, spans};

#[test]
fn a_browser_gets_the_language_that_it_likes_best() {
    use Language::{English, German};
    for (header, language) in [
        (None, English),
        (Some(""), English),
        (Some("fr"), English),
        (Some("de"), German),
        (Some("DE-at"), German),
        (Some("en-US,en;q=0.9,de;q=0.8"), English),
        (Some("de-DE,de;q=0.9,en;q=0.8"), German),
        (Some("fr-CH, fr;q=0.9, de;q=0.7, en;q=0.5, *;q=0.1"), German),
        (Some("en;q=0.3, de ; q=0.4"), German),
        (Some("de;q=0, en;q=0.1"), English),
        (Some("de;q=0"), English),
        (Some("en,de"), English),
        (Some("de,en"), German),
        (Some("*"), English),
        (Some("de;q=much"), English),
        (Some("de;q=NaN,en;q=0.1"), English),
        (Some("de;q=9,en"), English),
        (Some(";;;,,,=q;"), English),
    ] {
        assert_eq!(Language::of(header), language, "{header:?}");
    }
}

#[test]
fn every_language_says_everything_with_the_same_names() {
    let names = |text: &str| -> BTreeSet<String> {
        let opened = text.split('{').skip(1);
        opened.map(|rest| rest.split_once('}').expect("a brace is closed").0.to_owned()).collect()
    };
    let english = Language::English.texts().all();
    for language in Language::ALL {
        for ((key, text), (_, english)) in language.texts().all().into_iter().zip(&english) {
            assert!(!text.trim().is_empty(), "{key} is empty in {language:?}");
            assert_eq!(text.trim(), text, "{key} in {language:?}");
            assert_eq!(names(text), names(english), "{key} in {language:?}");
        }
    }
}

#[test]
fn german_is_not_english() {
    let pairs = Language::English.texts().all().into_iter().zip(Language::German.texts().all());
    let same: Vec<_> = pairs.filter(|(english, german)| english == german).map(|(it, _)| it.0).collect();
    assert_eq!(same, ["optional", "free_name", "something_else"]);
}

#[test]
fn what_is_filled_in_is_not_filled_in_again() {
    assert_eq!(fill("{a} and {b}", &[("a", "{b}"), ("b", "{")]), "{b} and {");
    assert_eq!(fill("a { alone", &[]), "a { alone");
    let span = |text: &str, filled| Span { text: text.into(), filled };
    assert_eq!(spans("{actor} did it", &[("actor", "Ada")]), [span("Ada", true), span(" did it", false)]);
}
