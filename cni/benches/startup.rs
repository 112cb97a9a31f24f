//! Start to exit of `sluice-cni VERSION` against `/bin/true`: what a runtime pays for the plugin
//! being a process. Runs of the two alternate, so that both see the same machine.
//!
//! ```text
//! cargo bench -p sluice-cni --bench startup
//! STARTUP_RUNS=5000 STARTUP_PLUGIN=/opt/cni/bin/sluice-cni cargo bench -p sluice-cni --bench startup
//! ```
//! Prints medians, 99th percentiles and the ratio of medians; exits 1 above `STARTUP_LIMIT`
//! (default 1.2).

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const WARM_UP: usize = 50;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(ExitCode::SUCCESS);
    }
    let runs: usize = setting("STARTUP_RUNS")?.unwrap_or(2_000);
    let limit: f64 = setting("STARTUP_LIMIT")?.unwrap_or(1.2);
    let plugin = match std::env::var_os("STARTUP_PLUGIN") {
        Some(path) => PathBuf::from(path),
        None => build()?,
    };
    let true_path = Path::new("/bin/true");
    let (mut ours, mut theirs) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for run in 0..runs + WARM_UP {
        let (our, their) = if run % 2 == 0 {
            let our = time(&plugin)?;
            (our, time(true_path)?)
        } else {
            let their = time(true_path)?;
            (time(&plugin)?, their)
        };
        if run >= WARM_UP {
            ours.push(our);
            theirs.push(their);
        }
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    let ratio = quantile(&ours, 50).as_secs_f64() / quantile(&theirs, 50).as_secs_f64();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{runs} runs each, alternating; {}", plugin.display())?;
    for (name, times) in [("sluice-cni VERSION", &ours), ("/bin/true", &theirs)] {
        writeln!(
            out,
            "{name:<20} p50 {:>5} us   p99 {:>5} us",
            quantile(times, 50).as_micros(),
            quantile(times, 99).as_micros()
        )?;
    }
    writeln!(out, "ratio of medians     {ratio:.3} (limit {limit})")?;
    Ok(if ratio <= limit {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn setting<T: std::str::FromStr>(name: &str) -> Result<Option<T>, Box<dyn Error>>
where
    T::Err: Error + 'static,
{
    Ok(std::env::var(name)
        .ok()
        .map(|text| text.parse())
        .transpose()?)
}

/// The binary as it is shipped, not as `cargo bench` would build it.
fn build() -> Result<PathBuf, Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build-static");
    let output = Command::new(script).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err("build-static failed".into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// One run, output read to its end as a runtime does.
fn time(program: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let started = Instant::now();
    let output = command.output()?;
    let elapsed = started.elapsed();
    if output.status.success() {
        Ok(elapsed)
    } else {
        Err(format!("{} failed: {}", program.display(), output.status).into())
    }
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or_default()
}
