//! Where keyrings come from, and what is refused.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cfgstore_seal::{
    Keyring, KeyringError, LiveKeyring, MAX_ID_BYTES, MAX_KEYRING_BYTES, MAX_KEYS, MAX_PATTERNS, Pattern,
    SealError, Source,
};

fn keyring() -> Keyring {
    Keyring::generate("one", vec![Pattern::parse("/secret/*").unwrap()]).unwrap()
}

fn write(path: &Path, keyring: &Keyring) {
    fs::write(path, keyring.to_json().as_bytes()).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn source(text: &str) -> Source {
    Source::parse(OsStr::new(text)).unwrap()
}

fn problem(json: &str) -> String {
    Keyring::parse(json.as_bytes(), "here").unwrap_err().to_string()
}

fn secret(keyring: &Keyring) -> String {
    let json: serde_json::Value = serde_json::from_str(&keyring.to_json()).unwrap();
    json["keys"]["one"].as_str().unwrap().to_owned()
}

#[test]
fn a_keyring_is_read_from_a_file_a_variable_and_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    write(&path, &keyring());
    let sealed = source(path.to_str().unwrap())
        .load()
        .unwrap()
        .seal(b"k", b"v")
        .unwrap();
    let command = source(&format!("command:cat  {}", path.display()));
    assert_eq!(command.load().unwrap().open(b"k", &sealed).unwrap(), b"v");
    let unset = source("env:CFGSTORE_TEST_NO_SUCH_VARIABLE");
    for unset in [unset.clone(), unset.captured()] {
        assert!(unset.load().unwrap_err().to_string().contains("not set"));
    }
    // It is read, though it holds something else.
    for set in [source("env:PATH"), source("env:PATH").captured()] {
        assert!(
            set.load()
                .unwrap_err()
                .to_string()
                .contains("PATH is not usable: it is no JSON")
        );
    }
}

#[test]
fn sources_that_make_no_sense_are_refused() {
    for bad in ["", "env:", "env:A=B", "command:", "command:  ", "/a\0b"] {
        let error = Source::parse(OsStr::new(bad)).unwrap_err();
        assert!(error.to_string().contains("expected a file's path"), "{error}");
    }
}

#[test]
fn a_file_that_others_may_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    write(&path, &keyring());
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    for place in [&path, &link] {
        for mode in [0o604, 0o602, 0o601, 0o644, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = source(place.to_str().unwrap()).load().unwrap_err();
            assert!(
                matches!(error, KeyringError::Exposed { mode: found, .. } if found == mode),
                "{error}"
            );
            assert!(error.to_string().contains("chmod 0600"), "{error}");
        }
        for mode in [0o600, 0o640, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            source(place.to_str().unwrap()).load().unwrap();
        }
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    for place in [&pipe, folder.path()] {
        let error = source(place.to_str().unwrap()).load().unwrap_err().to_string();
        assert!(error.contains("no regular file"), "{error}");
    }
    let missing = folder.path().join("missing");
    assert!(matches!(
        source(missing.to_str().unwrap()).load(),
        Err(KeyringError::Unreadable { .. })
    ));
}

#[test]
fn what_is_no_keyring_is_refused_with_the_reason() {
    let key = secret(&keyring());
    let with = |keys: &str| format!("{{\"primary\":\"one\",\"keys\":{{{keys}}},\"patterns\":[]}}");
    assert!(
        Keyring::parse(
            with(&format!("\"one\":\"{}\"", key.replace('/', "\\/"))).as_bytes(),
            "here"
        )
        .is_ok()
    );
    assert!(problem("").contains("too early"));
    assert!(problem("primary = one").contains("no JSON"));
    assert!(problem("[]").contains("another form"));
    assert!(problem("{\"primary\":\"one\",\"keys\":{}}").contains("another form"));
    assert!(problem(&with("")).contains("primary key \"one\" is not among"));
    assert!(problem(&with("\"one\":\"AAAA\"")).contains("32 bytes"));
    assert!(problem(&with(&format!("\"one\":\"{key}\",\"one\":\"{key}\""))).contains("twice"));
    assert!(
        problem(&with(&format!("\"one\":\"{key}\",\"a.b\":\"{key}\""))).contains("an id in \"keys\" is none")
    );
    assert!(
        problem(&with(&format!("\"one\":\"{key}\"")).replace("patterns", "pattern")).contains("another form")
    );
    assert!(
        problem(&with(&format!("\"one\":\"{key}\"")).replace("[]", "[\"/a/*/b\"]")).contains("not its end")
    );
    assert!(problem("").contains("here"));
}

#[test]
fn keyrings_are_bounded() {
    let key = secret(&keyring());
    let keys = |count: usize| {
        (0..count)
            .map(|n| format!(",\"k{n}\":\"{key}\""))
            .collect::<String>()
    };
    let patterns = |count: usize| vec!["\"/a\""; count].join(",");
    let json = |extra: usize, count: usize| {
        format!(
            "{{\"primary\":\"one\",\"keys\":{{\"one\":\"{key}\"{}}},\"patterns\":[{}]}}",
            keys(extra),
            patterns(count)
        )
    };
    let mut full = Keyring::parse(json(MAX_KEYS - 1, MAX_PATTERNS).as_bytes(), "here").unwrap();
    assert!(full.add("more").unwrap_err().contains("64 keys"));
    assert!(problem(&json(MAX_KEYS, 0)).contains("more than 64 keys"));
    assert!(problem(&json(0, MAX_PATTERNS + 1)).contains("more than 1000 patterns"));
    assert!(problem(&" ".repeat(MAX_KEYRING_BYTES + 1)).contains("more than 1048576 bytes"));
    assert!(keyring().add(&"i".repeat(MAX_ID_BYTES)).is_ok());
    for bad in [
        String::new(),
        "i".repeat(MAX_ID_BYTES + 1),
        "a.b".into(),
        "ä".into(),
        "a b".into(),
    ] {
        assert!(keyring().add(&bad).is_err(), "{bad}");
    }
    assert!(keyring().add("one").unwrap_err().contains("already"));
}

#[test]
fn no_secret_is_shown() {
    let keyring = keyring();
    let key = secret(&keyring);
    let live = LiveKeyring::new(source("command:vault --token hvs.s3cret"));
    let mut shown = format!("{keyring:?} {live:?} {:?}", LiveKeyring::fixed(keyring.clone()));
    // In the wrong place each.
    for json in [
        format!("{{\"primary\":\"{key}\",\"keys\":{{\"one\":\"{key}\"}},\"patterns\":[]}}"),
        format!("{{\"primary\":\"one\",\"{key}\":{{}}}}"),
        format!("{{\"primary\":\"one\",\"keys\":\"{key}\"}}"),
        format!("\"{key}\""),
        format!("{{\"primary\":\"one\",\"keys\":{{\"one\":\"{key}AAAA\"}},\"patterns\":[]}}"),
    ] {
        shown += &problem(&json);
    }
    assert!(!shown.contains(&key[5..]) && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_changed_file_is_noticed_by_a_running_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let mut keyring = keyring();
    write(&path, &keyring);
    let live = LiveKeyring::new(source(path.to_str().unwrap()));
    let old = live.seal(b"/secret/a", b"1").unwrap().unwrap();

    keyring.add("two").unwrap();
    keyring.set_primary("two").unwrap();
    let new = keyring.seal(b"/secret/a", b"2").unwrap();
    assert!(matches!(live.open(b"/secret/a", &new), Err(SealError::MissingKey { id, .. }) if id == "two"));
    write(&path, &keyring);
    assert_eq!(live.open(b"/secret/a", &new).unwrap().unwrap(), b"2");
    assert_eq!(live.open(b"/secret/a", &old).unwrap().unwrap(), b"1");

    keyring.drop_key("one").unwrap();
    write(&path, &keyring);
    let sealed = live.seal(b"/secret/a", b"3").unwrap().unwrap();
    assert_eq!(cfgstore_seal::key_id_of(&sealed), Some("two"));
}

#[test]
fn a_file_that_is_broken_stops_writes_and_not_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let live = LiveKeyring::new(source(path.to_str().unwrap()));
    assert!(matches!(
        live.seal(b"/other", b"1"),
        Err(SealError::NoKeyring { .. })
    ));
    assert_eq!(live.open(b"/other", b"1").unwrap(), None);
    assert!(
        live.open(b"/secret/a", &keyring().seal(b"/secret/a", b"1").unwrap())
            .is_err()
    );
    write(&path, &keyring());
    let sealed = live.seal(b"/secret/a", b"1").unwrap().unwrap();
    fs::write(&path, "{").unwrap();
    assert!(matches!(
        live.seal(b"/secret/a", b"1"),
        Err(SealError::NoKeyring { .. })
    ));
    assert!(live.seal(b"/other", b"1").is_err());
    assert_eq!(live.open(b"/secret/a", &sealed).unwrap().unwrap(), b"1");
}

#[test]
fn a_command_that_fails_is_not_run_at_each_read() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let script = folder.path().join("script");
    fs::write(&script, format!("echo run >> {}\nexit 3\n", runs.display())).unwrap();
    let live = LiveKeyring::new(source(&format!("command:sh {}", script.display())));
    for _ in 0..3 {
        let error = live.seal(b"/secret/a", b"1").unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\n");
}

#[test]
fn one_that_is_renewed_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let keyring = keyring();
    write(&path, &keyring);
    for live in [
        LiveKeyring::new(source(path.to_str().unwrap())),
        LiveKeyring::fixed(keyring.clone()),
    ] {
        let sealed = live.seal(b"/secret/a", b"1").unwrap().unwrap();
        assert_eq!(live.renewed().open(b"/secret/a", &sealed).unwrap().unwrap(), b"1");
        assert!(
            live.renewed()
                .renewed()
                .seal(b"/secret/a", b"1")
                .unwrap()
                .is_some()
        );
    }
}
