//! The nftables table of the node, as a whole: masquerading, ports of the node that the switch serves, refusals.
//!
//! `nft list table inet sluice` shows it. In short:
//!
//! ```text
//! table inet sluice {
//!     map own_ports_v4: address of the node, protocol and port, to where the switch serves it; map own_ports_v6 likewise
//!     map own_processes_v4: the same to address and port of a process of the node; map own_processes_v6 likewise
//!     chain refuse      limit rate over 1000/second drop; TCP: reset; else: port unreachable
//!     chain forward     hook forward, mangle: iifname "sluice0" oifname "sluice0" goto refuse
//!     chain guard       hook prerouting, mangle: iifname != "sluice0" ip daddr 169.254.83.0/24 drop
//!     chain prerouting  hook prerouting, dstnat: iifname != "sluice0" … dnat to … map @own_processes_…
//!                                                iifname != "sluice0" … dnat to … map @own_ports_…
//!     chain output      hook output, dstnat: the second of these for what the node itself sends
//!     chain postrouting hook postrouting, srcnat: iifname "sluice0" oifname != "sluice0" ip saddr … masquerade
//! }
//! ```
//!
//! Changes are one atomic batch. Each rule carries a comment that spells out what it does; comparing those tells
//! whether anything has to be changed. While the rules stay, a change of ports is sent as the set elements that
//! differ; when they do not, the table is made anew. Connections under way are not disturbed either
//! way: conntrack remembers what became of them. (`iifname` is known in postrouting since Linux 5.7.)
//!
//! Must not know pods or routes.

use std::{collections::BTreeSet, io};

use ipnet::IpNet;

use super::{HostError, netns::on_own_thread, services::OwnPort};

mod batch;
mod comment;
mod expression;
mod rules;
mod table;

use rules::{masquerade, own_ports, refuse};
use table::Table;

/// The name of the table, in the family `inet`.
pub const TABLE: &str = "sluice";

/// Everything that determines the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The gateway device.
    pub gateway: String,
    /// The podCIDRs to masquerade, of both families.
    pub masquerade: Vec<IpNet>,
    /// What the switch serves at this node's own addresses.
    pub own_ports: BTreeSet<OwnPort>,
}

impl Ruleset {
    fn table(&self) -> Table {
        let mut chains = Vec::from(refuse::chains(&self.gateway));
        chains.extend(own_ports::chains(&self.gateway));
        chains.push(masquerade::chain(&self.gateway, &self.masquerade));
        Table {
            sets: own_ports::sets(&self.own_ports),
            chains,
        }
    }
}

/// What had to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the table was made anew.
    pub replaced: bool,
    /// Set elements added; all of them in a table made anew.
    pub added: usize,
    /// Set elements removed.
    pub removed: usize,
    /// Whether connections under way may contradict what is served now.
    pub own_ports: bool,
}

impl Changes {
    /// Whether everything was as it should be.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// Makes the table say what `wanted` says, in one transaction.
///
/// # Errors
/// [`HostError::Kernel`], which names the change that the kernel refused: `ENOENT` or `EOPNOTSUPP` where it lacks
/// nf_tables or one of the expressions used (`nft_masq`, `nft_nat`, `nft_reject_inet`, `nft_limit`).
pub async fn ensure(wanted: &Ruleset) -> Result<Changes, HostError> {
    let wanted = wanted.clone();
    on_own_thread(move || {
        let table = wanted.table();
        let found = batch::found(&table.set_names()).map_err(|error| failed("read it", error))?;
        let mut changes = Changes::default();
        let mut batch = Vec::new();
        match found {
            Some(found) if table.has_shape(&found) => {
                for set in &table.sets {
                    let (missing, stale) = set.difference(&found);
                    changes.own_ports |= !(missing.is_empty() && stale.is_empty());
                    changes.added += missing.len();
                    changes.removed += stale.len();
                    batch.extend(set.remove(&stale));
                    batch.extend(set.add(&missing));
                }
            }
            _ => {
                changes.replaced = true;
                changes.own_ports = true;
                changes.added = table.sets.iter().map(|set| set.elements.len()).sum();
                batch = table.replace();
            }
        }
        if !batch.is_empty() {
            batch::commit(batch).map_err(|(what, error)| failed(&what, error))?;
        }
        Ok(changes)
    })
    .await
}

/// Deletes the table; says whether it was there.
///
/// # Errors
/// [`HostError::Kernel`].
pub async fn remove() -> Result<bool, HostError> {
    on_own_thread(|| {
        if !batch::exists().map_err(|error| failed("look for it", error))? {
            return Ok(false);
        }
        batch::commit(vec![table::delete_table()]).map_err(|(what, error)| failed(&what, error))?;
        Ok(true)
    })
    .await
}

fn failed(what: &str, error: io::Error) -> HostError {
    use nix::libc::{ENOENT, EOPNOTSUPP, EPROTONOSUPPORT};
    let lacking = matches!(
        error.raw_os_error(),
        Some(ENOENT | EOPNOTSUPP | EPROTONOSUPPORT)
    );
    let hint = if lacking {
        " (does the kernel have nf_tables, nft_nat, nft_masq, nft_reject_inet and nft_limit?)"
    } else {
        ""
    };
    HostError::kernel(format!("nftables table inet {TABLE}: {what}{hint}"), error)
}
