//! Taking away what the agent made in the database.

use ovsdb::{Mutate, Transaction, Where};

use super::build::ROLE;
use super::schema::{Bridge, OpenVSwitch};
use super::{PortState, Switch, SwitchError, pod_ports, root, zones};

/// What [`Switch::tear_down`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TornDown {
    /// The bridge, if it was there and ours.
    pub bridge: Option<String>,
    /// The ports of pods that were on it.
    pub pods: Vec<PortState>,
    /// Whether `flow-restore-wait` was set.
    pub restore_wait: bool,
    /// Whether conntrack zones had timeouts of ours.
    pub zones: bool,
}

impl Switch {
    /// Removes the bridge with all that is on it, if it is ours, the timeouts of conntrack zones, and the
    /// `flow-restore-wait` key.
    /// Rows that hang on the bridge alone (ports, interfaces, flow tables) go with it.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn tear_down(&self) -> Result<TornDown, SwitchError> {
        let snapshot = self.database.snapshot()?;
        let name = self.wanted.bridge.as_str();
        let mut torn = TornDown::default();
        let mut mutate = Mutate::<OpenVSwitch>::rows(Where::all());
        let bridge = snapshot.table::<Bridge>()?.find(Bridge::name, name);
        match bridge {
            Some(bridge) if bridge.external_ids.contains_key(ROLE) => {
                torn.bridge = Some(bridge.name);
                torn.pods = pod_ports(&snapshot, name).unwrap_or_default();
                mutate = mutate.delete(OpenVSwitch::bridges, [bridge.uuid]);
            }
            Some(_) => tracing::warn!(bridge = name, "was not made by sluice; it is left alone"),
            None => {}
        }
        let key = "flow-restore-wait";
        if root(&snapshot).is_some_and(|root| root.other_config.contains_key(key)) {
            torn.restore_wait = true;
            mutate = mutate.delete_keys(OpenVSwitch::other_config, [key]);
        }
        let mut transaction = Transaction::new();
        torn.zones = zones::tear_down(&mut transaction, &snapshot)?;
        if torn != TornDown::default() {
            // So that the switch has let go of the devices when this is answered for.
            transaction.mutate(mutate.add(OpenVSwitch::next_cfg, 1));
            transaction.comment(format!("sluice-agent: remove bridge {name}"));
            self.database.transact(transaction).await?;
        }
        Ok(torn)
    }
}
