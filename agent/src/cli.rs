//! The command line of `sluice-agent`.
