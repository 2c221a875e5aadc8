//! `kill -9` of cfgstored under write load: nothing acknowledged is lost, reads go on, writes recover by themselves.

use cfgstore_client::Range;
use cfgstore_tests::{Host, Process, wait_until};
use std::collections::HashSet;

const KILLS: usize = 50;

#[test]
fn nothing_acknowledged_is_lost_and_reads_go_on() {
    let host = Host::new();
    let script = |name: &str| format!("{}/php/{name}", env!("CARGO_MANIFEST_DIR"));
    host.php_code("(new Cfgstore\\Client())->put('counter', 0);");
    let stop = host.path("stop");
    let start = |name: &str| {
        let process = Process::spawn(host.php().arg(script(name)).arg(&stop));
        process.line_with("ready");
        process
    };
    let reader = start("reader.php");
    let writer = start("writer.php");

    let (mut acknowledged, mut unknown, mut refused) = (HashSet::new(), 0, 0);
    let mut classes = HashSet::new();
    let mut count = |line: String| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["acknowledged", n] => {
                acknowledged.insert(n.parse::<u64>().expect("a number"));
            }
            ["unknown", _, class] => {
                unknown += 1;
                classes.insert(class.to_owned());
            }
            ["refused", _, class] => {
                refused += 1;
                classes.insert(class.to_owned());
            }
            _ => panic!("the writer printed {line:?}"),
        }
        words[0] == "acknowledged"
    };
    for _ in 0..KILLS {
        let mut writes = 0;
        while writes < 20 {
            writes += usize::from(count(writer.line().expect("the writer lives")));
        }
        let before = host.servers();
        assert_eq!(before.len(), 1, "one store: {before:?}");
        host.signal_servers(libc::SIGKILL);
        wait_until("the killed process to be gone", || {
            !host.servers().contains(&before[0])
        });
    }
    std::fs::write(&stop, "").expect("stop file");
    loop {
        let line = writer.line().expect("the writer ends by itself");
        if line == "done" {
            break;
        }
        count(line);
    }
    let reads = reader.line_with("reads");
    assert!(reader.wait().success(), "reads went on: {reads}");

    // Nobody may have written since the last kill.
    host.php_code("(new Cfgstore\\Client())->put('end', true);");
    let client = host.client();
    let stored: HashSet<u64> = client
        .range(&Range::prefix("written/"))
        .expect("range")
        .kvs
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.value).parse().expect("a number"))
        .collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged writes were lost: {lost:?}");
    println!(
        "{KILLS} kills: {} writes acknowledged, {refused} refused, {unknown} unknown ({classes:?}), {} stored; {reads}",
        acknowledged.len(),
        stored.len()
    );
}
