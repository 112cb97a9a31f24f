//! Requests and answers behind the CNI commands.
//!
//! They are not CNI's own JSON: the plugin translates, so that the agent need not know which CNI
//! version a runtime speaks.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The name of an attachment: one interface of one container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// `CNI_CONTAINERID`: the sandbox's id.
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
}

/// The pod a container belongs to, from `CNI_ARGS`. Absent for containers that no Kubernetes
/// made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodRef {
    /// `K8S_POD_NAMESPACE`.
    pub namespace: String,
    /// `K8S_POD_NAME`.
    pub name: String,
    /// `K8S_POD_UID`; the key of the pod where present: names are reused, uids are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// `cni_add`: attach a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddRequest {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`: the name the interface gets inside.
    pub ifname: String,
    /// `CNI_NETNS`: path of the container's network namespace, absolute, as the agent sees it.
    pub netns: String,
    /// `name` of the network configuration. Kept with the attachment, since GC is per network.
    pub network: String,
    /// Whose container it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// Ask for this MTU (bytes); an agent refuses more than its own. Absent: the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// The caller hangs up in this many milliseconds; what is not done by then is undone.
    pub deadline_ms: u64,
    /// How often this process has sent this request before; see the crate's promises.
    #[serde(default)]
    pub attempt: u32,
}

/// An attachment as the agent made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddResult {
    /// The switch's port: the interface's name on the host side.
    pub host_ifname: String,
    /// MAC of the host end where it is a device of its own (veth), `aa:bb:cc:dd:ee:ff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_mac: Option<String>,
    /// MAC inside the container.
    pub mac: String,
    /// MTU inside the container, bytes.
    pub mtu: u16,
    /// Addresses inside the container, at least one.
    pub ips: Vec<IpAssignment>,
    /// Routes inside the container.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Resolver settings, where the agent has any to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
}

/// An address of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpAssignment {
    /// Address and prefix length, host bits kept (`10.1.2.3/32`).
    pub address: IpNet,
    /// The next hop of the default route of this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub dst: IpNet,
    /// Next hop; absent for a link route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
}

/// Resolver settings (CNI specification 1.1.0, section 5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// In order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Resolver options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// `cni_del`: detach a container; succeeds when there is nothing to detach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelRequest {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// `name` of the network configuration.
    pub network: String,
    /// `CNI_NETNS` if the runtime still has one. It may be gone; the agent must not need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
}

/// Answer to [`DelRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelResult {
    /// Whether anything was there.
    pub removed: bool,
}

/// `cni_check`: is the attachment what it should be, in the container, in the switch's database
/// and in its flows?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// `CNI_NETNS`.
    pub netns: String,
    /// `name` of the network configuration.
    pub network: String,
}

/// Answer to [`CheckRequest`]. An attachment that the agent does not know is an error of code
/// [`UNKNOWN_CONTAINER`](crate::CniCode::UNKNOWN_CONTAINER) instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// What the agent holds the attachment to be; the plugin compares it with `prevResult`.
    pub attachment: AddResult,
    /// What is missing or wrong in the container, the database or the flows, one sentence each.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// `cni_gc`: remove every attachment of `network` that is not in `valid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRequest {
    /// `name` of the network configuration; other networks' attachments are left alone.
    pub network: String,
    /// The attachments that stay.
    pub valid: Vec<Attachment>,
}

/// Answer to [`GcRequest`]. The agent goes on after a failure and reports all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcResult {
    /// What was removed.
    #[serde(default)]
    pub removed: Vec<Attachment>,
    /// What could not be.
    #[serde(default)]
    pub failed: Vec<GcFailure>,
}

/// An attachment that GC could not remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcFailure {
    /// Which.
    pub attachment: Attachment,
    /// Why, for people.
    pub error: String,
}

/// `cni_status`: could an ADD be served now? No is an error of code
/// [`NOT_AVAILABLE`](crate::CniCode::NOT_AVAILABLE) or
/// [`LIMITED_CONNECTIVITY`](crate::CniCode::LIMITED_CONNECTIVITY). Called every five seconds by
/// some runtimes: it must cost no more than a look at memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRequest {
    /// `name` of the network configuration.
    pub network: String,
}

/// Yes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusResult {}
