//! What the system knows of this process, under the names that every Prometheus client has.
//!
//! Read from `/proc` when it is asked for; where that cannot be read the metric is left out. Must not do: keep anything.

use std::path::Path;

use proto_seam::Disk;

/// Of a text of `/proc`: they are short.
const BYTES_MAX: usize = 64 * 1024;
/// Kernel ticks a second: Linux has told programs 100 on every platform since 2.6.
const TICKS: f64 = 100.0;

/// As Prometheus' text format has it.
#[must_use]
pub fn text(disk: &dyn Disk) -> String {
    let read = |path: &str| disk.read_all(Path::new(path), BYTES_MAX).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    of(&read("/proc/self/stat"), &read("/proc/stat"), &read("/proc/self/limits"), &read("/proc/self/status"))
}

fn of(stat: &str, system: &str, limits: &str, status: &str) -> String {
    let mut out = String::new();
    let mut add = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
        }
    };
    // The name of the program, in parentheses, may hold anything: what follows it is counted from field 3.
    let fields: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
    let kibibytes = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    let booted = system.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let open_max = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_ascii_whitespace().next()?.parse::<f64>().ok());
    let cpu = field(14).zip(field(15)).map(|(user, kernel)| (user + kernel) / TICKS);
    add("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu);
    add("process_max_fds", "gauge", "Maximum number of open file descriptors.", open_max);
    add("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", kibibytes("VmRSS:").map(|kib| kib * 1024.0));
    let started = booted.zip(field(22)).map(|(booted, ticks)| booted + ticks / TICKS);
    add("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", started);
    add("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(23));
    out
}

#[cfg(test)]
mod tests;
