//! Runs `ping` and reads what it says.

use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::node::Node;
use crate::run;

/// What a run of `ping` found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Requests sent.
    pub sent: u64,
    /// Replies received, duplicates not counted.
    pub received: u64,
    /// Mean round trip in milliseconds, if anything came back.
    pub mean_ms: Option<f64>,
}

impl Report {
    /// Reads the summary at the end of `ping`'s output.
    ///
    /// # Errors
    /// When it is not there.
    pub fn parse(text: &str) -> Result<Self> {
        let number_before = |word: &str| {
            let head = text
                .split(word)
                .next()
                .filter(|head| head.len() < text.len())?;
            head.rsplit([' ', '\n', ','])
                .find(|part| !part.is_empty())?
                .parse()
                .ok()
        };
        let mean_ms = text
            .lines()
            .find(|line| line.starts_with("rtt "))
            .and_then(|line| {
                line.split('=')
                    .nth(1)?
                    .split('/')
                    .nth(1)?
                    .trim()
                    .parse()
                    .ok()
            });
        match (
            number_before(" packets transmitted"),
            number_before(" received"),
        ) {
            (Some(sent), Some(received)) => Ok(Self {
                sent,
                received,
                mean_ms,
            }),
            _ => bail!("`ping` printed no summary: {text}"),
        }
    }
}

/// Runs a prepared `ping` and reads its summary; losing packets is not an error.
///
/// # Errors
/// When `ping` cannot be run or prints no summary.
pub fn report(command: &mut Command) -> Result<Report> {
    let output = run::output(command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Report::parse(&text).with_context(|| {
        format!(
            "`{}`: {}",
            run::describe(command),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Pings from a pod, `args` before the address.
///
/// # Errors
/// As [`report`].
pub fn from_pod(node: &Node, pod: &str, to: IpAddr, args: &[&str]) -> Result<Report> {
    let to = to.to_string();
    let mut words = args.to_vec();
    words.push(&to);
    report(&mut node.pod_command(pod, "ping", &words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_summaries() {
        let all = "PING 10.0.0.1\n\n--- 10.0.0.1 ping statistics ---\n5 packets transmitted, 5 received, 0% packet loss, time 4ms\nrtt min/avg/max/mdev = 0.021/0.034/0.061/0.014 ms\n";
        assert_eq!(
            Report::parse(all).expect("parses"),
            Report {
                sent: 5,
                received: 5,
                mean_ms: Some(0.034)
            }
        );
        let none = "--- x ---\n3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2049ms\n";
        assert_eq!(
            Report::parse(none).expect("parses"),
            Report {
                sent: 3,
                received: 0,
                mean_ms: None
            }
        );
        assert!(Report::parse("ping: unknown host").is_err());
    }
}
