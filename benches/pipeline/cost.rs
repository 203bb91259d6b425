//! What a process took: processor time and peak memory, as the kernel counts them.

use std::time::Instant;

use super::Failure;

/// The kernel's tick in `/proc` (`sysconf(_SC_CLK_TCK)`; 100 on every Linux that Rust's targets run on).
const TICKS_A_SECOND: f64 = 100.0;

/// The cost of one part.
#[derive(Debug, Default)]
pub(super) struct Cost {
    pub(super) records: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) cpu_seconds: f64,
    pub(super) wall_seconds: f64,
    pub(super) peak_rss_bytes: u64,
}

impl Cost {
    /// What this process has taken since `began`, and the counts of its work.
    pub(super) fn since(
        began: Instant,
        records: u64,
        bytes_in: u64,
        bytes_out: u64,
    ) -> Result<Self, Failure> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>: utime and stime are the fields 14 and 15, and
        // the name, which may hold blanks, ends with the last parenthesis.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields.get(11).ok_or("no utime")?.parse::<f64>()?
            + fields.get(12).ok_or("no stime")?.parse::<f64>()?;
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let peak_kib: u64 = peak.trim().trim_end_matches("kB").trim().parse()?;
        Ok(Self {
            records,
            bytes_in,
            bytes_out,
            cpu_seconds: ticks / TICKS_A_SECOND,
            wall_seconds: began.elapsed().as_secs_f64(),
            peak_rss_bytes: peak_kib * 1024,
        })
    }

    /// For the process that asked.
    pub(super) fn to_line(&self) -> String {
        format!(
            "{} {} {} {} {} {}",
            self.records,
            self.bytes_in,
            self.bytes_out,
            self.cpu_seconds,
            self.wall_seconds,
            self.peak_rss_bytes
        )
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            records: words.next()?.parse().ok()?,
            bytes_in: words.next()?.parse().ok()?,
            bytes_out: words.next()?.parse().ok()?,
            cpu_seconds: words.next()?.parse().ok()?,
            wall_seconds: words.next()?.parse().ok()?,
            peak_rss_bytes: words.next()?.parse().ok()?,
        })
    }
}
