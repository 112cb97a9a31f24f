//! Part of the agent: source.
