//! `sluicectl`: the command line that asks a running agent.
