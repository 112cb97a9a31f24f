//! `sluicectl`: the command line that asks a running agent.

/// Runs `sluicectl`.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
