//! `sluicectl`: asks a running agent. Everything is in the library; see its `ctl` module.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice_agent::ctl::main()
}
