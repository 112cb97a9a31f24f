//! `sluice-cni`, the CNI plugin of Sluice. All of it is in the library, for the tests' sake.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice_cni::main()
}
