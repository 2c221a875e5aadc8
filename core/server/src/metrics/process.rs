//! What the operating system knows about this process.

use std::fs;

use crate::sys;

/// A moment's view; what cannot be read is 0.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub cpu_secs: f64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub start_unix_secs: f64,
    pub open_fds: u64,
    pub max_fds: u64,
}

impl Process {
    pub fn now() -> Process {
        let mut process = Process {
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            max_fds: sys::max_open_files(),
            ..Process::default()
        };
        let (ticks_per_sec, page_bytes) = sys::clock_ticks_and_page_bytes();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name, in brackets, may hold anything; behind it come numbers, the first being field 3.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let field = |number: usize| -> u64 {
            let value = fields.get(number - 3).and_then(|value| value.parse().ok());
            value.unwrap_or(0)
        };
        process.cpu_secs = (field(14) + field(15)) as f64 / ticks_per_sec;
        process.virtual_bytes = field(23);
        process.resident_bytes = field(24) * page_bytes;
        process.start_unix_secs = boot_unix_secs() + field(22) as f64 / ticks_per_sec;
        process
    }
}

fn boot_unix_secs() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "));
    boot.and_then(|secs| secs.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let process = Process::now();
        assert!(process.resident_bytes > 1 << 16, "{process:?}");
        assert!(process.virtual_bytes >= process.resident_bytes, "{process:?}");
        assert!(
            process.open_fds >= 3 && process.max_fds >= process.open_fds,
            "{process:?}"
        );
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(
            (now - 86_400.0..=now + 60.0).contains(&process.start_unix_secs),
            "{process:?}"
        );
    }
}
