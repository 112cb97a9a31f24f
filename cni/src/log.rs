//! The optional log file: one line per invocation. Never stdout, which belongs to the runtime.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sluice_rpc::CniError;

use crate::environment::Environment;

/// Where to log; nowhere by default.
#[derive(Debug, Default)]
pub struct Log {
    file: Option<PathBuf>,
}

impl Log {
    /// Logs to `file`, which is created where missing and never truncated.
    pub fn new(file: Option<PathBuf>) -> Self {
        Log { file }
    }

    /// One line, written at once so that invocations do not mix. A log that cannot be written is
    /// told on stderr and is no failure of the command.
    pub fn record(
        &self,
        environment: Option<&Environment>,
        started: Instant,
        error: Option<&CniError>,
    ) {
        let (Some(path), Some(environment)) = (&self.file, environment) else {
            return;
        };
        let outcome = match error {
            None => "ok".to_owned(),
            Some(error) => format!("code={} error={:?}", error.code, error.to_string()),
        };
        let pod = match &environment.pod {
            Some(pod) => format!(" pod={}/{}", pod.namespace, pod.name),
            None => String::new(),
        };
        let container = match environment.container_id.as_str() {
            "" => String::new(),
            id => format!(" container={id} ifname={}", environment.ifname),
        };
        let line = format!(
            "{} pid={} {}{container}{pod} ms={} {outcome}\n",
            timestamp(SystemTime::now()),
            std::process::id(),
            environment.command.name(),
            started.elapsed().as_millis(),
        );
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = written {
            let _ = writeln!(
                io::stderr(),
                "sluice-cni: cannot log to {}: {error}",
                path.display()
            );
        }
    }
}

/// RFC 3339 in UTC with milliseconds; 1970 for a clock before that.
fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
        since_epoch.subsec_millis()
    )
}

/// Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that the
/// leap day is the last of its year.
fn civil(day: u64) -> (u64, u64, u64) {
    let from_0000_03_01 = day + 719_468;
    let era = from_0000_03_01 / 146_097;
    let of_era = from_0000_03_01 % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timestamps_are_what_date_prints() {
        // `date -u -d @N +%FT%TZ`
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
