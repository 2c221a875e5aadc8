//! `kill -9` of cfgstored under write load: nothing acknowledged is lost, what was refused is nowhere, reads go on, writes recover
//! by themselves.

use cfgstore_client::Range;
use cfgstore_tests::{Host, Process, wait_until};
use std::collections::HashSet;

const KILLS: usize = 50;
const WRITES_BETWEEN_KILLS: usize = 20;

/// What the writer was told of its puts.
#[derive(Default)]
struct Fates {
    acknowledged: HashSet<u64>,
    /// Certainly not written.
    refused: HashSet<u64>,
    /// Written or not.
    unknown: HashSet<u64>,
    /// Classes of the exceptions, of the puts of the counter too.
    classes: HashSet<String>,
}

impl Fates {
    /// Counts a line of the writer, and returns N when it acknowledges `written/N`.
    fn count(&mut self, line: &str) -> Option<u64> {
        let mut words = line.split(' ');
        let (Some(fate), Some(key), class) = (words.next(), words.next(), words.next()) else {
            panic!("the writer printed {line:?}");
        };
        self.classes.extend(class.map(str::to_owned));
        let n = key.strip_prefix("written/")?.parse().expect(line);
        let of_fate = match (fate, class) {
            ("acknowledged", None) => &mut self.acknowledged,
            ("refused", Some(_)) => &mut self.refused,
            ("unknown", Some(_)) => &mut self.unknown,
            _ => panic!("the writer printed {line:?}"),
        };
        assert!(of_fate.insert(n), "told twice: {line}");
        (fate == "acknowledged").then_some(n)
    }

    /// Reads on until so many more writes are acknowledged, and returns the last.
    fn wait_for_writes(&mut self, writer: &Process, writes: usize) -> u64 {
        let mut acknowledged = 0;
        loop {
            let line = writer.line().expect("the writer lives");
            if let Some(n) = self.count(&line) {
                acknowledged += 1;
                if acknowledged == writes {
                    return n;
                }
            }
        }
    }
}

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

    let mut fates = Fates::default();
    let mut last = fates.wait_for_writes(&writer, WRITES_BETWEEN_KILLS);
    for _ in 0..KILLS {
        let before = host.servers();
        assert_eq!(before.len(), 1, "one store: {before:?}");
        host.signal_servers(libc::SIGKILL);
        wait_until("the killed process to be gone", || {
            !host.servers().contains(&before[0])
        });
        // The same process, with the same client, writes and reads on.
        last = fates.wait_for_writes(&writer, WRITES_BETWEEN_KILLS).max(last);
        while !sees_at_least(&reader, last) {}
    }
    std::fs::write(&stop, "").expect("stop file");
    loop {
        let line = writer.line().expect("the writer ends by itself");
        if line == "done" {
            break;
        }
        fates.count(&line);
    }
    assert!(writer.wait().success());
    let reads = reader.line_with("reads: ");
    assert!(reader.wait().success());

    // Nobody may have written since the last kill.
    host.php_code("(new Cfgstore\\Client())->put('end', true);");
    let client = host.client();
    let stored: HashSet<u64> = client
        .range(&Range::prefix("written/"))
        .expect("range")
        .kvs
        .iter()
        .map(|entry| {
            let value = String::from_utf8_lossy(&entry.value);
            assert_eq!(
                String::from_utf8_lossy(&entry.key),
                format!("written/{value}"),
                "a value below its own key"
            );
            value.parse().expect("a number")
        })
        .collect();
    let Fates {
        acknowledged,
        refused,
        unknown,
        classes,
    } = &fates;
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged writes were lost: {lost:?}");
    let written: Vec<_> = refused.intersection(&stored).collect();
    assert!(
        written.is_empty(),
        "these were said to be not written, and are there: {written:?}"
    );
    assert!(
        stored
            .iter()
            .all(|n| acknowledged.contains(n) || unknown.contains(n)),
        "something is stored that the writer never wrote"
    );
    assert!(
        refused.len() + unknown.len() > 0,
        "no kill met a write: nothing was tested"
    );
    let expected =
        ["UnavailableException", "TimeoutException"].map(|name| format!("Cfgstore\\Exception\\{name}"));
    assert!(
        classes.iter().all(|class| expected.contains(class)),
        "unexpected exceptions: {classes:?}"
    );
    println!(
        "{KILLS} kills: {} writes acknowledged, {} refused, {} unknown ({classes:?}), {} stored; {reads}",
        acknowledged.len(),
        refused.len(),
        unknown.len(),
        stored.len()
    );
}

/// Reads the reader's next line: whether it sees what was written as `n`, or later.
fn sees_at_least(reader: &Process, n: u64) -> bool {
    let line = reader.line().expect("the reader lives");
    let seen = line
        .strip_prefix("sees ")
        .unwrap_or_else(|| panic!("the reader {line}"));
    seen.parse::<u64>().expect("a number") >= n
}
