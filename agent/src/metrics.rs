//! The metrics of the agent.
