//! The daemon: wires the parts together and owns start and stop.
