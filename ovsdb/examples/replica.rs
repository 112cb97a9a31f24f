//! Prints a replica of a database as one line of JSON, and with `--follow` again after every change.
//!
//! ```text
//! cargo run -p ovsdb --example replica -- [--follow] REMOTE[,REMOTE…] DB [TABLE[:COLUMN,…]…]
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use ovsdb::{Client, Error, Options, Remote, ReplicaBuilder, Snapshot};

const USAGE: &str =
    "usage: replica [--follow] [--ssl KEY CERT CA] REMOTE[,REMOTE...] DB [TABLE[:COLUMN,...]...]";

struct Args {
    follow: bool,
    ssl: Option<[String; 3]>,
    remotes: Vec<Remote>,
    database: String,
    tables: Vec<String>,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let (mut follow, mut ssl, mut plain) = (false, None, Vec::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--follow" => follow = true,
            "--ssl" => {
                let mut file = || args.next().ok_or(USAGE);
                ssl = Some([file()?, file()?, file()?]);
            }
            option if option.starts_with('-') => {
                return Err(format!("unknown option {option}\n{USAGE}"));
            }
            _ => plain.push(arg),
        }
    }
    let mut plain = plain.into_iter();
    let (Some(remotes), Some(database)) = (plain.next(), plain.next()) else {
        return Err(USAGE.to_owned());
    };
    let remotes = Remote::parse_list(&remotes).map_err(|error| error.to_string())?;
    Ok(Args {
        follow,
        ssl,
        remotes,
        database,
        tables: plain.collect(),
    })
}

#[cfg(feature = "tls")]
fn options(ssl: Option<[String; 3]>) -> Result<Options, String> {
    let tls = ssl
        .map(|[key, cert, ca]| {
            ovsdb::TlsConfig::from_pem_files(key.as_ref(), cert.as_ref(), ca.as_ref())
        })
        .transpose()
        .map_err(|error| error.to_string())?;
    Ok(Options {
        tls,
        ..Options::default()
    })
}

#[cfg(not(feature = "tls"))]
fn options(ssl: Option<[String; 3]>) -> Result<Options, String> {
    match ssl {
        None => Ok(Options::default()),
        Some(_) => Err("--ssl: build with --features tls".to_owned()),
    }
}

fn spec(client: &Client, database: &str, tables: &[String]) -> ReplicaBuilder {
    let mut builder = client.replica(database);
    if tables.is_empty() {
        return builder.everything();
    }
    for table in tables {
        builder = match table.split_once(':') {
            Some((table, columns)) => {
                builder.columns(table, columns.split(',').filter(|c| !c.is_empty()))
            }
            None => builder.all_columns(table),
        };
    }
    builder
}

fn print(snapshot: &Snapshot) -> Result<(), String> {
    let mut line = serde_json::to_vec(snapshot).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)
        .and_then(|()| out.flush())
        .map_err(|error| error.to_string())
}

async fn run(args: Args) -> Result<(), String> {
    let client = Client::connect(args.remotes, options(args.ssl)?);
    let replica = loop {
        match spec(&client, &args.database, &args.tables)
            .open(Duration::from_secs(10))
            .await
        {
            Ok(replica) => break replica,
            // One that follows also waits for a server that is not there yet.
            Err(error @ (Error::Disconnected(_) | Error::Timeout(_))) if args.follow => {
                eprintln!("replica: {error}")
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    let mut changes = replica.changes();
    print(changes.current())?;
    while args.follow
        && let Some(change) = changes.next().await
    {
        print(&change.after)?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    let result = match parse(args.map(|arg| arg.to_string_lossy().into_owned())) {
        Ok(args) => run(args).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replica: {error}");
            ExitCode::FAILURE
        }
    }
}
