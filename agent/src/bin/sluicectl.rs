//! `sluicectl`.
fn main() {}
