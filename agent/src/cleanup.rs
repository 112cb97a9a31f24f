//! Undoing everything that the agent made on a node, and nothing else.

use crate::config::Config;

/// Removes what the agent made.
///
/// # Errors
/// If something of it cannot be removed.
pub fn run(_config: &Config) -> anyhow::Result<()> {
    anyhow::bail!("not wired yet")
}
