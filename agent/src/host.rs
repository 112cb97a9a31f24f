//! Part of the agent: host.
