//! `sluicectl`: asks a running agent over its socket, and prints for people or as JSON.
//!
//! It knows the protocol's types and nothing else of the agent.

mod print;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluice_rpc::method::{Drops, Flows, Method, Pods, Policies, Services, Status, Verify, Why};
use sluice_rpc::report::Empty;
use sluice_rpc::{
    Client, ClientError, Deadline, DropsRequest, FlowsRequest, PoliciesRequest, ServicesRequest,
    WhyRequest,
};

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
    /// The Services served here, their endpoints and their counters; what is refused, and why.
    Services {
        /// Only Services whose namespace/name has this in it.
        name: Option<String>,
    },
    /// The NetworkPolicies that matter to pods of this node, and what they allowed and denied.
    Policies {
        /// Only policies whose namespace/name has this in it.
        name: Option<String>,
    },
    /// What the switch dropped, by reason.
    Drops {
        /// Stay, and print dropped packets as they are sampled: who, to whom, port, reason.
        #[arg(long, short)]
        follow: bool,
    },
    /// Walks a packet through the flows that are in the switch now, and names the endpoint chosen and what decides.
    /// Exits 1 unless the packet is delivered.
    Why(WhyArgs),
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

#[derive(Debug, Args)]
struct WhyArgs {
    /// Who sends: a pod of this node (namespace/name, or a name in namespace default) or an address.
    from: String,
    /// For whom: a pod, a Service (namespace/name) or an address.
    to: String,
    /// Protocol and port: tcp/80, udp/53, sctp/9, icmp; a Service's only port may be left out.
    target: Option<String>,
    /// The source port, if it matters.
    #[arg(long)]
    source_port: Option<u16>,
}

impl WhyArgs {
    fn request(&self) -> Result<WhyRequest, Failure> {
        let target = self.target.as_deref().unwrap_or("tcp");
        let (protocol, port) = target.split_once('/').unwrap_or((target, ""));
        let known = ["tcp", "udp", "sctp", "icmp"].contains(&protocol);
        let number = match port {
            "" => Some(None),
            port => port.parse().ok().map(Some),
        };
        match number {
            Some(port) if known => Ok(WhyRequest {
                from: self.from.clone(),
                to: self.to.clone(),
                protocol: protocol.to_owned(),
                port,
                source_port: self.source_port,
            }),
            _ => Err(Failure::Usage(format!(
                "{target:?} is no protocol and port: write tcp/80, udp/53, sctp/9 or icmp"
            ))),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    Client(ClientError),
    Usage(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Usage(text) => f.write_str(text),
        }
    }
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

fn run(cli: &Cli) -> Result<(String, u8), Failure> {
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
        Command::Services { name } => {
            let report = ask::<Services>(cli, &ServicesRequest { name: name.clone() })?;
            (either(json, &report, print::services), 0)
        }
        Command::Policies { name } => {
            let report = ask::<Policies>(cli, &PoliciesRequest { name: name.clone() })?;
            (either(json, &report, print::policies), 0)
        }
        Command::Drops { follow: false } => {
            let report = ask::<Drops>(cli, &DropsRequest::default())?;
            (either(json, &report, print::drops), 0)
        }
        Command::Drops { follow: true } => return follow_drops(cli, json),
        Command::Why(args) => {
            let report = ask::<Why>(cli, &args.request()?)?;
            let delivered = report.verdict == "delivered";
            (either(json, &report, print::why), u8::from(!delivered))
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

/// Prints samples, a line each, until nobody reads any more or the agent goes.
fn follow_drops(cli: &Cli, json: bool) -> Result<(String, u8), Failure> {
    let mut request = DropsRequest {
        follow: true,
        after: None,
    };
    loop {
        let report = ask::<Drops>(cli, &request)?;
        let mut text = String::new();
        for sample in &report.samples {
            text.push_str(&if json {
                serde_json::to_string(sample).unwrap_or_default()
            } else {
                print::drop_sample(sample)
            });
            text.push('\n');
        }
        request.after = Some(report.last);
        let mut out = std::io::stdout().lock();
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            return Ok((String::new(), 0));
        }
        if report.lost > 0 {
            eprintln!("sluicectl: {} samples lost: too many at once", report.lost);
        }
    }
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
