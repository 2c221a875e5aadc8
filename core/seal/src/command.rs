//! A keyring that a program prints.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use crate::error::KeyringError;
use crate::keyring::MAX_KEYRING_BYTES;

/// How long it may take.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What the program prints. Its complaints go where this process's go.
pub(crate) fn output(words: &[OsString], place: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    output_within(words, place, TIME_LIMIT)
}

fn output_within(
    words: &[OsString],
    place: &str,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let unreadable = |problem: String| KeyringError::Unreadable {
        place: place.to_owned(),
        problem,
    };
    let [program, arguments @ ..] = words else {
        return Err(unreadable("it names no program".to_owned()));
    };
    // A group of its own, so that it ends with all that it has started.
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| unreadable(error.to_string()))?;
    let deadline = Instant::now() + limit;
    let printed = read_until(&mut child, deadline);
    if !matches!(printed, Ok(Some(_))) {
        end(&mut child);
    }
    let printed = printed.map_err(|error| unreadable(error.to_string()))?;
    if printed
        .as_ref()
        .is_some_and(|printed| printed.len() > MAX_KEYRING_BYTES)
    {
        end(&mut child);
        return Err(unreadable(format!(
            "it prints more than {MAX_KEYRING_BYTES} bytes"
        )));
    }
    let Some(printed) = printed.filter(|_| has_ended(&mut child, deadline)) else {
        end(&mut child);
        return Err(KeyringError::CommandTimeout {
            place: place.to_owned(),
            seconds: limit.as_secs(),
        });
    };
    match child.wait() {
        Ok(status) if !status.success() => Err(unreadable(format!(
            "it failed ({status}), see what it says on stderr"
        ))),
        // A process that ignores SIGCHLD is not told how its children end; then what was printed has to do.
        Ok(_) | Err(_) => Ok(printed),
    }
}

/// All that it prints; `None`: it is not done by the deadline.
fn read_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(stdout) = &mut child.stdout else {
        return Ok(Some(Zeroizing::default()));
    };
    // With room for all, so that no shorter copy is left behind when it grows.
    let mut printed = Zeroizing::new(Vec::with_capacity(MAX_KEYRING_BYTES + 4096));
    let mut chunk = Zeroizing::new([0; 4096]);
    while printed.len() <= MAX_KEYRING_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&wait)) {
            Ok(0) => return Ok(None),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        match stdout.read(&mut *chunk)? {
            0 => break,
            length => printed.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(Some(printed))
}

/// It has closed its output, so its end is near.
fn has_ended(child: &mut Child, deadline: Instant) -> bool {
    let mut pause = Duration::from_micros(200);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

fn end(child: &mut Child) {
    // Not yet waited for, so the number is still its own.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<OsString> {
        line.iter().map(OsString::from).collect()
    }

    #[test]
    fn what_a_program_prints_is_read_whole() {
        let printed = output(&words(&["seq", "1", "20000"]), "x").unwrap();
        assert!(printed.len() > 64 * 1024 && printed.ends_with(b"20000\n"));
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_told() {
        let failed = output(&words(&["false"]), "command false")
            .unwrap_err()
            .to_string();
        assert!(
            failed.contains("command false") && failed.contains("exit status: 1"),
            "{failed}"
        );
        assert!(matches!(
            output(&words(&["/no/such"]), "x"),
            Err(KeyringError::Unreadable { .. })
        ));
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_what_it_started() {
        let marker = format!("{}", 100_000 + std::process::id());
        let script = format!("sleep {marker} & sleep {marker}");
        let error =
            output_within(&words(&["sh", "-c", &script]), "x", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, KeyringError::CommandTimeout { .. }), "{error}");
        let silent = words(&["sh", "-c", &format!("exec >&-; sleep {marker}")]);
        let error = output_within(&silent, "x", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, KeyringError::CommandTimeout { .. }), "{error}");
        let left = Command::new("pgrep")
            .args(["-f", &format!("^sleep {marker}")])
            .output()
            .unwrap();
        assert_eq!(left.stdout, b"");
    }

    #[test]
    fn a_program_that_prints_without_end_is_cut() {
        let error = output(&words(&["yes"]), "x").unwrap_err().to_string();
        assert!(error.contains("more than 1048576 bytes"), "{error}");
    }
}
