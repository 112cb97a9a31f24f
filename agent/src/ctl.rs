//! `sluicectl`: asks a running agent over its socket, and prints for people or as JSON.
//!
//! It knows the protocol's types and nothing else of the agent.

mod print;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluice_rpc::method::{Flows, Method, Pods, Status, Verify};
use sluice_rpc::report::Empty;
use sluice_rpc::{Client, ClientError, Deadline, FlowsRequest};

/// Asks the Sluice agent of this node.
#[derive(Debug, Parser)]
#[command(name = "sluicectl", version)]
struct Cli {
    /// Socket of the agent.
    #[arg(long, env = "SLUICE_SOCKET", default_value = sluice_rpc::DEFAULT_SOCKET, global = true)]
    socket: PathBuf,
    /// Form of the output.
    #[arg(long, short, value_enum, default_value = "text", global = true)]
    output: Output,
    /// Longest wait for the answer, seconds.
    #[arg(long, default_value = "30", global = true)]
    timeout: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The agent, its switch and its counts; exits 1 unless the agent is ready.
    Status,
    /// The pods attached to this node.
    Pods,
    /// The switch's flows, each with the object behind it.
    Flows(FlowsArgs),
    /// Reads the switch back and compares it with what it should hold; exits 1 on a difference.
    Verify,
}

#[derive(Debug, Args)]
struct FlowsArgs {
    /// Only this table, by id.
    #[arg(long, short)]
    table: Option<u8>,
    /// Only flows of objects whose description has this in it, such as a pod's name.
    object: Option<String>,
}

/// Runs `sluicectl` with the process's arguments.
///
/// 0 success; 1 the answer says no (`verify`, `status`); 2 no answer, or a command line that
/// makes no sense.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok((text, code)) => {
            // A reader that went away (`| head`) is no failure.
            let _unread = std::io::stdout().write_all(text.as_bytes());
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("sluicectl: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<(String, u8), ClientError> {
    let Cli {
        output, command, ..
    } = cli;
    let json = *output == Output::Json;
    Ok(match command {
        Command::Status => {
            let report = ask::<Status>(cli, &Empty {})?;
            (
                either(json, &report, print::status),
                u8::from(!report.ready),
            )
        }
        Command::Pods => {
            let report = ask::<Pods>(cli, &Empty {})?;
            (either(json, &report, print::pods), 0)
        }
        Command::Flows(FlowsArgs { table, object }) => {
            let request = FlowsRequest {
                table: *table,
                object: object.clone(),
            };
            let report = ask::<Flows>(cli, &request)?;
            (either(json, &report, print::flows), 0)
        }
        Command::Verify => {
            let report = ask::<Verify>(cli, &Empty {})?;
            (
                either(json, &report, print::verify),
                u8::from(!report.in_sync),
            )
        }
    })
}

fn ask<M: Method>(cli: &Cli, request: &M::Request) -> Result<M::Response, ClientError> {
    let mut client = Client::connect(&cli.socket)?;
    client.set_max_answer(1 << 30);
    client.call::<M>(
        request,
        Deadline::after(Duration::from_secs(cli.timeout.max(1))),
    )
}

fn either<T: serde::Serialize>(json: bool, report: &T, text: impl Fn(&T) -> String) -> String {
    if json {
        let mut line = serde_json::to_string_pretty(report).unwrap_or_default();
        line.push('\n');
        line
    } else {
        text(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["sluicectl", "flows", "-o", "json", "--table", "4", "web"]);
        assert_eq!(cli.expect("parsed").output, Output::Json);
    }
}
