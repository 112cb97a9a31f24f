//! Logging: to standard error, as text or JSON.
//!
//! Field names are stable, so that logs can be searched: `bridge`, `table`, `pod`, `sandbox`,
//! `interface`, `generation`, `flow`, `error`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Sends log events to standard error from now on. A second call changes nothing.
pub fn init(config: &Config) {
    let filter = EnvFilter::try_new(config.log.as_str()).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // An error means that a subscriber is set already, by a test or an earlier call.
    let _already = match config.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
