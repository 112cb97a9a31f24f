//! What the table is for: each idea with its chains, rules and sets.

pub(super) mod masquerade;
pub(super) mod own_ports;
pub(super) mod refuse;
