//! The tables and columns of the Open_vSwitch database that the agent reads; what is not listed
//! here is not watched, and does not wake the agent.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::Uuid;

ovsdb::table! {
    /// The switch as a whole.
    pub struct OpenVSwitch: "Open_vSwitch" {
        /// Its bridges.
        bridges: BTreeSet<Uuid>,
        /// Its datapaths by type.
        datapaths: BTreeMap<String, Uuid>,
        /// Configuration.
        other_config: BTreeMap<String, String>,
        /// Raised by whoever wants to know when the switch has caught up.
        next_cfg: i64,
        /// The `next_cfg` up to which the switch has caught up.
        cur_cfg: i64,
        /// Version of the running switch.
        ovs_version: Option<String>,
        /// Version of the database's schema.
        db_version: Option<String>,
        /// The datapath types that the running switch can make.
        datapath_types: BTreeSet<String>,
        /// The interface types that the running switch can make.
        iface_types: BTreeSet<String>,
    }

    /// A bridge.
    pub struct Bridge: "Bridge" {
        /// Its name.
        name: String,
        /// `system`, `netdev`, or empty for `system`.
        datapath_type: String,
        /// What it does without a controller.
        fail_mode: Option<String>,
        /// The OpenFlow versions that it speaks.
        protocols: BTreeSet<String>,
        /// Its ports.
        ports: BTreeSet<Uuid>,
        /// Configuration of its flow tables, by table id.
        flow_tables: BTreeMap<i64, Uuid>,
        /// Marks.
        external_ids: BTreeMap<String, String>,
    }

    /// A port of a bridge.
    pub struct Port: "Port" {
        /// Its name.
        name: String,
        /// Its interfaces; one, unless it is a bond.
        interfaces: BTreeSet<Uuid>,
        /// Marks.
        external_ids: BTreeMap<String, String>,
    }

    /// An interface of a port.
    pub struct Interface: "Interface" {
        /// Its name, that of the device.
        name: String,
        /// `internal`, a tunnel type, or empty for a device of the system.
        kind = "type": String,
        /// Configuration by type.
        options: BTreeMap<String, String>,
        /// Its OpenFlow port number; -1 if the switch could not make it.
        ofport: Option<i64>,
        /// The number that was asked for.
        ofport_request: Option<i64>,
        /// Why the switch could not make it.
        error: Option<String>,
        /// Marks.
        external_ids: BTreeMap<String, String>,
    }

    /// Configuration of a flow table.
    pub struct FlowTable: "Flow_Table" {
        /// Its name, as `ovs-ofctl --names` prints it.
        name: Option<String>,
        /// Fields for which the classifier keeps tries.
        prefixes: BTreeSet<String>,
    }

    /// A datapath.
    pub struct Datapath: "Datapath" {
        /// What it can do.
        capabilities: BTreeMap<String, String>,
        /// Configuration of its conntrack zones, by zone.
        ct_zones: BTreeMap<i64, Uuid>,
        /// Marks.
        external_ids: BTreeMap<String, String>,
    }

    /// Configuration of a conntrack zone.
    pub struct CtZone: "CT_Zone" {
        /// How long its connections are remembered.
        timeout_policy: Option<Uuid>,
        /// Marks.
        external_ids: BTreeMap<String, String>,
    }

    /// How long connections are remembered.
    pub struct CtTimeoutPolicy: "CT_Timeout_Policy" {
        /// Seconds by state; what is not named is as the datapath has it.
        timeouts: BTreeMap<String, i64>,
    }
}
