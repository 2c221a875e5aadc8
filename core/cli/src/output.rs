//! What commands print, for people and for machines.

use std::io::{self, StdoutLock, Write};

use cfgstore_client::{Change, ChangeKind, Error, KeyValue, RangeResult, Status};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::value::{to_json, to_line, to_text};

/// Standard output, in one of two styles. A failed write is the reader's leaving, which ends the command.
pub struct Output {
    json: bool,
    out: StdoutLock<'static>,
}

#[derive(Serialize)]
struct JsonValue {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    revision: i64,
    create_revision: i64,
    version: i64,
    lease: i64,
    /// Why the value, which is sealed, could not be opened; then it stands as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    unopened: Option<String>,
}

#[derive(Serialize)]
struct JsonRange {
    revision: i64,
    count: i64,
    more: bool,
    keys: Vec<JsonValue>,
}

#[derive(Serialize)]
struct JsonChange {
    change: &'static str,
    #[serde(flatten)]
    value: JsonValue,
}

#[derive(Serialize)]
struct JsonStatus<'a> {
    endpoint: &'a str,
    version: &'a str,
    member_id: String,
    leader_id: String,
    revision: i64,
    term: u64,
    db_size_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<JsonAgent<'a>>,
}

#[derive(Serialize)]
struct JsonAgent<'a> {
    version: &'a str,
    pid: u32,
    data_dir: String,
    mirror_dir: String,
    mirror_generation: u64,
    mirror_revision: i64,
}

impl Output {
    pub fn new(json: bool) -> Output {
        Output {
            json,
            out: io::stdout().lock(),
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// One key: people get its value alone, byte by byte.
    pub fn value(&mut self, kv: &KeyValue, keys_only: bool) -> io::Result<()> {
        if self.json {
            return self.print_json(&json_value(kv, !keys_only));
        }
        self.out.write_all(if keys_only { &kv.key } else { &kv.value })?;
        self.end_line()
    }

    pub fn range(&mut self, found: &RangeResult, keys_only: bool) -> io::Result<()> {
        if self.json {
            let keys = found.kvs.iter().map(|kv| json_value(kv, !keys_only)).collect();
            let range = JsonRange {
                revision: found.revision,
                count: found.count,
                more: found.more,
                keys,
            };
            return self.print_json(&range);
        }
        for kv in &found.kvs {
            if keys_only {
                writeln!(self.out, "{}", to_line(&kv.key))?;
            } else {
                writeln!(self.out, "{}\t{}", to_line(&kv.key), to_line(&kv.value))?;
                self.complain_of(kv.unopened.as_deref());
            }
        }
        self.out.flush()
    }

    pub fn written(&mut self, revision: i64) -> io::Result<()> {
        if self.json {
            writeln!(self.out, "{{\"revision\":{revision}}}")?;
        } else {
            writeln!(self.out, "revision {revision}")?;
        }
        self.out.flush()
    }

    pub fn change(&mut self, change: &Change) -> io::Result<()> {
        let name = match change.kind {
            ChangeKind::Put => "put",
            ChangeKind::Delete => "delete",
        };
        if self.json {
            let kv = KeyValue {
                key: change.key.clone(),
                value: change.value.clone(),
                unopened: change.unopened.clone(),
                create_revision: change.create_revision,
                mod_revision: change.revision,
                version: change.version,
                lease: change.lease,
            };
            let value = json_value(&kv, change.kind == ChangeKind::Put);
            return self.print_json(&JsonChange { change: name, value });
        }
        write!(self.out, "{} {name} {}", change.revision, to_line(&change.key))?;
        if change.kind == ChangeKind::Put {
            write!(self.out, " {}", to_line(&change.value))?;
            self.complain_of(change.unopened.as_deref());
        }
        self.end_line()
    }

    pub fn lock(&mut self, key: &[u8], token: i64) -> io::Result<()> {
        let key = to_text(key).0;
        if self.json {
            return self.print_json(&serde_json::json!({ "key": key, "token": token }));
        }
        writeln!(self.out, "held: token {token}")?;
        self.out.flush()
    }

    pub fn status(&mut self, status: &Status) -> io::Result<()> {
        let agent = status.agent.as_ref();
        if self.json {
            return self.print_json(&JsonStatus {
                endpoint: &status.endpoint,
                version: &status.version,
                member_id: format!("{:x}", status.member_id),
                leader_id: format!("{:x}", status.leader_id),
                revision: status.revision,
                term: status.term,
                db_size_bytes: status.db_size_bytes,
                agent: agent.map(|agent| JsonAgent {
                    version: &agent.version,
                    pid: agent.pid,
                    data_dir: agent.data_dir.display().to_string(),
                    mirror_dir: agent.mirror_dir.display().to_string(),
                    mirror_generation: agent.mirror_generation,
                    mirror_revision: agent.mirror_revision,
                }),
            });
        }
        let leader = match status.leader_id {
            0 => "none known: writes fail".to_owned(),
            leader if leader == status.member_id => "this member".to_owned(),
            leader => format!("member {leader:x}"),
        };
        writeln!(self.out, "endpoint   {}", status.endpoint)?;
        writeln!(
            self.out,
            "member     {:x}, API of etcd {}",
            status.member_id, status.version
        )?;
        writeln!(self.out, "leader     {leader} (term {})", status.term)?;
        writeln!(self.out, "revision   {}", status.revision)?;
        writeln!(self.out, "data       {} bytes", status.db_size_bytes)?;
        if let Some(agent) = agent {
            writeln!(
                self.out,
                "agent      cfgstored {}, process {}",
                agent.version, agent.pid
            )?;
            writeln!(self.out, "data_dir   {}", agent.data_dir.display())?;
            writeln!(
                self.out,
                "mirror     {} (generation {}, revision {})",
                agent.mirror_dir.display(),
                agent.mirror_generation,
                agent.mirror_revision
            )?;
        }
        self.out.flush()
    }

    /// On stderr, of something that does not end the command.
    pub fn complain(&mut self, message: &str) {
        let _ = self.out.flush();
        eprintln!("cfgctl: {message}");
    }

    fn complain_of(&mut self, error: Option<&Error>) {
        if let Some(error) = error {
            self.complain(&error.message);
        }
    }

    /// One line, as it is.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.end_line()
    }

    /// Any value, on one line.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.print_json(value)
    }

    fn print_json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        self.end_line()
    }

    /// Watchers read line by line, as it happens.
    fn end_line(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

fn json_value(kv: &KeyValue, with_value: bool) -> JsonValue {
    let (key, key_encoding) = to_text(&kv.key);
    let (value, encoding) = match with_value.then(|| to_json(&kv.value)) {
        Some((value, encoding)) => (Some(value), encoding),
        None => (None, None),
    };
    JsonValue {
        key: key.into_owned(),
        key_encoding: (key_encoding != "text").then_some(key_encoding),
        value,
        encoding,
        revision: kv.mod_revision,
        create_revision: kv.create_revision,
        version: kv.version,
        lease: kv.lease,
        unopened: kv.unopened.as_ref().map(|error| error.message.clone()),
    }
}

/// A size as etcdctl prints it: in powers of 1000, with two digits where one is not enough.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let size = (size * 10.0).round() / 10.0;
    if size < 10.0 {
        format!("{size:.1} {}", UNITS[unit])
    } else {
        format!("{size:.0} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::human_bytes;

    #[test]
    fn sizes_are_those_of_etcdctl() {
        for (bytes, expected) in [
            (0, "0 B"),
            (9, "9 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (20_480, "20 kB"),
            (1_617_920, "1.6 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(human_bytes(bytes), expected);
        }
    }
}
