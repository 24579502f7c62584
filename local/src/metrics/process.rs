//! What the kernel knows of this process, by the names that all of Prometheus' clients give it.
//!
//! The crate's own collector would bring a second copy of the library below it; these figures are
//! two files of `/proc`.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Reads the figures when they are asked for; those that the system does not tell stay 0.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    resident: Gauge,
    virtual_memory: Gauge,
    threads: Gauge,
    open_files: Gauge,
    most_files: Gauge,
    begun: Gauge,
}

impl ProcessMetrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            cpu: Counter::new(
                "process_cpu_seconds_total",
                "Processor time so far, of user and system, in seconds",
            )?,
            resident: Gauge::new("process_resident_memory_bytes", "Resident memory in bytes")?,
            virtual_memory: Gauge::new("process_virtual_memory_bytes", "Virtual memory in bytes")?,
            threads: Gauge::new("process_threads", "Threads")?,
            open_files: Gauge::new("process_open_fds", "Open file descriptors")?,
            most_files: Gauge::new(
                "process_max_fds",
                "How many file descriptors may be open at most",
            )?,
            begun: Gauge::new(
                "process_start_time_seconds",
                "When the process began, in seconds since 1970",
            )?,
        })
    }

    fn collectors(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu,
            &self.resident,
            &self.virtual_memory,
            &self.threads,
            &self.open_files,
            &self.most_files,
            &self.begun,
        ]
    }

    fn read(&self) -> Option<()> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let stat = Stat::parse(&stat)?;
        let tick = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as f64;
        self.cpu.reset();
        self.cpu.inc_by(stat.cpu_ticks / tick);
        self.threads.set(stat.threads);
        self.virtual_memory.set(stat.virtual_bytes);
        self.resident.set(stat.resident_pages * page);
        self.begun.set(booted()? + stat.begun_ticks / tick);
        let files = fs::read_dir("/proc/self/fd").ok()?;
        // One of them is the folder itself.
        self.open_files.set(files.count().saturating_sub(1) as f64);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        self.most_files
            .set(limit.current.map_or(f64::INFINITY, |most| most as f64));
        Some(())
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let collectors = self.collectors().into_iter();
        collectors.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _unknown = self.read();
        let collectors = self.collectors().into_iter();
        collectors.flat_map(Collector::collect).collect()
    }
}

/// Some fields of `/proc/self/stat` (proc_pid_stat(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    begun_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program, in brackets, may have blanks and brackets of its own.
        let (_, after) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        // The first field here is the third of the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            begun_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine began, in seconds since 1970.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let rest: Vec<String> = (3..=52).map(|number| number.to_string()).collect();
        let text = format!("7 (a) b (c) {}", rest.join(" "));
        let stat = Stat {
            cpu_ticks: 29.0,
            threads: 20.0,
            begun_ticks: 22.0,
            virtual_bytes: 23.0,
            resident_pages: 24.0,
        };
        assert_eq!(Stat::parse(&text), Some(stat));
    }
}
