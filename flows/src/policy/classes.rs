//! Which class the addresses of a node are of: those that are in the same sets of peers share one.

use std::sync::Arc;

use ipnet::IpNet;

use super::content::{Digest, Peers};
use super::rules::Key;
use super::side::{Class, Side};

impl Side {
    /// The sets that a node's addresses are in, in order.
    fn sets_at(&self, net: &IpNet) -> Vec<u32> {
        let around = self.prefixes.sets_around(net);
        let members = self
            .prefixes
            .get(net)
            .map_or(&[][..], |node| &*node.members);
        if members.is_empty() && around.is_empty() {
            return Vec::new();
        }
        let named = |set: u32| {
            !self.selection.asks_for_name(set)
                || members.iter().any(|m| self.selection.has_name(set, &m.pod))
        };
        let mut sets: Vec<u32> = around.into_iter().filter(|set| named(*set)).collect();
        for member in members {
            sets.extend_from_slice(&member.sets);
        }
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    pub(super) fn settle_nodes(&mut self) {
        let dirty = std::mem::take(&mut self.prefixes.dirty);
        for net in &dirty {
            let Some(node) = self.prefixes.get(net) else {
                continue;
            };
            let (before, emitted) = (node.class, node.emitted);
            if self.prefixes.sweep(net) {
                self.leave_class(before);
                self.note_node(*net, emitted);
                if before.is_some() && self.changed.recorded {
                    self.changed.shrunk.push(*net);
                }
                continue;
            }
            let sets = self.sets_at(net);
            let known = before.map_or(&[][..], |class| &self.classes[class].sets);
            if known != &*sets {
                if self.changed.recorded && known.iter().any(|s| sets.binary_search(s).is_err()) {
                    self.changed.shrunk.push(*net);
                }
                let after = self.join_class(sets);
                self.leave_class(before);
                if let Some(node) = self.prefixes.get_mut(net) {
                    node.class = after;
                }
            }
        }
        // Numbers may still move; they are looked at when all classes are known.
        self.prefixes.dirty = dirty;
    }

    fn join_class(&mut self, sets: Vec<u32>) -> Option<u32> {
        if sets.is_empty() {
            return None;
        }
        if let Some(id) = self.class_ids.get(&*sets) {
            self.classes[*id].nodes += 1;
            return Some(*id);
        }
        let mut digests: Vec<u64> = sets.iter().map(|set| self.sets[*set].digest).collect();
        digests.sort_unstable();
        let mut digest = Digest::new();
        digests.into_iter().for_each(|n| digest.number(n));
        let digest = digest.finish();
        let sets: Arc<[u32]> = sets.into();
        let id = self.classes.insert(Class {
            sets: sets.clone(),
            digest,
            nodes: 1,
        });
        for set in sets.iter() {
            self.sets[*set].classes.insert(id);
        }
        let (classes, peers) = (&self.classes, &self.sets);
        let content = |id: u32| {
            let sets = classes[id].sets.iter();
            let mut content: Vec<&Peers> = sets.map(|set| &*peers[*set].peers).collect();
            content.sort_unstable();
            content
        };
        let order = |a: u32, b: u32| content(a).cmp(&content(b));
        self.dirty.all |= self.class_numbers.insert(digest, id, order);
        self.class_ids.insert(sets, id);
        self.dirty.classes.insert(id);
        Some(id)
    }

    fn leave_class(&mut self, id: Option<u32>) {
        let Some(id) = id else {
            return;
        };
        self.classes[id].nodes -= 1;
        if self.classes[id].nodes == 0 {
            self.dirty.idle_classes.insert(id);
        }
    }

    pub(super) fn drop_idle_classes(&mut self) {
        for id in std::mem::take(&mut self.dirty.idle_classes) {
            if self.classes[id].nodes > 0 {
                continue;
            }
            if let Some(number) = self.class_number(id) {
                let banks = 0..self.banks;
                let keys = banks.map(|bank| Key::Class(bank, number));
                self.dirty.gone.extend(keys);
            }
            let Some(class) = self.classes.remove(id) else {
                continue;
            };
            self.dirty.all |= self.class_numbers.remove(class.digest, id);
            self.class_ids.remove(&class.sets);
            for set in class.sets.iter() {
                self.sets[*set].classes.remove(&id);
            }
            self.dirty.classes.insert(id);
        }
        for id in std::mem::take(&mut self.dirty.idle_sets) {
            self.sets.remove(id);
        }
    }
}
