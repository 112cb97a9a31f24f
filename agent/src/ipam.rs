//! Part of the agent: ipam.
