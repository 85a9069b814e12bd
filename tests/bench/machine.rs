//! The machine that the figures are of.

use std::fs::read_to_string;
use std::path::Path;

use serde::Serialize;

/// The machine, and how busy it was with other things.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// The file system of the directory that was measured.
    pub(crate) file_system: String,
    /// Processes that ran or waited to run, over the last minute.
    pub(crate) load_at_begin: f64,
    pub(crate) load_at_end: f64,
}

impl Machine {
    /// Looks at this machine. What it does not tell stays empty.
    pub(crate) fn look(directory: &Path) -> Self {
        let cpu_info = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = read_to_string("/proc/meminfo").unwrap_or_default();
        let memory_kib = memory.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        Self {
            cpu: value_of(&cpu_info, "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_kib.unwrap_or_default() * 1024,
            kernel: read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            file_system: file_system(directory).unwrap_or_default(),
            load_at_begin: load(),
            load_at_end: 0.0,
        }
    }
}

/// Processes that ran or waited to run, over the last minute.
pub(crate) fn load() -> f64 {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn value_of(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The type of the file system that is mounted nearest above the directory.
fn file_system(directory: &Path) -> Option<String> {
    let directory = std::fs::canonicalize(directory).ok()?;
    let mounts = read_to_string("/proc/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && directory.starts_with(fields[1]));
    above.max_by_key(|fields| fields[1].len()).map(|fields| fields[2].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name() {
        let machine = Machine::look(Path::new("."));
        assert!(
            !machine.cpu.is_empty() && !machine.kernel.is_empty() && !machine.file_system.is_empty(),
            "{machine:?}"
        );
        assert!(machine.cores > 0 && machine.memory_bytes > 0);
    }
}
