use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::domain::clock::{CountingRandom, SystemRandom};

const OLD: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const VALUE: &str = r#"{"apiKey":"canary"}"#;

fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn keyring(content: &str) -> Keyring {
    let (_folder, path) = file(content);
    Keyring::read(&path).unwrap()
}

fn complaint(content: impl AsRef<[u8]>) -> String {
    let (folder, path) = file(content);
    let told = Keyring::read(&path).unwrap_err().to_string();
    told.replace(folder.path().to_str().unwrap(), "")
}

fn version(digit: char) -> Version {
    digit.to_string().repeat(32).parse().unwrap()
}

#[test]
fn what_is_sealed_opens_in_its_place_only() {
    let keyring = keyring(NEW);
    let (one, two) = (version('1'), version('2'));
    let place = Place { name: "tenant/acme/vapi", version: &one };
    let sealed = keyring.seal(place, VALUE.as_bytes());
    assert_eq!(&**keyring.open(place, &sealed).unwrap(), VALUE);
    for other in [Place { name: "tenant/other/vapi", ..place }, Place { version: &two, ..place }] {
        let altered = Unopened::Altered(sealed.key_id.clone());
        assert_eq!(keyring.open(other, &sealed).unwrap_err(), altered, "{other:?}");
    }
}

#[test]
fn the_parts_of_a_place_do_not_run_together() {
    let (short, long) = (version('1'), format!("x{}", "1".repeat(32)).parse().unwrap());
    let one = Place { name: "tenant/ax", version: &short };
    let other = Place { name: "tenant/a", version: &long };
    assert_ne!(one.bytes(), other.bytes());
}

#[test]
fn the_same_value_never_seals_the_same() {
    let (keyring, version) = (keyring(NEW), version('1'));
    let seal = || keyring.seal(Place { name: "n", version: &version }, VALUE.as_bytes()).text;
    assert_ne!(seal(), seal());
    assert!(!seal().contains(VALUE));
}

#[test]
fn any_altered_byte_is_noticed() {
    let (keyring, version) = (keyring(NEW), version('1'));
    let place = Place { name: "n", version: &version };
    let Sealed { key_id, text } = keyring.seal(place, b"{}");
    let bytes = STANDARD.decode(text).unwrap();
    for position in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        let sealed = Sealed { key_id: key_id.clone(), text: STANDARD.encode(altered) };
        assert!(keyring.open(place, &sealed).is_err(), "{position}");
    }
    for text in ["", "AAAA", "not base64", &STANDARD.encode(&bytes[..20])] {
        let sealed = Sealed { key_id: key_id.clone(), text: text.into() };
        assert!(keyring.open(place, &sealed).is_err(), "{text}");
    }
}

#[test]
fn a_rotated_key_still_opens_and_no_longer_seals() {
    let version = version('1');
    let place = Place { name: "n", version: &version };
    let sealed = keyring(OLD).seal(place, VALUE.as_bytes());
    let rotated = keyring(&format!("{NEW}\n{OLD}\n"));
    assert!(rotated.open(place, &sealed).is_ok());
    assert_ne!(rotated.seal(place, b"{}").key_id, sealed.key_id);
    let forgotten = keyring(NEW).open(place, &sealed).unwrap_err();
    assert_eq!(forgotten, Unopened::NoKey(sealed.key_id.clone()));
    assert!(rotated.holds(&sealed.key_id) && !keyring(NEW).holds(&sealed.key_id));
}

/// The id names the key in every row of the database, so it must never change.
#[test]
fn a_keys_id_is_for_ever() {
    assert_eq!(keyring(OLD).sealing.id, "62771359c7040a79");
}

#[test]
fn comments_blank_lines_and_carriage_returns_do_not_count() {
    let keyring = keyring(&format!("# made in May\r\n\r\n {NEW} \r\n\n#\n{OLD}"));
    assert_eq!(keyring.earlier.len(), 1);
}

#[test]
fn complaints_say_where_and_repeat_nothing() {
    insta::assert_snapshot!(complaint(format!("# canary\n\n{NEW}\ncanary")), @"the master key file /master.key has no key in line 4: each line is 32 bytes in base64, or starts with #");
    insta::assert_snapshot!(complaint("# canary\n"), @"the master key file /master.key holds no key; put 32 random bytes in base64 there: openssl rand -base64 32");
    insta::assert_snapshot!(complaint(vec![b'a'; 100_000]), @"the master key file /master.key is larger than 64 KiB, which no master key file is");
    assert!(complaint([0xFF; 32]).contains("line 1"));
    for wrong in [&NEW[..40], &format!("{NEW}{NEW}"), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"] {
        assert!(complaint(wrong).contains("line 1"), "{wrong}");
    }
    let missing = Keyring::read("/nowhere/master.key".as_ref()).unwrap_err();
    insta::assert_snapshot!(missing, @"the master key file /nowhere/master.key does not exist; put 32 random bytes in base64 there: openssl rand -base64 32");
}

#[test]
fn a_generated_file_is_read_again_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    Keyring::generate_file(&path, &SystemRandom).unwrap();
    let keyring = Keyring::read(&path).unwrap();
    let refused = Keyring::generate_file(&path, &CountingRandom::default()).unwrap_err();
    assert!(refused.to_string().contains("is there already"), "{refused}");
    assert!(Keyring::read(&path).unwrap().holds(&keyring.sealing.id));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["master.key"]);
}

#[cfg(unix)]
#[test]
fn a_generated_file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    Keyring::generate_file(&path, &SystemRandom).unwrap();
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn debug_shows_no_key_and_no_value() {
    let (keyring, version) = (keyring(NEW), version('1'));
    let sealed = keyring.seal(Place { name: "n", version: &version }, VALUE.as_bytes());
    let shown = format!("{keyring:?} {sealed:?}");
    assert!(!shown.contains(&NEW[..8]) && !shown.contains("canary"), "{shown}");
    assert!(shown.contains("[redacted]"));
}
