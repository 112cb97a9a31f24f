//! Undoing everything that the agent made on a node, and nothing else.
