//! The command line of `sluice-agent`: flags and environment variables follow from the table of
//! configuration keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, Command};

use crate::config::{Config, ConfigError, KEYS, Origin, unknown_variables};
use crate::{cleanup, daemon, install, telemetry};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Run the agent; also without any subcommand.
    Run,
    /// Remove from the node whatever the agent made.
    Cleanup,
    /// Put the CNI plugin, which lies beside this program, into this folder.
    InstallCni(PathBuf),
}

/// Runs `sluice-agent` with the process's arguments; returns the exit code.
///
/// 0 success; 1 failure, described on standard error; 2 a command line that makes no sense.
pub fn main() -> ExitCode {
    let (task, config) = match parse(std::env::args_os()) {
        Ok((task, Ok(config))) => (task, config),
        Ok((_, Err(error))) => {
            eprintln!("sluice-agent: {error}");
            return ExitCode::from(2);
        }
        Err(usage) => usage.exit(),
    };
    telemetry::init(&config);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in unknown_variables(names) {
        tracing::warn!(
            name,
            "no key has this environment variable; it changes nothing"
        );
    }
    let result = match task {
        Task::Run => daemon::run(config),
        Task::Cleanup => cleanup::run(&config),
        Task::InstallCni(folder) => install::run(&folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "giving up");
            ExitCode::FAILURE
        }
    }
}

/// Parses arguments, the first being the program's name.
///
/// # Errors
/// The outer error is clap's (usage, or `--help`); the inner one concerns file and values.
pub fn parse<I>(arguments: I) -> Result<(Task, Result<Config, ConfigError>), clap::Error>
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    let (task, matches) = match matches.subcommand() {
        Some(("cleanup", inner)) => (Task::Cleanup, inner.clone()),
        Some(("install-cni", inner)) => {
            let folder = inner.get_one::<PathBuf>("folder").cloned();
            (Task::InstallCni(folder.unwrap_or_default()), inner.clone())
        }
        Some((_, inner)) => (Task::Run, inner.clone()),
        None => (Task::Run, matches),
    };
    let mut named = BTreeMap::new();
    for key in KEYS {
        let origin = match matches.value_source(key.name) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ => continue,
        };
        if let Some(value) = matches.get_one::<String>(key.name) {
            named.insert(key.name, (value.clone(), origin));
        }
    }
    let file = matches.get_one::<PathBuf>("config");
    Ok((task, Config::resolve(named, file.map(PathBuf::as_path))))
}

/// The command line as clap sees it.
pub fn command() -> Command {
    let mut command = Command::new("sluice-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Keeps an Open vSwitch bridge as the cluster state asks for, and attaches pods to it")
        .after_help(
            "Every option is also a key of the TOML file, and an environment variable. \
             A flag wins over the environment, the environment over the file, the file over the default.",
        )
        .subcommand(Command::new("run").about("Run the agent (also without a subcommand)"))
        .subcommand(Command::new("cleanup").about(
            "Remove from this node whatever the agent made: ports, bridge, routes, firewall table, conflist",
        ))
        .subcommand(
            Command::new("install-cni")
                .about(
                    "Put the CNI plugin sluice-cni, which lies beside this program, into a folder, by rename",
                )
                .arg(
                    Arg::new("folder")
                        .value_name("FOLDER")
                        .required(true)
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("Where the container runtime looks for plugins, such as /opt/cni/bin"),
                ),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .short('c')
                .env("SLUICE_CONFIG")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help("TOML file with any of the keys below"),
        );
    for key in KEYS {
        let help = match key.default {
            "" => key.help.trim().to_owned(),
            default => format!("{} [default: {default}]", key.help.trim()),
        };
        command = command.arg(
            Arg::new(key.name)
                .long(key.name)
                .env(key.env)
                .value_name("VALUE")
                .global(true)
                .help(help),
        );
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_table() {
        command().debug_assert();
        let help = command().render_long_help().to_string();
        for key in KEYS {
            assert!(help.contains(&format!("--{}", key.name)), "{}", key.name);
            assert!(help.contains(key.env), "{}", key.env);
        }
    }

    #[test]
    fn flags_are_taken_before_and_after_the_subcommand() {
        for arguments in [
            vec!["sluice-agent", "--bridge", "br7", "cleanup"],
            vec!["sluice-agent", "cleanup", "--bridge", "br7"],
        ] {
            let (task, config) = parse(arguments).expect("usage");
            assert_eq!(task, Task::Cleanup);
            assert_eq!(config.expect("a configuration").bridge.as_str(), "br7");
        }
        assert!(parse(["sluice-agent", "--brigde", "x"]).is_err());
    }
}
