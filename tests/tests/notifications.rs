//! Who is told of changes: by processes, over real sockets, whatever ends meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use cfgstore_tests::{
    Authority, Begins, Cluster, Host, HttpSink, Kind, MemberClient, Posted, SmtpSink, build_folder,
    wait_until,
};
use serde_json::Value;

const SECRET: &str = "correct-horse-battery-staple";
/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `cfgctl` with these endpoints, and answers what it printed.
fn cfgctl(endpoints: &[String], arguments: &[&str]) -> String {
    let output = Command::new(build_folder().join("cfgctl"))
        .args(["--endpoints", &endpoints.join(",")])
        .args(arguments)
        .output()
        .expect("cfgctl");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Writes a secret where the members that are given this folder find it as `file:NAME`.
fn write_secret(folder: &Path, name: &str, secret: &str) -> PathBuf {
    let dir = folder.join("secrets");
    std::fs::create_dir_all(&dir).expect("folder of secrets");
    std::fs::write(dir.join(name), secret).expect("secret");
    dir
}

fn body(posted: &Posted) -> Value {
    serde_json::from_slice(&posted.body).expect("JSON")
}

fn revision(posted: &Posted) -> i64 {
    body(posted)["revision"].as_i64().expect("a revision")
}

/// What the only rule, or the one of this name, says of itself.
fn rule(listed: &str, name: &str) -> Value {
    let listed: Value = serde_json::from_str(listed).expect("JSON");
    let rules = listed["notifications"].as_array().expect("rules").clone();
    let found = rules.into_iter().find(|rule| rule["name"] == name);
    found.expect("the rule")
}

#[test]
fn a_webhook_hears_of_every_change_in_order_though_leaders_are_killed() {
    let secrets = tempfile::tempdir().expect("folder");
    let dir = write_secret(secrets.path(), "hook", SECRET);
    let flags = ["--notify-secrets-dir", dir.to_str().expect("a path")];
    let mut cluster = Cluster::with_flags(3, Kind::Cfgstored, &flags);
    let sink = HttpSink::start();
    let url = sink.url("/hook");
    let set = [
        "notify",
        "set",
        "ops",
        "--webhook",
        &url,
        "--secret",
        "file:hook",
        "--prefix",
        "app/",
    ];
    cfgctl(&cluster.endpoints(), &set);

    let mut acknowledged = Vec::new();
    for round in 0..2 {
        let leader = cluster.leader();
        let client = cluster.client(cluster.follower());
        for number in 0..20 {
            acknowledged.push(put(&client, &format!("app/{round}/{number}")));
            put(&client, &format!("other/{number}"));
        }
        // With what was delivered last not yet recorded, most likely.
        cluster.kill(leader);
        let survivor = cluster.leader();
        acknowledged.push(put(&cluster.client(survivor), &format!("app/{round}/after")));
        cluster.start_member(leader);
        cluster.wait_serving(leader);
    }

    let mut firsts: Vec<i64> = Vec::new();
    while firsts.last() != acknowledged.last() {
        let posted = sink.next();
        let signed_at = posted.header("cfgstore-signature").expect("a signature");
        let secs: i64 = signed_at[2..]
            .split(',')
            .next()
            .expect("t=")
            .parse()
            .expect("a number");
        assert_eq!(signed_at, cfgstore_notify::signature(SECRET, secs, &posted.body));
        let revision = revision(&posted);
        let id = posted.header("cfgstore-delivery").expect("an id");
        assert!(id.starts_with(&format!("ops.{revision}.")), "{id}");
        if !firsts.contains(&revision) {
            firsts.push(revision);
        }
    }
    assert!(firsts.is_sorted(), "out of order: {firsts:?}");
    for revision in &acknowledged {
        assert!(firsts.contains(revision), "revision {revision} is missing");
    }
    let last = acknowledged[acknowledged.len() - 1];
    cluster.wait_until("recorded", || {
        let listed = cfgctl(&cluster.endpoints(), &["--json", "notify", "list"]);
        rule(&listed, "ops")["done_through_revision"].as_i64() >= Some(last)
    });
}

/// Writes, as often as it takes: a leader may have been killed a moment ago.
fn put(client: &MemberClient, key: &str) -> i64 {
    let mut revision = 0;
    wait_until("a write", || {
        let written = client.put(key.as_bytes(), b"1");
        revision = written.unwrap_or(0);
        revision > 0
    });
    revision
}

#[test]
fn whoever_writes_everybody_is_told_and_no_secret_shows() {
    let host = Host::new();
    let sink = HttpSink::start();
    let mails = SmtpSink::start();
    let dir = write_secret(&host.path(""), "hook", SECRET);
    write_secret(&host.path(""), "smtp", SECRET);
    let slack_secret = "T0-B0-battery-staple-slack";
    write_secret(
        &host.path(""),
        "slack",
        &sink.url(&format!("/services/{slack_secret}")),
    );
    let server = host.cfgstored(&[
        "--notify-secrets-dir",
        dir.to_str().expect("a path"),
        "--log-level",
        "debug",
    ]);
    let (url, smtp) = (sink.url("/hook"), mails.url());
    let set = |rest: &[&str]| host.cfgctl(&[&["notify", "set"], rest].concat());
    set(&[
        "hook",
        "--prefix",
        "app/",
        "--webhook",
        &url,
        "--secret",
        "file:hook",
        "--values",
    ]);
    set(&["chat", "--prefix", "app/", "--slack", "file:slack"]);
    let to = "a@example.com,b@example.com";
    set(&[
        "mail",
        "--prefix",
        "app/",
        "--kinds",
        "delete",
        "--smtp",
        &smtp,
        "--from",
        "c@example.com",
        "--to",
        to,
        "--user",
        "me",
        "--password",
        "file:smtp",
    ]);
    set(&[
        "absent",
        "--prefix",
        "app/",
        "--webhook",
        &url,
        "--secret",
        "file:absent",
    ]);

    host.etcdctl(&["put", "app/x", r#"{"$sealed":"v1.k1.NONCE.CIPHERTEXT"}"#]);
    let mut posted = [sink.next(), sink.next()];
    posted.sort_by_key(|posted| posted.path.len());
    assert_eq!(posted[0].path, "/hook");
    let change = &body(&posted[0])["changes"][0];
    assert_eq!(change["key"], "app/x");
    assert_eq!(
        change["value"],
        serde_json::json!({"sealed": true, "key_id": "k1"})
    );
    assert!(posted[1].path.ends_with(slack_secret));
    let text = body(&posted[1])["text"].to_string();
    assert!(
        text.contains("create app/x") && !text.contains("CIPHERTEXT"),
        "{text}"
    );

    host.etcdctl(&["del", "app/x"]);
    let mail = mails.next();
    assert!(mail.data.contains("delete app/x"), "{}", mail.data);
    assert!(!mail.auth.is_empty());

    let list = || host.cfgctl(&["--json", "notify", "list"]);
    wait_until("trouble", || {
        rule(&list(), "absent")["trouble"]
            .as_str()
            .is_some_and(|text| text.contains("file:absent"))
    });
    assert_eq!(rule(&list(), "hook")["trouble"], "");
    host.cfgctl(&["notify", "remove", "absent"]);
    server.signal(15);
    server.wait();
    let mut searched = 0;
    for entry in files_below(&host.data_dir())
        .into_iter()
        .chain([host.path("cfgstored.err")])
    {
        let bytes = std::fs::read(&entry).expect("a file");
        searched += bytes.len();
        for secret in [SECRET, slack_secret] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "a secret is in {}", entry.display());
        }
    }
    assert!(searched > 0);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let meta = path.symlink_metadata().expect("metadata");
        if meta.is_dir() {
            files.extend(files_below(&path));
        } else if meta.is_file() {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_target_that_is_down_is_told_later_and_others_meanwhile() {
    let host = Host::new();
    let _server = host.cfgstored(&[]);
    let gone = HttpSink::start();
    let (port, down) = (gone.port(), gone.url("/"));
    drop(gone);
    let up = HttpSink::start();
    host.cfgctl(&["notify", "set", "down", "--prefix", "app/", "--webhook", &down]);
    host.cfgctl(&[
        "notify",
        "set",
        "up",
        "--prefix",
        "app/",
        "--webhook",
        &up.url("/"),
    ]);
    let written: Vec<i64> = (0..5)
        .map(|number| {
            let printed = host.cfgctl(&["put", &format!("app/{number}"), "1"]);
            let revision = printed.trim().rsplit(' ').next().expect("a word");
            revision.parse().expect("a revision")
        })
        .collect();
    for expected in &written {
        assert_eq!(revision(&up.next()), *expected);
    }
    wait_until("trouble", || {
        let listed = host.cfgctl(&["--json", "notify", "list"]);
        rule(&listed, "down")["trouble"]
            .as_str()
            .is_some_and(|text| text.contains("127.0.0.1"))
    });
    let back = HttpSink::answering(port, |_| "200 OK".to_owned());
    for expected in &written {
        assert_eq!(revision(&back.next()), *expected);
    }
}

/// It comes while a message is on its way that was found together with later changes, which are not the rule's.
#[test]
fn a_change_during_a_delivery_is_told_though_nothing_follows_it() {
    let host = Host::new();
    let _server = host.cfgstored(&[]);
    let (arrived, arrivals) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let sink = HttpSink::answering(0, move |posted| {
        let _ = arrived.send(revision(posted));
        let _ = answers.recv_timeout(PATIENCE);
        "200 OK".to_owned()
    });
    let url = sink.url("/");
    host.cfgctl(&["notify", "set", "ops", "--prefix", "app/", "--webhook", &url]);
    let put = |key: &str| -> i64 {
        let printed = host.cfgctl(&["put", key, "1"]);
        let revision = printed.trim().rsplit(' ').next().expect("a word");
        revision.parse().expect("a revision")
    };
    let mut expected = put("app/1");
    for changes in [["app/2", "other"].as_slice(), &["app/3"], &[]] {
        assert_eq!(arrivals.recv_timeout(PATIENCE), Ok(expected));
        let made: Vec<i64> = changes.iter().map(|key| put(key)).collect();
        answer.send(()).expect("the sink is there");
        expected = made.first().copied().unwrap_or_default();
    }
}

#[test]
fn what_is_given_up_is_a_dead_letter_that_can_be_sent_again() {
    let host = Host::new();
    let _server = host.cfgstored(&["--notify-give-up-after", "0"]);
    // It refuses once.
    let mut answers = ["500 Oops"].into_iter();
    let sink = HttpSink::answering(0, move |_| answers.next().unwrap_or("200 OK").to_owned());
    host.cfgctl(&[
        "notify",
        "set",
        "ops",
        "--prefix",
        "app/",
        "--webhook",
        &sink.url("/?token=hunter2"),
    ]);
    for key in ["app/a", "app/b"] {
        host.cfgctl(&["put", key, "1"]);
    }
    let (refused, taken) = (sink.next(), sink.next());
    assert_eq!(body(&taken)["changes"][0]["key"], "app/b");
    let letters = host.cfgctl(&["--json", "notify", "dead-letters", "ops"]);
    let letter: Value = serde_json::from_str(&letters).expect("one letter");
    assert_eq!(letter["from_revision"], revision(&refused));
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("127.0.0.1 answered 500") && !reason.contains("hunter2"),
        "{reason}"
    );

    let printed = host.cfgctl(&["notify", "retry", "ops"]);
    assert_eq!(printed.trim(), "1 delivered, 0 dead letters left");
    let again = sink.next();
    assert_eq!(
        again.header("cfgstore-delivery"),
        refused.header("cfgstore-delivery")
    );
    assert_eq!(again.body, refused.body);
    assert_eq!(host.cfgctl(&["notify", "dead-letters"]), "");
}

#[test]
fn tls_is_spoken_with_those_whom_a_known_authority_vouches_for() {
    let host = Host::new();
    let secrets = write_secret(&host.path(""), "smtp", SECRET);
    let authority = Authority::new();
    let (sink, mails, more_mails) = (HttpSink::start(), SmtpSink::start(), SmtpSink::start());
    let https = authority.front(sink.port(), Begins::AtOnce);
    let smtps = authority.front(mails.port(), Begins::AtOnce);
    let starttls = authority.front(more_mails.port(), Begins::WithStartTls);
    let start = |roots: Option<PathBuf>| {
        let mut command = host.cfgstored_command();
        command
            .arg("--notify-secrets-dir")
            .arg(&secrets)
            .env_remove("SSL_CERT_DIR")
            .env_remove("SSL_CERT_FILE");
        if let Some(file) = roots {
            command.env("SSL_CERT_FILE", file);
        }
        host.start_cfgstored(&mut command)
    };

    let server = start(None);
    let set = |name: &str, target: &[&str]| {
        host.cfgctl(&[&["notify", "set", name, "--prefix", "app/"], target].concat());
    };
    let from_to = ["--from", "a@example.com", "--to", "b@example.com"];
    let login = ["--user", "me", "--password", "file:smtp"];
    let url = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
    set("hook", &["--webhook", &url("https", https.port())]);
    let smtp = |name: &str, url: &str| set(name, &[&["--smtp", url], &from_to[..], &login].concat());
    smtp("mail", &url("smtps", smtps.port()));
    smtp("more", &url("smtp+starttls", starttls.port()));
    host.cfgctl(&["put", "app/a", "1"]);
    for name in ["hook", "mail", "more"] {
        wait_until("trouble with a certificate of an unknown authority", || {
            let listed = host.cfgctl(&["--json", "notify", "list"]);
            let trouble = rule(&listed, name)["trouble"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            trouble.contains("127.0.0.1") && trouble.contains("invalid peer certificate: UnknownIssuer")
        });
    }
    assert!(sink.try_next().is_none() && mails.try_next().is_none() && more_mails.try_next().is_none());
    server.signal(15);
    server.wait();

    // What was not sent is, once the authority is known.
    let _server = start(Some(authority.certificate_file()));
    assert_eq!(body(&sink.next())["changes"][0]["key"], "app/a");
    for mails in [mails, more_mails] {
        let mail = mails.next();
        assert!(
            mail.data.contains("create app/a") && mail.auth.starts_with("PLAIN "),
            "{mail:?}"
        );
    }
}

/// A script that appends what it is told to a file, in one line, unless a file `fail` is there, which it removes.
fn hook(host: &Host) -> PathBuf {
    let path = host.path("hook.sh");
    let folder = host.path("");
    let script = format!(
        "#!/bin/sh\ncd {}\nif rm fail 2>/dev/null; then exit 3; fi\necho \"$CFGSTORE_PREFIX $CFGSTORE_CHANGES $CFGSTORE_MISSED \
         $CFGSTORE_SECRET_X $(cat)\" >>told\n",
        folder.display()
    );
    std::fs::write(&path, script).expect("script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

#[test]
fn a_command_of_the_host_is_told_also_of_what_happened_while_it_did_not_run() {
    let host = Host::new();
    let flag = format!("app/={}", hook(&host).display());
    let start = || {
        let mut command = host.cfgstored_command();
        command
            .args(["--on-change", &flag])
            .env("CFGSTORE_SECRET_X", "hunter2");
        host.start_cfgstored(&mut command)
    };
    let told = || std::fs::read_to_string(host.path("told")).unwrap_or_default();
    let server = start();
    wait_until("the hook's first position", || {
        host.data_dir().join("hooks").exists()
    });
    host.cfgctl(&["put", "other", "1"]);
    host.cfgctl(&["put", "app/a", r#"{"n": 1}"#]);
    wait_until("app/a", || told().contains(r#""key":"app/a""#));
    let first = told();
    assert!(first.starts_with("app/ 1 0  {"), "{first}");
    assert!(
        first.contains(r#""value":{"n":1}"#) && !first.contains("other"),
        "{first}"
    );

    // A run that fails is repeated, and lines that it prints are logged.
    std::fs::write(host.path("fail"), "").expect("file");
    host.cfgctl(&["put", "app/b", "2"]);
    wait_until("app/b", || told().contains("app/b"));
    server.signal(15);
    server.wait();

    // Without its hook.
    let server = host.cfgstored(&[]);
    host.cfgctl(&["put", "app/c", "3"]);
    server.signal(15);
    server.wait();
    let _server = start();
    wait_until("app/c", || told().contains("app/c"));
    assert!(!told().contains("hunter2"));
    let log = std::fs::read_to_string(host.path("cfgstored.err")).expect("log");
    assert!(log.contains("ended with exit status: 3"), "{log}");
}

#[test]
fn a_command_that_does_not_end_is_killed() {
    let host = Host::new();
    let pid_file = host.path("pid");
    let script = host.path("stuck.sh");
    let text = format!("#!/bin/sh\nsleep 1000 &\necho $! >{}\nwait\n", pid_file.display());
    std::fs::write(&script, text).expect("script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let flag = format!("app/={}", script.display());
    let _server = host.cfgstored(&["--on-change", &flag, "--on-change-timeout", "200ms"]);
    wait_until("the hook's first position", || {
        host.data_dir().join("hooks").exists()
    });
    host.cfgctl(&["put", "app/a", "1"]);
    let log = || std::fs::read_to_string(host.path("cfgstored.err")).unwrap_or_default();
    wait_until("the kill", || log().contains("was killed after"));
    let pid: u32 = std::fs::read_to_string(&pid_file)
        .expect("pid")
        .trim()
        .parse()
        .expect("a number");
    wait_until("the end of what it had started", || {
        // A later run has written another one, or this one is gone.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let newer = std::fs::read_to_string(&pid_file).is_ok_and(|text| text.trim() != pid.to_string());
        newer || state.is_empty() || state.contains(") Z ")
    });
}
