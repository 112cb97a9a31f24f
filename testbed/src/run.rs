//! Runs other programs and says what went wrong when they fail; prints the progress of long work.
//!
//! Knows nothing of nodes, namespaces or Open vSwitch.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(20);

/// A command with its arguments, with nothing on standard input.
pub fn command<I, S>(program: &str, args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// The command as a person would type it, for messages.
pub fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let _ = write!(text, " {}", arg.to_string_lossy());
    }
    if text.len() > 400 {
        let cut = text
            .char_indices()
            .nth(400)
            .map_or(text.len(), |(at, _)| at);
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// Runs to the end whatever the exit status.
///
/// # Errors
/// Only when the program cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot run `{}`", describe(command)))
}

/// Runs to the end and returns standard output.
///
/// # Errors
/// When the program cannot be started or exits with anything but 0; the message carries what it printed.
pub fn stdout(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    check(command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end with `input` on standard input, and returns the output whatever the exit status.
///
/// # Errors
/// When the program cannot be started or talked to.
pub fn with_input(command: &mut Command, input: &[u8]) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", describe(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that exits without reading is judged by its exit status.
        let _ = stdin.write_all(input);
    }
    child
        .wait_with_output()
        .with_context(|| format!("cannot wait for `{}`", describe(command)))
}

/// Turns an exit status other than 0 into an error with everything the program printed.
///
/// # Errors
/// See above.
pub fn check(command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "`{}` failed ({}): {}{}",
        describe(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim(),
        String::from_utf8_lossy(&output.stdout).trim(),
    )
}

/// `program args…`, which must succeed.
///
/// # Errors
/// As [`stdout`].
pub fn sh<I, S>(program: &str, args: I) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    stdout(&mut command(program, args))
}

/// `ip` with one command a line, in namespace `netns`; far cheaper than one process a command.
///
/// # Errors
/// When a line fails; `ip` names its number.
pub fn ip_batch(netns: &str, lines: &[String]) -> Result<()> {
    let mut command = command("ip", ["-n", netns, "-batch", "-"]);
    let mut input = lines.join("\n");
    input.push('\n');
    let output = with_input(&mut command, input.as_bytes())?;
    check(&command, &output).with_context(|| format!("batch in {netns}:\n{input}"))
}

/// Looks at `condition` until it yields a value.
///
/// # Errors
/// After `limit`; `what` and the condition's last answer are named.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let last = match condition() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            let seconds = limit.as_secs();
            return match last {
                Some(error) => {
                    Err(error.context(format!("gave up after {seconds} s waiting for {what}")))
                }
                None => bail!("gave up after {seconds} s waiting for {what}"),
            };
        }
        std::thread::sleep(POLL);
    }
}

/// Says on standard error what is being done now, with the seconds since the program started.
pub fn step(what: impl std::fmt::Display) {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    eprintln!("[{:6.1} s] {what}", elapsed.as_secs_f64());
}
