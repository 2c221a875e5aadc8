//! A sealed value is in clear nowhere but in the processes that have the keyring: searched byte by byte after a run.

use std::path::Path;

use cfgstore_tests::{Host, HttpConnection, Port};

const SECRET: &str = "CorrectHorse-7c1f0e93-BatteryStaple";

/// What a run of the system leaves: each file and each output, by what it is called.
type Traces = Vec<(String, Vec<u8>)>;

#[test]
fn a_sealed_value_is_in_clear_nowhere() {
    let sealed = traces(true);
    for (place, content) in &sealed {
        for (form, needle) in forms(SECRET) {
            assert!(!holds(content, &needle), "{place} holds the secret ({form})");
        }
    }
    // The same search in the same places finds what was not sealed, so that it would have found what leaked.
    let plain = traces(false);
    for place in ["wal", "mirror", "snapshot", "seed", "etcdctl"] {
        let found = plain.iter().any(|(name, content)| {
            name.contains(place) && forms(SECRET).iter().any(|(_, needle)| holds(content, needle))
        });
        assert!(
            found,
            "nothing found in {place}: {:?}",
            plain.iter().map(|(name, _)| name).collect::<Vec<_>>()
        );
        assert!(
            sealed.iter().any(|(name, _)| name.contains(place)),
            "{place} was not searched"
        );
    }
}

/// Puts by PHP and cfgctl, changes, rotation, reads, a watch, copies of all kinds, a restart; then everything that is there.
fn traces(seal: bool) -> Traces {
    let host = Host::new();
    let keyring = host.path("keys.json");
    if seal {
        let place = keyring.to_str().expect("UTF-8");
        host.cfgctl(&[
            "--keyring",
            place,
            "keys",
            "new",
            "--id",
            "one",
            "--pattern",
            "/shop/secret/*",
        ]);
    }
    let with_keyring: Vec<String> = if seal {
        vec!["--keyring".into(), keyring.display().to_string()]
    } else {
        vec![]
    };
    let cfgctl = |arguments: &[&str]| {
        let with_keyring = with_keyring.iter().map(String::as_str);
        host.cfgctl(&with_keyring.chain(arguments.iter().copied()).collect::<Vec<_>>())
    };
    let php = |code: &str| {
        let mut php = host.php();
        if seal {
            php.arg("-d")
                .arg(format!("cfgstore.keyring={}", keyring.display()));
        }
        let output = php.arg("-r").arg(code).output().expect("php");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let mut traces = Traces::new();
    let port = Port::free();
    let urls = format!("http://127.0.0.1:{}", port.number());
    let mut command = host.cfgstored_command();
    command.args(["--listen-client-urls", &urls, "--log-level", "debug"]);
    let member = host.start_cfgstored(&mut command);
    let read = format!(
        "$c = new Cfgstore\\Client(prefix: '/shop/'); echo $c->get('secret/php')['password'] === '{SECRET}' \
         && $c->get('secret/cfgctl') === '{SECRET}' && count($c->all('secret/')) === 4 ? 'read' : 'lost';"
    );
    php(&format!(
        "$c = new Cfgstore\\Client(prefix: '/shop/'); $c->put('secret/php', ['password' => '{SECRET}']); $c->putBytes('secret/bytes', '{SECRET}'); \
         $c->transaction()->put('secret/batch', ['{SECRET}'])->put('theme', 'dark')->commit(); $c->put('secret/php', ['password' => '{SECRET}', 'n' => 2]);"
    ));
    cfgctl(&["put", "/shop/secret/cfgctl", &format!("\"{SECRET}\"")]);
    assert_eq!(php(&read), "read");
    if seal {
        let rotated = cfgctl(&["keys", "rotate", "--id", "two", "--reseal"]);
        assert!(rotated.contains("4 sealed anew"), "{rotated}");
        traces.push(("output of keys rotate".into(), rotated.into_bytes()));
        traces.push((
            "output of keys list".into(),
            cfgctl(&["keys", "list"]).into_bytes(),
        ));
    }
    assert_eq!(php(&read), "read");
    // What others see, and every kind of copy.
    traces.push((
        "output of etcdctl".into(),
        host.etcdctl(&["get", "--prefix", ""]).into_bytes(),
    ));
    let copies = |name: &str| host.path(name).display().to_string();
    host.cfgctl(&["snapshot", "save", &copies("snapshot.db")]);
    host.cfgctl(&["mirror", "save", &copies("seed.snap")]);
    traces.push((
        "output of php --ri".into(),
        host.php()
            .args(["--ri", "cfgstore"])
            .output()
            .expect("php")
            .stdout,
    ));
    let metrics = HttpConnection::get_once(port.number(), "/metrics").expect("metrics");
    assert!(metrics.body.contains("etcd_"), "{}", metrics.body);
    traces.push(("metrics".into(), metrics.body.into_bytes()));
    collect(&host, &mut traces);
    // Ended in order, it writes its checkpoint; and its log is whole.
    host.signal_servers(libc::SIGTERM);
    assert!(member.wait().success());
    collect(&host, &mut traces);
    traces
}

/// Every file of the host and of its mirror; not the keyring, which is the one secret that may lie there.
fn collect(host: &Host, traces: &mut Traces) {
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("the mirror");
    for (name, folder) in [("host", host.path("")), ("mirror", mirror)] {
        walk(&folder, &mut |path| {
            if let Ok(content) = std::fs::read(path) {
                traces.push((format!("{name}: {}", path.display()), content));
            }
        });
    }
}

fn walk(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), each),
            Ok(kind) if kind.is_file() => each(&entry.path()),
            _ => {}
        }
    }
}

/// The forms in which a text is often written.
fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("as it is", bytes.to_vec()),
        ("its first half", bytes[..bytes.len() / 2].to_vec()),
        (
            "UTF-16, little endian",
            bytes.iter().flat_map(|&byte| [byte, 0]).collect(),
        ),
        (
            "UTF-16, big endian",
            bytes.iter().flat_map(|&byte| [0, byte]).collect(),
        ),
        ("hexadecimal", hex.to_uppercase().into_bytes()),
        ("hexadecimal", hex.into_bytes()),
        ("backwards", bytes.iter().rev().copied().collect()),
    ];
    // In base64, what three bytes look like depends on where they begin.
    for skipped in 0..3 {
        let whole = &bytes[skipped..];
        forms.push(("base64", base64(&whole[..whole.len() / 3 * 3])));
    }
    forms
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes
        .chunks_exact(3)
        .map(|three| u32::from_be_bytes([0, three[0], three[1], three[2]]));
    groups
        .flat_map(|bits| [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift) as usize & 63]))
        .collect()
}

fn holds(content: &[u8], needle: &[u8]) -> bool {
    let (first, rest) = (needle[0], &needle[1..]);
    let mut from = 0;
    while let Some(at) = content[from..].iter().position(|&byte| byte == first) {
        from += at + 1;
        if content[from..].starts_with(rest) {
            return true;
        }
    }
    false
}
