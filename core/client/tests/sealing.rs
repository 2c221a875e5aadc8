//! Values that are sealed before they leave the client, against a real etcd.

mod support;

use std::sync::Arc;

use cfgstore_client::blocking::{self, Mode};
use cfgstore_client::seal::{Keyring, LiveKeyring, Pattern, is_envelope, key_id_of};
use cfgstore_client::{
    DeleteOptions, Error, ErrorKind, Options, PutOptions, RESERVED_PREFIX, Range, Txn, WatchOptions,
};
use support::{Etcd, PATIENCE};

const SECRET: &str = "{\"password\":\"hunter2\"}";

fn keyring(id: &str) -> Keyring {
    let patterns = vec![Pattern::parse("/shop/secret/*").unwrap()];
    Keyring::generate(id, patterns).unwrap()
}

fn client(etcd: &Etcd, keyring: Option<&Keyring>, prefix: &str) -> blocking::Client {
    let options = Options {
        keyring: keyring.map(|keyring| Arc::new(LiveKeyring::fixed(keyring.clone()))),
        prefix: prefix.into(),
        ..etcd.options()
    };
    blocking::Client::new(options, Mode::NoThread).unwrap()
}

fn plain() -> PutOptions {
    PutOptions::default()
}

fn stored(etcd: &Etcd, key: &str) -> Vec<u8> {
    let found = client(etcd, None, "").get(key).unwrap();
    found.unwrap().value.to_vec()
}

#[test]
fn only_those_with_the_key_see_what_was_put() {
    let etcd = Etcd::start();
    let keyring = keyring("one");
    // Patterns mean the whole key, whatever the client's prefix is.
    let shop = client(&etcd, Some(&keyring), "/shop/");
    shop.put("secret/a", SECRET, &plain()).unwrap();
    shop.put("theme", SECRET, &plain()).unwrap();
    assert_eq!(shop.get("secret/a").unwrap().unwrap().value, SECRET);
    assert_eq!(stored(&etcd, "/shop/theme"), SECRET.as_bytes());
    let sealed = stored(&etcd, "/shop/secret/a");
    assert_eq!(key_id_of(&sealed), Some("one"));
    assert_eq!(
        keyring.open(b"/shop/secret/a", &sealed).unwrap(),
        SECRET.as_bytes()
    );
    assert!(!String::from_utf8(sealed).unwrap().contains("hunter2"));
}

#[test]
fn conditional_puts_and_transactions_seal_too() {
    let etcd = Etcd::start();
    let keyring = keyring("one");
    let shop = client(&etcd, Some(&keyring), "/shop/");
    let create = PutOptions {
        if_revision: Some(0),
        ..plain()
    };
    shop.put("secret/a", SECRET, &create).unwrap();
    shop.txn(Txn::new().put("secret/b", SECRET).put("theme", "1"))
        .unwrap();
    shop.txn(
        Txn::new()
            .if_absent("theme")
            .put("x", "1")
            .else_put("secret/c", SECRET),
    )
    .unwrap();
    for key in ["a", "b", "c"] {
        assert!(
            is_envelope(&stored(&etcd, &format!("/shop/secret/{key}"))),
            "{key}"
        );
        assert_eq!(shop.get(format!("secret/{key}")).unwrap().unwrap().value, SECRET);
    }
}

#[test]
fn one_value_that_does_not_open_hides_no_other() {
    let etcd = Etcd::start();
    let (mine, other) = (keyring("one"), keyring("two"));
    let shop = client(&etcd, Some(&mine), "/shop/");
    let raw = client(&etcd, None, "/shop/");
    let start = shop.put("secret/1", "1", &plain()).unwrap();
    client(&etcd, Some(&other), "/shop/")
        .put("secret/2", "2", &plain())
        .unwrap();
    let moved = stored(&etcd, "/shop/secret/1");
    raw.put("secret/3", moved.clone(), &plain()).unwrap();
    raw.put("secret/4", moved[..moved.len() - 5].to_vec(), &plain())
        .unwrap();
    raw.put("secret/5", "\"not sealed yet\"", &plain()).unwrap();

    let what = |error: &Error| {
        assert_eq!(error.kind, ErrorKind::Sealed, "{error}");
        assert!(!error.retryable() && !error.maybe_committed);
        error.message.clone()
    };
    let expect = |at: usize, message: &str| match at {
        2 => assert!(
            message.contains("\"two\", which this keyring does not have"),
            "{message}"
        ),
        3 => assert!(message.contains("moved here from another key"), "{message}"),
        _ => assert!(message.contains("cut short"), "{message}"),
    };
    for at in 2..=4 {
        let message = what(&shop.get(format!("secret/{at}")).unwrap_err());
        assert!(message.contains(&format!("/shop/secret/{at}")), "{message}");
        expect(at, &message);
    }
    let found = shop.range(&Range::prefix("")).unwrap().kvs;
    assert_eq!(found.len(), 5);
    for (kv, at) in found.iter().zip(1..) {
        match (&kv.unopened, at) {
            (None, 1) => assert_eq!(kv.value, "1"),
            (None, 5) => assert_eq!(kv.value, "\"not sealed yet\""),
            (Some(error), 2..=4) => expect(at, &what(error)),
            (unopened, _) => panic!("{at}: {unopened:?}"),
        }
    }
    assert!(
        shop.range(&Range::prefix("").keys_only())
            .unwrap()
            .kvs
            .iter()
            .all(|kv| kv.unopened.is_none())
    );

    let mut watch = shop
        .watch(WatchOptions::prefix("").from_revision(start).with_previous())
        .unwrap();
    for at in 1..=5 {
        let batch = watch.next(Some(PATIENCE)).unwrap().unwrap();
        let change = &batch.changes[0];
        match &change.unopened {
            None => assert!(at == 1 || at == 5),
            Some(error) => expect(at, &what(error)),
        }
    }
    shop.delete("secret/1", &DeleteOptions::default()).unwrap();
    let batch = watch.next(Some(PATIENCE)).unwrap().unwrap();
    assert_eq!(batch.changes[0].previous.as_ref().unwrap().value, "1");
}

#[test]
fn what_cannot_be_sealed_is_not_stored() {
    let etcd = Etcd::start();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("keyring.json");
    let source = cfgstore_client::seal::Source::File(place);
    let options = Options {
        keyring: Some(Arc::new(LiveKeyring::new(source))),
        ..etcd.options()
    };
    let client = blocking::Client::new(options, Mode::NoThread).unwrap();
    let error = client.put("/shop/secret/a", SECRET, &plain()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Sealed);
    assert!(
        error.message.contains("keyring.json") && !error.maybe_committed,
        "{error}"
    );
    assert_eq!(
        client
            .txn(Txn::new().put("/shop/secret/a", SECRET))
            .unwrap_err()
            .kind,
        ErrorKind::Sealed
    );
    assert_eq!(client.get("/shop/secret/a").unwrap(), None);
}

#[test]
fn keys_of_cfgstore_itself_are_never_sealed() {
    let etcd = Etcd::start();
    let all = Keyring::generate("one", vec![Pattern::parse("*").unwrap()]).unwrap();
    let client = client(&etcd, Some(&all), "");
    let key = [RESERVED_PREFIX, b"rule"].concat();
    client.put(&key, "{}", &plain()).unwrap();
    assert_eq!(stored(&etcd, "/_cfgstore/rule"), b"{}");
    assert_eq!(client.get(&key).unwrap().unwrap().value, "{}");
}

#[test]
fn what_was_exported_sealed_can_be_put_back() {
    let etcd = Etcd::start();
    let keyring = keyring("one");
    let shop = client(&etcd, Some(&keyring), "/shop/");
    shop.put("secret/a", SECRET, &plain()).unwrap();
    let sealed = stored(&etcd, "/shop/secret/a");
    shop.put("secret/a", sealed.clone(), &plain()).unwrap();
    assert_eq!(shop.get("secret/a").unwrap().unwrap().value, SECRET);
    assert_eq!(
        shop.put("secret/b", sealed, &plain()).unwrap_err().kind,
        ErrorKind::Sealed
    );
}
