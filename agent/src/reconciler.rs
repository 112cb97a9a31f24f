//! The reconciler: the only writer of flows on the bridge.
