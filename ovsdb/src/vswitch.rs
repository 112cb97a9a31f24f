//! The tables of the `Open_vSwitch` database (ovs-vswitchd.conf.db(5)), one declaration each.
//!
//! Owns: which columns a program that runs a switch needs, and their Rust types. Must not know: how
//! declarations become code ([`crate::table!`]), or connections.
//!
//! A replica opened with [`crate::ReplicaBuilder::table`] watches exactly the columns declared, so
//! fewer columns are fewer wake-ups. Who needs others declares a table of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::table;
use crate::uuid::Uuid;

/// The name of the database.
pub const DATABASE: &str = "Open_vSwitch";

table! {
    /// The root: one row, the switch as a whole.
    pub struct OpenVSwitch: "Open_vSwitch" {
        /// The datapaths by type.
        datapaths: BTreeMap<String, Uuid>,
        /// Rows of Bridge.
        bridges: BTreeSet<Uuid>,
        /// Rows of Manager.
        manager_options: BTreeSet<Uuid>,
        /// A row of SSL.
        ssl: Option<Uuid>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
        /// Raised by a client that then waits for `cur_cfg` to reach it.
        next_cfg: i64,
        /// The `next_cfg` that the running switch has carried out.
        cur_cfg: i64,
        /// `ovs_version` of ovs-vswitchd.conf.db(5).
        ovs_version: Option<String>,
        /// `db_version` of ovs-vswitchd.conf.db(5).
        db_version: Option<String>,
        /// `system_type` of ovs-vswitchd.conf.db(5).
        system_type: Option<String>,
        /// `system_version` of ovs-vswitchd.conf.db(5).
        system_version: Option<String>,
        /// The types of datapaths that the running switch can make.
        datapath_types: BTreeSet<String>,
        /// The types of interfaces that the running switch can make.
        iface_types: BTreeSet<String>,
        /// `dpdk_initialized` of ovs-vswitchd.conf.db(5).
        dpdk_initialized: bool,
    }

    /// A bridge.
    pub struct Bridge: "Bridge" {
        /// `name` of ovs-vswitchd.conf.db(5).
        name: String,
        /// `""` or `system` (kernel), `netdev` (userspace).
        datapath_type: String,
        /// `datapath_version` of ovs-vswitchd.conf.db(5).
        datapath_version: String,
        /// `datapath_id` of ovs-vswitchd.conf.db(5).
        datapath_id: Option<String>,
        /// `stp_enable` of ovs-vswitchd.conf.db(5).
        stp_enable: bool,
        /// `rstp_enable` of ovs-vswitchd.conf.db(5).
        rstp_enable: bool,
        /// `mcast_snooping_enable` of ovs-vswitchd.conf.db(5).
        mcast_snooping_enable: bool,
        /// Rows of Port.
        ports: BTreeSet<Uuid>,
        /// Rows of Mirror.
        mirrors: BTreeSet<Uuid>,
        /// A row of NetFlow.
        netflow: Option<Uuid>,
        /// A row of sFlow.
        sflow: Option<Uuid>,
        /// A row of IPFIX.
        ipfix: Option<Uuid>,
        /// Rows of Controller.
        controller: BTreeSet<Uuid>,
        /// The OpenFlow versions spoken.
        protocols: BTreeSet<String>,
        /// Without a controller: `standalone` (a learning switch, also when unset) or `secure`.
        fail_mode: Option<String>,
        /// `status` of ovs-vswitchd.conf.db(5).
        status: BTreeMap<String, String>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
        /// `flood_vlans` of ovs-vswitchd.conf.db(5): ids of VLANs, in which no addresses are learned.
        flood_vlans: BTreeSet<i64>,
        /// The configured flow tables by number.
        flow_tables: BTreeMap<i64, Uuid>,
        /// A row of AutoAttach.
        auto_attach: Option<Uuid>,
    }

    /// A port of a bridge: one interface, or several bonded.
    pub struct Port: "Port" {
        /// `name` of ovs-vswitchd.conf.db(5).
        name: String,
        /// Rows of Interface.
        interfaces: BTreeSet<Uuid>,
        /// `trunks` of ovs-vswitchd.conf.db(5): ids of the VLANs trunked; empty is all.
        trunks: BTreeSet<i64>,
        /// `tag` of ovs-vswitchd.conf.db(5): the id of a VLAN.
        tag: Option<i64>,
        /// `vlan_mode` of ovs-vswitchd.conf.db(5).
        vlan_mode: Option<String>,
        /// A row of QoS.
        qos: Option<Uuid>,
        /// `mac` of ovs-vswitchd.conf.db(5).
        mac: Option<String>,
        /// `bond_mode` of ovs-vswitchd.conf.db(5).
        bond_mode: Option<String>,
        /// `lacp` of ovs-vswitchd.conf.db(5).
        lacp: Option<String>,
        /// `bond_fake_iface` of ovs-vswitchd.conf.db(5).
        bond_fake_iface: bool,
        /// `fake_bridge` of ovs-vswitchd.conf.db(5).
        fake_bridge: bool,
        /// `status` of ovs-vswitchd.conf.db(5).
        status: BTreeMap<String, String>,
        /// `protected` of ovs-vswitchd.conf.db(5).
        protected: bool,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// A network device of a port. `statistics`, which changes every few seconds, is left out.
    pub struct Interface: "Interface" {
        /// `name` of ovs-vswitchd.conf.db(5).
        name: String,
        /// What kind of device: `""` (of the system), `internal`, `vxlan`, `geneve`, …
        r#type = "type": String,
        /// `options` of ovs-vswitchd.conf.db(5).
        options: BTreeMap<String, String>,
        /// Policing of what the device sends, in kbit/s; 0 is none.
        ingress_policing_rate: i64,
        /// The burst policing allows, in kbit; 0 is the default, 8,000.
        ingress_policing_burst: i64,
        /// `mac_in_use` of ovs-vswitchd.conf.db(5).
        mac_in_use: Option<String>,
        /// `mac` of ovs-vswitchd.conf.db(5).
        mac: Option<String>,
        /// `ifindex` of ovs-vswitchd.conf.db(5): the number of the device in its kernel.
        ifindex: Option<i64>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
        /// The OpenFlow port number; none until the switch has chosen, -1 if it could not add the device (see `error`).
        ofport: Option<i64>,
        /// The OpenFlow port number wanted.
        ofport_request: Option<i64>,
        /// `bfd` of ovs-vswitchd.conf.db(5).
        bfd: BTreeMap<String, String>,
        /// `bfd_status` of ovs-vswitchd.conf.db(5).
        bfd_status: BTreeMap<String, String>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `status` of ovs-vswitchd.conf.db(5).
        status: BTreeMap<String, String>,
        /// `admin_state` of ovs-vswitchd.conf.db(5).
        admin_state: Option<String>,
        /// `link_state` of ovs-vswitchd.conf.db(5).
        link_state: Option<String>,
        /// `link_resets` of ovs-vswitchd.conf.db(5): how often the state of the link changed.
        link_resets: Option<i64>,
        /// The negotiated speed, in bits per second.
        link_speed: Option<i64>,
        /// `duplex` of ovs-vswitchd.conf.db(5).
        duplex: Option<String>,
        /// The MTU, in bytes.
        mtu: Option<i64>,
        /// The MTU wanted, in bytes.
        mtu_request: Option<i64>,
        /// Why the device could not be added or configured.
        error: Option<String>,
    }

    /// A flow table's configuration, such as its name.
    pub struct FlowTable: "Flow_Table" {
        /// The table's name, as `ovs-ofctl --names` prints it.
        name: Option<String>,
        /// `flow_limit` of ovs-vswitchd.conf.db(5): the most flows in the table; none is no limit.
        flow_limit: Option<i64>,
        /// `overflow_policy` of ovs-vswitchd.conf.db(5).
        overflow_policy: Option<String>,
        /// `groups` of ovs-vswitchd.conf.db(5).
        groups: BTreeSet<String>,
        /// `prefixes` of ovs-vswitchd.conf.db(5).
        prefixes: BTreeSet<String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// An OpenFlow controller of a bridge.
    pub struct Controller: "Controller" {
        /// `target` of ovs-vswitchd.conf.db(5).
        target: String,
        /// `max_backoff` of ovs-vswitchd.conf.db(5): the longest wait between attempts to connect, in milliseconds.
        max_backoff: Option<i64>,
        /// `inactivity_probe` of ovs-vswitchd.conf.db(5): silence before a probe, in milliseconds; 0 for no probes.
        inactivity_probe: Option<i64>,
        /// `connection_mode` of ovs-vswitchd.conf.db(5).
        connection_mode: Option<String>,
        /// `enable_async_messages` of ovs-vswitchd.conf.db(5).
        enable_async_messages: Option<bool>,
        /// `controller_rate_limit` of ovs-vswitchd.conf.db(5): the most packets per second sent it; none is no limit.
        controller_rate_limit: Option<i64>,
        /// `controller_burst_limit` of ovs-vswitchd.conf.db(5): the most packets queued above that rate.
        controller_burst_limit: Option<i64>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
        /// `is_connected` of ovs-vswitchd.conf.db(5).
        is_connected: bool,
        /// `role` of ovs-vswitchd.conf.db(5).
        role: Option<String>,
        /// `status` of ovs-vswitchd.conf.db(5).
        status: BTreeMap<String, String>,
    }

    /// An OVSDB client that the server connects to or listens for.
    pub struct Manager: "Manager" {
        /// `target` of ovs-vswitchd.conf.db(5).
        target: String,
        /// `max_backoff` of ovs-vswitchd.conf.db(5): the longest wait between attempts to connect, in milliseconds.
        max_backoff: Option<i64>,
        /// `inactivity_probe` of ovs-vswitchd.conf.db(5): silence before a probe, in milliseconds; 0 for no probes.
        inactivity_probe: Option<i64>,
        /// `connection_mode` of ovs-vswitchd.conf.db(5).
        connection_mode: Option<String>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
        /// `is_connected` of ovs-vswitchd.conf.db(5).
        is_connected: bool,
        /// `status` of ovs-vswitchd.conf.db(5).
        status: BTreeMap<String, String>,
    }

    /// A datapath: what it can do, and its conntrack zones.
    pub struct Datapath: "Datapath" {
        /// `datapath_version` of ovs-vswitchd.conf.db(5).
        datapath_version: String,
        /// Rows of CT_Zone.
        ct_zones: BTreeMap<i64, Uuid>,
        /// `capabilities` of ovs-vswitchd.conf.db(5).
        capabilities: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// A conntrack zone's configuration.
    pub struct CtZone: "CT_Zone" {
        /// A row of CT_Timeout_Policy.
        timeout_policy: Option<Uuid>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// Timeouts of conntrack entries, in seconds.
    pub struct CtTimeoutPolicy: "CT_Timeout_Policy" {
        /// `timeouts` of ovs-vswitchd.conf.db(5): seconds, by the state of the connection.
        timeouts: BTreeMap<String, i64>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// A port's quality of service.
    pub struct Qos: "QoS" {
        /// `type` of ovs-vswitchd.conf.db(5).
        r#type = "type": String,
        /// Rows of Queue.
        queues: BTreeMap<i64, Uuid>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// A queue of a QoS.
    pub struct Queue: "Queue" {
        /// `dscp` of ovs-vswitchd.conf.db(5): the six bits that are set in what leaves; none changes nothing.
        dscp: Option<i64>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// A port mirror.
    pub struct Mirror: "Mirror" {
        /// `name` of ovs-vswitchd.conf.db(5).
        name: String,
        /// `select_all` of ovs-vswitchd.conf.db(5).
        select_all: bool,
        /// Rows of Port.
        select_src_port: BTreeSet<Uuid>,
        /// Rows of Port.
        select_dst_port: BTreeSet<Uuid>,
        /// `select_vlan` of ovs-vswitchd.conf.db(5): ids of the VLANs mirrored; empty is all.
        select_vlan: BTreeSet<i64>,
        /// A row of Port.
        output_port: Option<Uuid>,
        /// `output_vlan` of ovs-vswitchd.conf.db(5): the id of a VLAN.
        output_vlan: Option<i64>,
        /// `snaplen` of ovs-vswitchd.conf.db(5): the most bytes mirrored of a packet; none is all.
        snaplen: Option<i64>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// A NetFlow export.
    pub struct NetFlow: "NetFlow" {
        /// `targets` of ovs-vswitchd.conf.db(5).
        targets: BTreeSet<String>,
        /// `engine_type` of ovs-vswitchd.conf.db(5).
        engine_type: Option<i64>,
        /// `engine_id` of ovs-vswitchd.conf.db(5).
        engine_id: Option<i64>,
        /// `add_id_to_interface` of ovs-vswitchd.conf.db(5).
        add_id_to_interface: bool,
        /// `active_timeout` of ovs-vswitchd.conf.db(5): interval of records of a flow, in seconds; 0 is the default, -1 none.
        active_timeout: i64,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// An sFlow export.
    pub struct SFlow: "sFlow" {
        /// `targets` of ovs-vswitchd.conf.db(5).
        targets: BTreeSet<String>,
        /// `sampling` of ovs-vswitchd.conf.db(5): one packet out of so many is sampled.
        sampling: Option<i64>,
        /// `polling` of ovs-vswitchd.conf.db(5): the interval of port statistics, in seconds.
        polling: Option<i64>,
        /// `header` of ovs-vswitchd.conf.db(5): bytes sent of a sampled packet.
        header: Option<i64>,
        /// `agent` of ovs-vswitchd.conf.db(5).
        agent: Option<String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// An IPFIX export.
    pub struct Ipfix: "IPFIX" {
        /// `targets` of ovs-vswitchd.conf.db(5).
        targets: BTreeSet<String>,
        /// `sampling` of ovs-vswitchd.conf.db(5): one packet out of so many is sampled.
        sampling: Option<i64>,
        /// `obs_domain_id` of ovs-vswitchd.conf.db(5).
        obs_domain_id: Option<i64>,
        /// `obs_point_id` of ovs-vswitchd.conf.db(5).
        obs_point_id: Option<i64>,
        /// `cache_active_timeout` of ovs-vswitchd.conf.db(5): how long a record is cached at most, in seconds; 0 is not.
        cache_active_timeout: Option<i64>,
        /// `cache_max_flows` of ovs-vswitchd.conf.db(5): how many flow records are cached at most; 0 is none.
        cache_max_flows: Option<i64>,
        /// `other_config` of ovs-vswitchd.conf.db(5).
        other_config: BTreeMap<String, String>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// Where `sample` actions send their samples.
    pub struct FlowSampleCollectorSet: "Flow_Sample_Collector_Set" {
        /// `id` of ovs-vswitchd.conf.db(5).
        id: i64,
        /// A row of Bridge.
        bridge: Uuid,
        /// A row of IPFIX.
        ipfix: Option<Uuid>,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }

    /// The switch's own TLS identity, as file names.
    pub struct Ssl: "SSL" {
        /// `private_key` of ovs-vswitchd.conf.db(5).
        private_key: String,
        /// `certificate` of ovs-vswitchd.conf.db(5).
        certificate: String,
        /// `ca_cert` of ovs-vswitchd.conf.db(5).
        ca_cert: String,
        /// `bootstrap_ca_cert` of ovs-vswitchd.conf.db(5).
        bootstrap_ca_cert: bool,
        /// `external_ids` of ovs-vswitchd.conf.db(5).
        external_ids: BTreeMap<String, String>,
    }
}
