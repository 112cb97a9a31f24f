//! The OVSDB side of the switch: bridge, ports, capabilities.
