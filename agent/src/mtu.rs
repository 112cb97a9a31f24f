//! Part of the agent: mtu.
