//! `sluice-agent`.
fn main() {}
