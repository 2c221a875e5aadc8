//! Bad input of every kind ends in a clear typed error, and loses nothing. (What the parts refuse by themselves is
//! tested beside them; here it is what a user meets in PHP and at the start of cfgstored.)

use cfgstore_client::{PutOptions, Range};
use cfgstore_tests::{Host, Process};
use std::path::{Path, PathBuf};

/// Runs PHP code that should throw, and returns "Class: message".
fn thrown(host: &Host, code: &str) -> String {
    let text = host.php_code(&format!(
        "$config = new Cfgstore\\Client(); try {{ {code}; echo 'nothing thrown'; }} \
         catch (Throwable $e) {{ echo get_class($e), ': ', $e->getMessage(); }}"
    ));
    text.trim().to_owned()
}

#[test]
fn values_and_keys_php_cannot_store() {
    let host = Host::new();
    host.php_code("(new Cfgstore\\Client())->put('kept', 1);");
    for (code, class) in [
        ("$config->put('', 1)", "InvalidArgumentException"),
        ("$config->put(str_repeat('k', 65537), 1)", "TooLargeException"),
        (
            "$config->put('big', str_repeat('x', 2 << 20))",
            "TooLargeException",
        ),
        ("$config->put('text', \"\\xff\\xfe\")", "EncodingException"),
        (
            "$config->put('handle', ['a' => fopen('php://memory', 'r')])",
            "EncodingException",
        ),
        (
            "$config->put('closure', ['a' => fn () => 1])",
            "EncodingException",
        ),
        (
            "$a = []; $a['a'] = &$a; $config->put('loop', $a)",
            "EncodingException",
        ),
        (
            "$config->put('nan', ['deep' => ['er' => NAN]])",
            "EncodingException",
        ),
        ("$config->get('absent')", "KeyNotFoundException"),
        ("$config->put('kept', 2, ifRevision: 1)", "ConflictException"),
        ("$config->get('')", "InvalidArgumentException"),
    ] {
        let text = thrown(&host, code);
        assert!(
            text.starts_with(&format!("Cfgstore\\Exception\\{class}: ")),
            "{code}: {text}"
        );
        assert!(
            text.len() > class.len() + 40,
            "{code}: a message that says what to do: {text}"
        );
    }
    assert_eq!(
        host.php_code("echo json_encode((new Cfgstore\\Client())->all());"),
        r#"{"kept":1}"#
    );
}

#[test]
fn an_unknown_setting_value_is_refused() {
    let host = Host::new();
    for setting in [
        "cfgstore.value_mode=sometimes",
        "cfgstore.on_stale=maybe",
        "cfgstore.timeout=soon",
    ] {
        let output = host
            .php()
            .args(["-d", setting, "-r", "new Cfgstore\\Client();"])
            .output()
            .expect("php");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let name = setting.split('=').next().expect("a name");
        assert!(text.contains(name), "{setting}: {text}");
    }
}

const SECTOR: usize = 512;

fn wal_segments(host: &Host) -> Vec<PathBuf> {
    let files = std::fs::read_dir(host.data_dir().join("wal"))
        .expect("wal")
        .flatten()
        .map(|entry| entry.path());
    let mut segments: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    segments.sort();
    segments
}

/// Where the last record of a written, preallocated segment ends: after its last byte that is not zero.
fn written_length(segment: &Path) -> usize {
    let bytes = std::fs::read(segment).expect("segment");
    bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1)
}

/// What `cfgstored` says when it refuses to start.
fn refusal(host: &Host) -> String {
    let said = host.path("refusal");
    let log = std::fs::File::create(&said).expect("file");
    let status = Process::spawn(host.cfgstored_command().stderr(log)).wait();
    assert!(!status.success(), "it must not start");
    std::fs::read_to_string(said).expect("what it said")
}

fn overwrite(file: &Path, offset: usize, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().write(true).open(file).expect("open");
    file.write_all_at(bytes, offset as u64).expect("write");
}

#[test]
fn a_damaged_end_of_the_log_is_repaired_and_damage_before_it_is_refused() {
    let host = Host::new();
    let server = host.cfgstored(&[]);
    for n in 0..50 {
        host.client()
            .put(format!("key/{n}"), "value", &PutOptions::default())
            .expect("put");
    }
    server.kill();

    let segment = wal_segments(&host).pop().expect("a segment");
    let end = written_length(&segment);
    overwrite(&segment, end + 64, b"half a record that a power cut left behind");
    let server = host.cfgstored(&[]);
    assert_eq!(
        host.client()
            .range(&Range::prefix("key/"))
            .expect("range")
            .kvs
            .len(),
        50
    );
    server.kill();

    // A whole sector, since what lies between two records is padding.
    let middle = written_length(&segment) / 2 / SECTOR * SECTOR;
    overwrite(&segment, middle, &[0xAA; SECTOR]);
    let text = refusal(&host);
    let name = segment
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert!(text.contains(name), "the file is named: {text}");
    assert!(
        text.contains("backup") || text.contains("restore"),
        "the way out is named: {text}"
    );
}

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let host = Host::new();
    let server = host.cfgstored(&[]);
    let text = refusal(&host);
    assert!(
        text.contains(&server.pid().to_string()),
        "the holder is named: {text}"
    );
    assert!(
        text.contains(&host.data_dir().display().to_string()),
        "the folder is named: {text}"
    );
    assert!(
        !host.cfgctl(&["put", "still", "1"]).is_empty(),
        "the first one still serves"
    );
    server.signal(libc::SIGTERM);
    assert!(server.wait().success(), "a clean end");
}

#[test]
fn a_damaged_mirror_is_an_error_until_the_store_publishes_anew() {
    let host = Host::new();
    host.php_code("(new Cfgstore\\Client())->put('kept', 'value');");
    host.signal_servers(libc::SIGKILL);
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("mirror");
    let mut damaged = 0;
    for file in std::fs::read_dir(&mirror)
        .expect("mirror")
        .flatten()
        .map(|entry| entry.path())
    {
        if file.extension().is_some_and(|extension| extension == "snap") {
            let length = std::fs::metadata(&file).expect("metadata").len();
            std::fs::File::options()
                .write(true)
                .open(&file)
                .and_then(|f| f.set_len(length / 2))
                .expect("truncate");
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    cfgstore_tests::wait_until("the store to be gone", || host.servers().is_empty());
    let text = host.php_code(
        "try { echo (new Cfgstore\\Client())->get('kept'); } catch (Cfgstore\\Exception\\ExceptionInterface $e) { echo get_class($e); }",
    );
    assert!(
        text.starts_with("Cfgstore\\Exception\\CorruptException"),
        "{text}"
    );
    // The first write starts the store, which publishes anew.
    assert_eq!(
        host.php_code("$c = new Cfgstore\\Client(); $c->put('new', 1); echo $c->get('kept');"),
        "value"
    );
}
