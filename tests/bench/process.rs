//! What a process uses, from `/proc`.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

/// Clock ticks a second in `/proc`: 100 on every Linux, whatever its timer frequency.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// Processor time in user code and in the kernel.
    pub(crate) cpu_s: f64,
    /// Memory now.
    pub(crate) rss_bytes: u64,
    /// The most memory it ever had.
    pub(crate) rss_peak_bytes: u64,
}

/// Reads what a process has used.
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).with_context(|| format!("process {pid} is gone"));
    let (stat, status) = (read("stat")?, read("status")?);
    Ok(Usage {
        cpu_s: cpu_s(&stat).with_context(|| format!("/proc/{pid}/stat is not understood"))?,
        rss_bytes: field_bytes(&status, "VmRSS:"),
        rss_peak_bytes: field_bytes(&status, "VmHWM:"),
    })
}

/// What several processes have used together.
pub(crate) fn usage_of_all(pids: &[u32]) -> anyhow::Result<Usage> {
    let mut sum = Usage::default();
    for pid in pids {
        let one = usage(*pid)?;
        sum.cpu_s += one.cpu_s;
        sum.rss_bytes += one.rss_bytes;
        sum.rss_peak_bytes += one.rss_peak_bytes;
    }
    Ok(sum)
}

/// The processes that a process started and that run.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// What this process itself has used.
pub(crate) fn own_usage() -> anyhow::Result<Usage> {
    usage(std::process::id())
}

fn cpu_s(stat: &str) -> Option<f64> {
    // The name of the program is in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn field_bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Seconds that all processors together were busy since the start of the machine.
pub(crate) fn machine_busy_s() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|number| number.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>();
    Ok(busy / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let begin = own_usage().unwrap();
        assert!(begin.rss_bytes > 0 && begin.rss_peak_bytes >= begin.rss_bytes);
        let busy = machine_busy_s().unwrap();
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 200 {
            std::hint::spin_loop();
        }
        assert!(own_usage().unwrap().cpu_s > begin.cpu_s);
        assert!(machine_busy_s().unwrap() > busy);
    }

    #[test]
    fn a_name_with_parentheses_is_no_trouble() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9";
        assert_eq!(cpu_s(stat), Some(3.0));
    }
}
