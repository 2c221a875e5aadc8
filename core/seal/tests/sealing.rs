//! Whatever happens to a sealed value, it opens as what was sealed or not at all.

use cfgstore_seal::{Keyring, LiveKeyring, Pattern, SealError, is_envelope, key_id_of};
use proptest::prelude::*;

const KEY: &[u8] = b"/shop/prod/secret/database";

fn keyring() -> Keyring {
    Keyring::generate("2026-11", vec![Pattern::parse("/shop/prod/secret/*").unwrap()]).unwrap()
}

#[test]
fn a_sealed_value_is_a_json_object_without_what_was_sealed() {
    let sealed = keyring().seal(KEY, b"{\"password\":\"hunter2\"}").unwrap();
    let document: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
    assert_eq!(document.as_object().unwrap().len(), 1);
    assert!(!String::from_utf8(sealed.clone()).unwrap().contains("hunter2"));
    assert!(is_envelope(&sealed));
    assert_eq!(key_id_of(&sealed), Some("2026-11"));
}

#[test]
fn one_value_is_never_sealed_alike() {
    let keyring = keyring();
    assert_ne!(keyring.seal(KEY, b"x").unwrap(), keyring.seal(KEY, b"x").unwrap());
}

#[test]
fn any_byte_changed_anywhere_is_noticed() {
    let keyring = keyring();
    let sealed = keyring.seal(KEY, b"\"a secret\"").unwrap();
    for at in 0..sealed.len() {
        for change in (0..8).map(|bit| 1u8 << bit) {
            let mut changed = sealed.clone();
            changed[at] ^= change;
            let error = keyring.open(KEY, &changed).unwrap_err();
            assert!(
                error.to_string().contains("/shop/prod/secret/database"),
                "{error}"
            );
        }
    }
}

#[test]
fn cut_at_any_length_it_is_noticed() {
    let keyring = keyring();
    let sealed = keyring.seal(KEY, b"\"a secret\"").unwrap();
    for length in 0..sealed.len() {
        let cut = &sealed[..length];
        let error = keyring.open(KEY, cut).unwrap_err();
        assert_eq!(
            matches!(error, SealError::Truncated { .. }),
            is_envelope(cut),
            "{length}: {error}"
        );
    }
}

#[test]
fn moved_to_another_key_it_does_not_open() {
    let keyring = keyring();
    let sealed = keyring.seal(KEY, b"1").unwrap();
    for other in [
        &b"/shop/prod/secret/database2"[..],
        b"/shop/prod/secret/databas",
        b"",
        b"/shop/test/secret/database",
    ] {
        assert!(matches!(
            keyring.open(other, &sealed),
            Err(SealError::WrongKeyOrDamaged { .. })
        ));
    }
}

/// An id's end and a key's beginning, shifted against each other.
#[test]
fn id_and_key_are_told_apart() {
    let (short, long) = (
        Keyring::generate("a", vec![]).unwrap(),
        Keyring::generate("a-b", vec![]).unwrap(),
    );
    let as_long = short.to_json().replace("\"a\"", "\"a-b\"");
    let as_long = Keyring::parse(as_long.as_bytes(), "test").unwrap();
    let sealed = String::from_utf8(short.seal(b"-b.key", b"1").unwrap()).unwrap();
    let moved = sealed.replace("v1.a.", "v1.a-b.");
    assert!(matches!(
        as_long.open(b"key", moved.as_bytes()),
        Err(SealError::WrongKeyOrDamaged { .. })
    ));
    assert!(long.open(b"key", moved.as_bytes()).is_err());
}

#[test]
fn another_key_of_the_same_id_does_not_open_it() {
    let sealed = keyring().seal(KEY, b"1").unwrap();
    let error = keyring().open(KEY, &sealed).unwrap_err();
    assert!(
        matches!(&error, SealError::WrongKeyOrDamaged { id, .. } if id == "2026-11"),
        "{error}"
    );
}

#[test]
fn several_keys_open_and_the_primary_one_seals() {
    let mut keyring = keyring();
    let old = keyring.seal(KEY, b"old").unwrap();
    keyring.add("2026-12").unwrap();
    assert_eq!(key_id_of(&keyring.seal(KEY, b"x").unwrap()), Some("2026-11"));
    keyring.set_primary("2026-12").unwrap();
    let new = keyring.seal(KEY, b"new").unwrap();
    assert_eq!(key_id_of(&new), Some("2026-12"));
    assert_eq!(keyring.open(KEY, &old).unwrap(), b"old");
    keyring.drop_key("2026-11").unwrap();
    assert_eq!(keyring.open(KEY, &new).unwrap(), b"new");
    assert!(matches!(keyring.open(KEY, &old), Err(SealError::MissingKey { id, .. }) if id == "2026-11"));
    assert!(keyring.drop_key("2026-12").unwrap_err().contains("primary"));
}

#[test]
fn only_what_the_patterns_say_is_sealed_and_what_is_sealed_already_stays() {
    let live = LiveKeyring::fixed(keyring());
    assert_eq!(live.seal(b"/shop/prod/theme", b"1").unwrap(), None);
    let sealed = live.seal(KEY, b"1").unwrap().unwrap();
    assert_eq!(live.seal(KEY, &sealed).unwrap(), None);
    assert!(live.seal(b"/shop/prod/secret/other", &sealed).is_err());
    assert_eq!(live.open(KEY, &sealed).unwrap().unwrap(), b"1");
    // From before there was a pattern.
    assert_eq!(live.open(KEY, b"1").unwrap(), None);
}

#[test]
fn a_keyring_may_require_that_values_are_sealed() {
    let json =
        keyring().to_json().trim_end().trim_end_matches('}').to_owned() + ", \"require_sealed\": true}";
    let live = LiveKeyring::fixed(Keyring::parse(json.as_bytes(), "test").unwrap());
    assert!(matches!(live.open(KEY, b"1"), Err(SealError::NotSealed { .. })));
    assert_eq!(live.open(b"/shop/prod/theme", b"1").unwrap(), None);
    let again = Keyring::parse(live.current().unwrap().to_json().as_bytes(), "test").unwrap();
    assert!(again.requires_sealed());
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened(key in proptest::collection::vec(any::<u8>(), 1..200), plain in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let keyring = keyring();
        let sealed = keyring.seal(&key, &plain).unwrap();
        prop_assert_eq!(keyring.open(&key, &sealed).unwrap(), plain);
    }

    #[test]
    fn nothing_that_looks_like_it_opens_or_panics(tail in proptest::collection::vec(any::<char>(), 0..200), raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let keyring = keyring();
        for start in ["", "{\"$sealed\":\"v1.", "{\"$sealed\":\"v1.2026-11.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH."] {
            prop_assert!(keyring.open(KEY, &[start.as_bytes(), tail.iter().collect::<String>().as_bytes()].concat()).is_err());
            prop_assert!(keyring.open(KEY, &[start.as_bytes(), &raw].concat()).is_err());
        }
    }
}
