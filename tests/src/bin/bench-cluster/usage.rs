//! What processes use, from /proc.

use std::time::Duration;

/// CPU time of these processes, user and system, in the kernel's ticks of 10 ms.
pub fn cpu(pids: &[i32]) -> Duration {
    let ticks: u64 = pids
        .iter()
        .map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            let mut fields = after_name
                .split_whitespace()
                .skip(11)
                .map(|field| field.parse().unwrap_or(0));
            fields.next().unwrap_or(0u64) + fields.next().unwrap_or(0)
        })
        .sum();
    Duration::from_millis(ticks * 10)
}

/// CPU time of this process.
pub fn own_cpu() -> Duration {
    cpu(&[std::process::id() as i32])
}

/// Memory of these processes that is resident, in MiB.
pub fn resident(pids: &[i32]) -> u64 {
    let kib: u64 = pids
        .iter()
        .map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        })
        .sum();
    kib / 1024
}
