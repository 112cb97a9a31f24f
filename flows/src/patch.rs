//! What has to change in a switch, and in which order it is said.

use std::net::IpAddr;

use openflow::{FlowMod, GroupId, GroupMod, Message, TableId};

use crate::cookie::Cookie;
use crate::flow::{Flow, FlowKey, Group, Program};
use crate::model::{Backend, Protocol};
use crate::pipeline::Table;
use crate::policy::Revoked;

/// A change of a switch's content, in no more than one word per flow and group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Groups that are new, or there with other buckets.
    pub groups_set: Vec<Group>,
    /// Flows that are new, or there with other instructions or another cookie.
    pub flows_set: Vec<Flow>,
    /// Flows that go.
    pub flows_gone: Vec<FlowKey>,
    /// Groups that go.
    pub groups_gone: Vec<GroupId>,
    /// Endpoints of Services that clients need not be kept at any more: the flows that the switch learned with these
    /// cookies go.
    pub forgotten: Vec<Cookie>,
    /// Endpoints that went and whose connections do not end by themselves: their conntrack entries should go once the
    /// patch is in the switch. Of protocols without an end of their own, and not a matter of flows.
    pub released: Vec<Released>,
    /// Flows that go by themselves after a while: no part of the program, and not compared.
    pub passing: Vec<FlowMod>,
    /// Connections that conntrack may have to forget, once the switch has the patch.
    pub revoked: Vec<Revoked>,
}

/// An endpoint that a Service let go of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The protocol.
    pub protocol: Protocol,
    /// Where the Service listened: to what its connections were addressed.
    pub listeners: Vec<(IpAddr, u16)>,
    /// The endpoint.
    pub backend: Backend,
}

impl Patch {
    /// What leads from one program to another.
    pub fn between(before: &Program, after: &Program) -> Self {
        let mut patch = Self::default();
        for group in after.groups() {
            if before.group(group.id) != Some(group) {
                patch.groups_set.push(group.clone());
            }
        }
        for (key, cookie, instructions) in after.flows() {
            if before.get(key) != Some((cookie, instructions)) {
                let instructions = instructions.to_vec();
                patch.flows_set.push(Flow {
                    key: key.clone(),
                    cookie,
                    instructions,
                });
            }
        }
        let gone = before.flows().filter(|(key, ..)| after.get(key).is_none());
        patch.flows_gone = gone.map(|(key, ..)| key.clone()).collect();
        let gone = before
            .groups()
            .filter(|group| after.group(group.id).is_none());
        patch.groups_gone = gone.map(|group| group.id).collect();
        patch
    }

    /// Adds another patch, of other flows and groups.
    pub(crate) fn append(&mut self, other: Self) {
        let Self {
            groups_set,
            flows_set,
            flows_gone,
            groups_gone,
            forgotten,
            released,
            passing,
            revoked,
        } = other;
        self.groups_set.extend(groups_set);
        self.flows_set.extend(flows_set);
        self.flows_gone.extend(flows_gone);
        self.groups_gone.extend(groups_gone);
        self.forgotten.extend(forgotten);
        self.released.extend(released);
        self.passing.extend(passing);
        self.revoked.extend(revoked);
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.released.is_empty() && self.revoked.is_empty()
    }

    /// How many flows, groups and cookies it touches: the number of messages.
    pub fn len(&self) -> usize {
        let Self {
            groups_set,
            flows_set,
            flows_gone,
            groups_gone,
            forgotten,
            released: _,
            passing,
            revoked: _,
        } = self;
        let flows = flows_set.len() + flows_gone.len() + passing.len();
        flows + groups_set.len() + groups_gone.len() + forgotten.len()
    }

    /// Makes a program what the patch says.
    pub fn apply_to(&self, program: &mut Program) {
        for group in &self.groups_set {
            program.insert_group(group.clone());
        }
        for flow in &self.flows_set {
            program.insert(flow.clone());
        }
        for key in &self.flows_gone {
            program.remove(key);
        }
        for id in &self.groups_gone {
            program.remove_group(*id);
        }
    }

    /// What to tell the switch, in this order and in one bundle: groups before the flows that use them, deletions
    /// last, and a group only when no flow uses it any more (the switch would remove those flows with it). What goes by
    /// itself comes after the flows that go, since it may take the place of one.
    pub fn into_steps(self) -> impl Iterator<Item = Step> {
        let Self {
            groups_set,
            flows_set,
            flows_gone,
            groups_gone,
            forgotten,
            released: _,
            passing,
            revoked: _,
        } = self;
        let groups_set = groups_set.into_iter().map(|group| group.to_set());
        let groups_gone = groups_gone.into_iter().map(GroupMod::delete);
        groups_set
            .map(Step::Group)
            .chain(flows_set.into_iter().map(Step::FlowSet))
            .chain(flows_gone.into_iter().map(Step::FlowGone))
            .chain(passing.into_iter().map(Step::Passing))
            .chain(groups_gone.map(Step::Group))
            .chain(forgotten.into_iter().map(Step::Forget))
    }

    /// The same, as messages.
    pub fn messages(&self) -> Vec<Message> {
        let steps = self.clone().into_steps();
        steps.map(|step| step.message()).collect()
    }
}

/// One message, and what it is for.
#[derive(Debug, Clone)]
pub enum Step {
    /// Makes or replaces a flow.
    FlowSet(Flow),
    /// Removes a flow.
    FlowGone(FlowKey),
    /// Makes, replaces or removes a group.
    Group(GroupMod),
    /// Makes a flow that goes by itself.
    Passing(FlowMod),
    /// Removes what the switch learned with this cookie.
    Forget(Cookie),
    /// Begins an epoch, or ends one.
    Epoch(FlowMod),
}

impl Step {
    /// The message.
    pub fn message(&self) -> Message {
        match self {
            Self::FlowSet(flow) => Message::FlowMod(flow.to_add()),
            Self::FlowGone(key) => Message::FlowMod(key.to_delete()),
            Self::Group(group) => Message::GroupMod(group.clone()),
            Self::Passing(flow) => Message::FlowMod(flow.clone()),
            Self::Forget(cookie) => Message::FlowMod(cookie.to_forget()),
            Self::Epoch(flow) => Message::FlowMod(flow.clone()),
        }
    }

    /// The table whose flows it changes.
    pub(crate) fn table(&self) -> Option<TableId> {
        match self {
            Self::FlowSet(flow) => Some(flow.key.table),
            Self::FlowGone(key) => Some(key.table),
            Self::Passing(flow) | Self::Epoch(flow) => Some(flow.table),
            Self::Forget(_) => Some(Table::Affinity.id()),
            Self::Group(_) => None,
        }
    }
}
