//! A bundle in the making: what to send, in order, and which object each message is for.

use openflow::Message;
use sluice_flows::{Patch, Released, Revoked, Step};

/// The steps of one bundle.
#[derive(Debug, Default)]
pub(super) struct Plan {
    steps: Vec<Step>,
    /// Endpoints whose connections are to be forgotten once the switch has the steps.
    released: Vec<Released>,
    /// Connections to judge anew then.
    revoked: Vec<Revoked>,
}

impl Plan {
    /// Appends a patch. Patches are appended in the order in which their changes happened; each is
    /// ordered in itself, and the switch applies a bundle in order.
    pub(super) fn extend(&mut self, mut patch: Patch) {
        self.released.append(&mut patch.released);
        self.revoked.append(&mut patch.revoked);
        self.steps.extend(patch.into_steps());
    }

    /// Appends what has to go with it.
    pub(super) fn append(&mut self, steps: Vec<Step>) {
        self.steps.extend(steps);
    }

    /// Takes out the connections to judge anew.
    pub(super) fn take_revoked(&mut self) -> Vec<Revoked> {
        std::mem::take(&mut self.revoked)
    }

    /// Takes out the endpoints whose connections are to be forgotten.
    pub(super) fn take_released(&mut self) -> Vec<Released> {
        std::mem::take(&mut self.released)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many messages are about flows.
    pub(super) fn flows(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| !matches!(step, Step::Group(_)))
            .count()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.steps.iter().map(Step::message).collect()
    }

    /// Takes out the step at `index`.
    pub(super) fn take(&mut self, index: usize) -> Option<Step> {
        (index < self.steps.len()).then(|| self.steps.remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openflow::{FlowModCommand, GroupId, GroupType, Match, TableId};
    use sluice_flows::pipeline::Table;
    use sluice_flows::{Cookie, Flow, FlowKey, Group};

    fn flow(priority: u16) -> Flow {
        let key = FlowKey {
            table: TableId(0),
            priority,
            match_: Match::new(),
        };
        Flow {
            key,
            cookie: Cookie::base(Table::Classify),
            instructions: Vec::new(),
        }
    }

    #[test]
    fn groups_come_before_flows_and_deletions_last() {
        let group = |id| Group {
            id: GroupId(id),
            type_: GroupType::Select,
            buckets: Vec::new(),
        };
        let mut plan = Plan::default();
        plan.extend(Patch {
            groups_set: vec![group(1)],
            flows_set: vec![flow(1)],
            flows_gone: vec![flow(2).key],
            groups_gone: vec![GroupId(2)],
            passing: vec![flow(2).to_add()],
            ..Patch::default()
        });
        let kinds: Vec<_> = plan
            .messages()
            .iter()
            .map(|message| match message {
                Message::GroupMod(_) => "group",
                Message::FlowMod(flow) if flow.command == FlowModCommand::Add => "flow",
                Message::FlowMod(_) => "deletion",
                _ => "other",
            })
            .collect();
        assert_eq!(kinds, ["group", "flow", "deletion", "flow", "group"]);
        assert_eq!(plan.flows(), 3);
        assert!(matches!(plan.take(1), Some(Step::FlowSet(taken)) if taken == flow(1)));
        assert!(plan.take(9).is_none());
        assert_eq!(plan.len(), 4);
    }
}
