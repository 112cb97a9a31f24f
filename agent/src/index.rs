//! Part of the agent: index.
