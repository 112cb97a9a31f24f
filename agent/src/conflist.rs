//! Writing the CNI network configuration list once the agent can serve it.
