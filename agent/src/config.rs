//! The configuration of the agent: what each key means, and how file, environment and flags combine.
