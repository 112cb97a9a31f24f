//! The unix socket that the CNI plugin and `sluicectl` speak to.
