//! NetworkPolicy: what policies mean, by a naive evaluator, and that flows and every change say the same.
#![allow(clippy::unwrap_used, reason = "tests")]

mod changes;
mod cluster;
mod cyclonus;
mod cyclonus_cases;
mod flows;
mod installed;
mod limits;
mod meaning;
mod oracle;
mod random;
mod real_switch;
mod report;
mod revocation;
mod services;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../suite/switch.rs"]
mod switch;
