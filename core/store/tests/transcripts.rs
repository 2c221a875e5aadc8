//! Readable scripts: commands in `tests/transcripts/*.txt`, each followed by the output it must have.
//!
//! A command starts with `> `; lines starting with `>` and more spaces continue it. What follows, up to an empty line,
//! a comment (`#`) or the next command, is its output. `UPDATE_TRANSCRIPTS=1` rewrites the output in the files. Words
//! may be quoted, with Rust's escapes for bytes (`"a\0"`); `{`, `}` and `;` stand alone.
//!
//! ```text
//! put KEY VALUE [lease=ID] [prev] [ignore_value] [ignore_lease]
//! del KEY [END] [prefix] [from] [prev]
//! get KEY [END] [prefix] [from] [rev=N] [limit=N] [order=asc|desc] [sort=version|create|mod|value] [keys_only]
//!         [count_only] [min_mod=N] [max_mod=N] [min_create=N] [max_create=N]
//! txn if { COMPARE ; … } then { OP ; … } else { OP ; … }      OP is put, del, get or txn; "if", "else" may be left out
//!         COMPARE is version|create|mod|value|lease KEY [END] [prefix] =|>|<|!= OPERAND
//! read_txn …                                                  the same without a command
//! compact N    grant ID ttl=N    revoke ID    leases    state    reload
//! raise|lower nospace|corrupt MEMBER    alarms
//! events FROM [KEY [END] [prefix] [from]]
//! max_txn_ops N                                               checks later commands as a server would
//! ```

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use cfgstore_store::*;

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut failures = String::new();
    for path in paths {
        let expected = std::fs::read_to_string(&path).unwrap();
        let actual = rerun(&expected);
        if actual == expected {
            continue;
        }
        if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&path, actual).unwrap();
        } else {
            writeln!(failures, "{}:\n{}", path.display(), diff(&expected, &actual)).unwrap();
        }
    }
    assert!(
        failures.is_empty(),
        "output differs (- expected, + actual):\n{failures}"
    );
}

/// The script with the output it really has.
fn rerun(script: &str) -> String {
    let mut session = Session {
        store: Store::new(),
        limits: CheckLimits::default(),
    };
    let mut out = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix('>') else {
            // Output: only what separates commands is kept.
            if line.is_empty() || line.starts_with('#') {
                writeln!(out, "{line}").unwrap();
            }
            continue;
        };
        writeln!(out, "{line}").unwrap();
        let mut command = command.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(">  ")) {
            writeln!(out, "{more}").unwrap();
            command += &more[1..];
        }
        let words = &mut Words::of(&command);
        out += &session.run(words);
        assert!(words.is_done(), "left over in {command:?}: {:?}", words.rest());
    }
    out
}

/// A line diff: the longest common start and end, and between them what differs.
fn diff(expected: &str, actual: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let end = a[start..]
        .iter()
        .rev()
        .zip(b[start..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut out = String::new();
    for line in &a[start.saturating_sub(3)..start] {
        writeln!(out, "  {line}").unwrap();
    }
    for line in &a[start..a.len() - end] {
        writeln!(out, "- {line}").unwrap();
    }
    for line in &b[start..b.len() - end] {
        writeln!(out, "+ {line}").unwrap();
    }
    out
}

/// The words of a command.
struct Words {
    words: Vec<Word>,
    next: usize,
}

/// A word, and whether it was quoted: a quoted word is never an option.
#[derive(Clone, Debug)]
struct Word(Vec<u8>, bool);

impl Words {
    fn of(command: &str) -> Words {
        let mut words = Vec::new();
        let mut chars = command.chars().peekable();
        while let Some(&first) = chars.peek() {
            if first.is_whitespace() {
                chars.next();
            } else if first == '"' {
                chars.next();
                words.push(Word(quoted(&mut chars), true));
            } else {
                let mut word = String::new();
                while let Some(char) = chars.next_if(|char| !char.is_whitespace()) {
                    word.push(char);
                }
                words.push(Word(word.into_bytes(), false));
            }
        }
        Words { words, next: 0 }
    }

    fn rest(&self) -> Vec<String> {
        self.words[self.next..]
            .iter()
            .map(|word| String::from_utf8_lossy(&word.0).into_owned())
            .collect()
    }

    fn is_done(&self) -> bool {
        self.next == self.words.len()
    }

    fn bytes(&mut self) -> Bytes {
        self.next += 1;
        self.words[self.next - 1].0.clone().into()
    }

    fn string(&mut self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }

    fn number(&mut self) -> i64 {
        self.string().parse().unwrap()
    }

    /// Takes the next word if it is this one, not quoted.
    fn take(&mut self, word: &str) -> bool {
        let found = self
            .words
            .get(self.next)
            .is_some_and(|next| !next.1 && next.0 == word.as_bytes());
        self.next += usize::from(found);
        found
    }

    /// Takes the next word if it is `name=number`.
    fn take_number(&mut self, name: &str) -> Option<i64> {
        let word = self.words.get(self.next).filter(|word| !word.1)?;
        let number = std::str::from_utf8(&word.0)
            .ok()?
            .strip_prefix(name)?
            .strip_prefix('=')?
            .parse()
            .ok()?;
        self.next += 1;
        Some(number)
    }

    fn key_range(&mut self) -> (Bytes, Bytes) {
        let key = self.bytes();
        let option = |word: &Word| {
            let text = String::from_utf8_lossy(&word.0).into_owned();
            let known = ["prev", "keys_only", "count_only", ";", "}", "=", ">", "<", "!="];
            !word.1 && (known.contains(&text.as_str()) || text.contains('='))
        };
        let end = if self.take("prefix") {
            prefix_range_end(&key)
        } else if self.take("from") {
            Bytes::from_static(b"\0")
        } else if self.words.get(self.next).is_some_and(|word| !option(word)) {
            self.bytes()
        } else {
            Bytes::new()
        };
        (key, end)
    }

    fn put(&mut self) -> Put {
        let mut put = Put {
            key: self.bytes(),
            value: self.bytes(),
            ..Put::default()
        };
        loop {
            match self.take_number("lease") {
                Some(lease) => put.lease = lease,
                None if self.take("prev") => put.prev_kv = true,
                None if self.take("ignore_value") => put.ignore_value = true,
                None if self.take("ignore_lease") => put.ignore_lease = true,
                None => return put,
            }
        }
    }

    fn delete_range(&mut self) -> DeleteRange {
        let (key, range_end) = self.key_range();
        DeleteRange {
            key,
            range_end,
            prev_kv: self.take("prev"),
        }
    }

    fn range(&mut self) -> Range {
        let (key, range_end) = self.key_range();
        let mut range = Range {
            key,
            range_end,
            ..Range::default()
        };
        loop {
            let numbers = [
                ("rev", &mut range.revision),
                ("limit", &mut range.limit),
                ("min_mod", &mut range.min_mod_revision),
                ("max_mod", &mut range.max_mod_revision),
                ("min_create", &mut range.min_create_revision),
                ("max_create", &mut range.max_create_revision),
            ];
            let mut found = false;
            for (name, field) in numbers {
                if let Some(number) = self.take_number(name) {
                    *field = number;
                    found = true;
                }
            }
            for (number, name) in ["order=none", "order=asc", "order=desc"].into_iter().enumerate() {
                if self.take(name) {
                    range.sort_order = SortOrder::try_from(number as i32).unwrap();
                    found = true;
                }
            }
            for (number, name) in [
                "sort=key",
                "sort=version",
                "sort=create",
                "sort=mod",
                "sort=value",
            ]
            .into_iter()
            .enumerate()
            {
                if self.take(name) {
                    range.sort_target = SortTarget::try_from(number as i32).unwrap();
                    found = true;
                }
            }
            if self.take("keys_only") {
                range.keys_only = true;
            } else if self.take("count_only") {
                range.count_only = true;
            } else if !found {
                return range;
            }
        }
    }

    fn txn(&mut self) -> Txn {
        let mut txn = Txn::default();
        if self.take("if") {
            txn.compare = self.list(Words::compare);
        }
        if self.take("then") {
            txn.success = self.list(Words::op);
        }
        if self.take("else") {
            txn.failure = self.list(Words::op);
        }
        txn
    }

    fn list<T>(&mut self, element: impl Fn(&mut Words) -> T) -> Vec<T> {
        assert!(self.take("{"), "no {{ at {:?}", self.rest());
        let mut list = Vec::new();
        while !self.take("}") {
            if !self.take(";") {
                list.push(element(self));
            }
        }
        list
    }

    fn op(&mut self) -> TxnOp {
        match self.string().as_str() {
            "put" => TxnOp::Put(self.put()),
            "del" => TxnOp::DeleteRange(self.delete_range()),
            "get" => TxnOp::Range(self.range()),
            "txn" => TxnOp::Txn(self.txn()),
            other => panic!("{other} is no operation"),
        }
    }

    fn compare(&mut self) -> Compare {
        let target = self.string();
        let (key, range_end) = self.key_range();
        let result = match self.string().as_str() {
            "=" => CompareResult::Equal,
            ">" => CompareResult::Greater,
            "<" => CompareResult::Less,
            "!=" => CompareResult::NotEqual,
            other => panic!("{other} is no comparison"),
        };
        let target = match target.as_str() {
            "version" => CompareTarget::Version(self.number()),
            "create" => CompareTarget::Create(self.number()),
            "mod" => CompareTarget::Mod(self.number()),
            "lease" => CompareTarget::Lease(self.number()),
            "value" => CompareTarget::Value(self.bytes()),
            other => panic!("{other} is no target"),
        };
        Compare {
            key,
            range_end,
            result,
            target,
        }
    }
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match chars.next().expect("a closing quote") {
            '"' => return bytes,
            '\\' => bytes.push(match chars.next().unwrap() {
                '0' => 0,
                'x' => {
                    let digits: String = [chars.next().unwrap(), chars.next().unwrap()].iter().collect();
                    u8::from_str_radix(&digits, 16).unwrap()
                }
                other => other as u8,
            }),
            other => bytes.extend(other.to_string().into_bytes()),
        }
    }
}

struct Session {
    store: Store,
    limits: CheckLimits,
}

impl Session {
    fn run(&mut self, words: &mut Words) -> String {
        let state = self.store.state();
        let verb = words.string();
        let command = match verb.as_str() {
            "put" => Command::Put(words.put()),
            "del" => Command::DeleteRange(words.delete_range()),
            "txn" => Command::Txn(words.txn()),
            "compact" => Command::Compact(Compact {
                revision: words.number(),
            }),
            "grant" => {
                let id = words.number();
                Command::LeaseGrant(LeaseGrant {
                    id,
                    ttl_secs: words.take_number("ttl").unwrap(),
                })
            }
            "revoke" => Command::LeaseRevoke(LeaseRevoke { id: words.number() }),
            "raise" | "lower" => {
                let kind = match words.string().as_str() {
                    "nospace" => AlarmKind::NoSpace,
                    _ => AlarmKind::Corrupt,
                };
                let member_id = words.number() as u64;
                Command::Alarm(AlarmChange {
                    alarm: Alarm { kind, member_id },
                    raised: verb == "raise",
                })
            }
            "alarms" => return format!("{:?}\n", state.alarms()),
            "get" => {
                let range = words.range();
                return or_error(state.range(&range), |outcome| {
                    print_range(&outcome, range.keys_only)
                });
            }
            "read_txn" => {
                let txn = words.txn();
                return or_error(state.read_txn(&txn), |outcome| print_txn(&outcome, &txn));
            }
            "events" => {
                let from = words.number();
                let (key, end) = if words.is_done() {
                    ("\0".into(), "\0".into())
                } else {
                    words.key_range()
                };
                return or_error(state.events(from), |events| {
                    events
                        .within(KeyRange::new(&key, &end))
                        .map(|event| print_event(&event))
                        .collect()
                });
            }
            "leases" => return state.leases().map(|lease| format!("{lease:?}\n")).collect(),
            "state" => {
                return format!(
                    "revision {}, compact revision {}, {} keys, {} records\n",
                    state.revision(),
                    state.compact_revision(),
                    state.key_count(),
                    state.record_count()
                );
            }
            "reload" => {
                self.store = reload(&state);
                return String::new();
            }
            "max_txn_ops" => {
                self.limits.max_txn_ops = words.number() as usize;
                return String::new();
            }
            other => panic!("{other} is no command"),
        };
        if let Err(error) = check(&command, &self.limits) {
            return format!("refused before it is proposed: {error}\n");
        }
        or_error(self.store.apply(0, &Caller::default(), &command), |outcome| {
            print(&outcome, &command)
        })
    }
}

fn reload(state: &State) -> Store {
    let mut loader = StateLoader::new(StateHeader::of(state)).unwrap();
    state
        .leases()
        .for_each(|lease| loader.lease(codec::LeaseView::of(lease)).unwrap());
    state
        .alarms()
        .iter()
        .for_each(|alarm| loader.alarm(*alarm).unwrap());
    state
        .records_in_seq_order()
        .for_each(|record| loader.record(codec::RecordView::of(&record)).unwrap());
    loader.finish().unwrap()
}

fn or_error<T>(result: Result<T, CommandError>, print: impl Fn(T) -> String) -> String {
    match result {
        Ok(value) => print(value),
        Err(error) => format!("error: {error}\n"),
    }
}

fn print(outcome: &Outcome, command: &Command) -> String {
    match (outcome, command) {
        (Outcome::Put(put), _) => print_put(put),
        (Outcome::DeleteRange(delete), _) => print_delete(delete),
        (Outcome::Txn(outcome), Command::Txn(txn)) => print_txn(outcome, txn),
        (Outcome::Alarm(None), _) => "it was not raised\n".into(),
        (Outcome::LeaseGrant { id, ttl_secs }, _) => format!("lease {id}, ttl {ttl_secs} s\n"),
        _ => "ok\n".into(),
    }
}

fn print_kv(record: &Record, keys_only: bool) -> String {
    let (key, value) = (record.key().escape_ascii(), record.value().escape_ascii());
    let value = if keys_only {
        String::new()
    } else {
        format!("= {value} ")
    };
    let (create, modified, version) = (record.create_revision(), record.mod_revision(), record.version());
    let lease = if record.lease() == 0 {
        String::new()
    } else {
        format!(", lease {}", record.lease())
    };
    format!("{key} {value}(create {create}, mod {modified}, version {version}{lease})")
}

fn print_put(put: &PutOutcome) -> String {
    let prev = put
        .prev
        .as_ref()
        .map(|prev| format!("  was {}\n", print_kv(prev, false)));
    format!("revision {}\n{}", put.revision, prev.unwrap_or_default())
}

fn print_delete(delete: &DeleteRangeOutcome) -> String {
    let prev: String = delete
        .prev
        .iter()
        .map(|prev| format!("  was {}\n", print_kv(prev, false)))
        .collect();
    format!("deleted {}, revision {}\n{prev}", delete.deleted, delete.revision)
}

fn print_range(range: &RangeOutcome, keys_only: bool) -> String {
    let mut out: String = range
        .records
        .iter()
        .map(|record| format!("{}\n", print_kv(record, keys_only)))
        .collect();
    let more = if range.more { ", more" } else { "" };
    writeln!(out, "count {}{more}, revision {}", range.count, range.revision).unwrap();
    out
}

fn print_txn(outcome: &TxnOutcome, txn: &Txn) -> String {
    let branch = if outcome.succeeded { "then" } else { "else" };
    let mut out = format!("{branch}, revision {}\n", outcome.revision);
    let ops = if outcome.succeeded {
        &txn.success
    } else {
        &txn.failure
    };
    assert_eq!(ops.len(), outcome.responses.len());
    for (op, response) in ops.iter().zip(&outcome.responses) {
        let printed = match (op, response) {
            (TxnOp::Range(range), TxnOpOutcome::Range(outcome)) => print_range(outcome, range.keys_only),
            (TxnOp::Put(_), TxnOpOutcome::Put(outcome)) => print_put(outcome),
            (TxnOp::DeleteRange(_), TxnOpOutcome::DeleteRange(outcome)) => print_delete(outcome),
            (TxnOp::Txn(txn), TxnOpOutcome::Txn(outcome)) => print_txn(outcome, txn),
            other => panic!("an outcome of another operation: {other:?}"),
        };
        for (number, line) in printed.lines().enumerate() {
            writeln!(out, "{}{line}", if number == 0 { "- " } else { "  " }).unwrap();
        }
    }
    out
}

fn print_event(event: &Event) -> String {
    let record = &event.record;
    let what = if record.is_tombstone() {
        format!(
            "DELETE {} (mod {})",
            record.key().escape_ascii(),
            record.mod_revision()
        )
    } else {
        format!("PUT {}", print_kv(record, false))
    };
    let prev = event
        .prev
        .as_ref()
        .map(|prev| format!(", was {}", print_kv(prev, false)));
    format!(
        "{}.{} {what}{}\n",
        record.mod_revision(),
        record.sub(),
        prev.unwrap_or_default()
    )
}
