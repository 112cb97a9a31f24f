//! The flows of a direction's policy table, in few bytes each, and how they follow from rules, subjects and classes.
//!
//! A rule whose product of subjects, classes and ports is small is written out, a flow for each combination. All
//! others are conjunctions, whose clauses are shared by all rules: a flow per subject, per class and per port that
//! names the rules, and one per rule. So flows add up where they would multiply, and one more class is one more flow
//! however many rules there are. Where there are more rules than a handful, all are conjunctions: a new class would
//! else have to be written out for each of them.
//!
//! A message holds 4,000 names of conjunctions. Past that, rules are spread over *banks*: the same flows at another
//! priority, for another part of the rules.

use std::collections::{BTreeMap, HashMap};

use super::ports::PortMatch;
use super::side::{Rule, Side};

/// With more rules than this, none is written out.
const FEW_RULES: usize = 8;
/// Nor is one that takes more flows than this.
const FEW_FLOWS: usize = 16;
/// How many rules are in a bank, about.
const BANK: usize = 1500;

/// What identifies flows that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// A subject is isolated.
    Isolated(u32),
    /// A subject may do anything.
    Open(u32),
    /// A subject may, with a class, on a port.
    Direct(u32, Option<u32>, Option<PortMatch>),
    /// In a bank: the rules of a subject.
    Subject(u32, u32),
    /// In a bank: the rules of a class.
    Class(u32, u32),
    /// In a bank: the rules of a port.
    Port(u32, PortMatch),
    /// What a rule decides whose clauses all match.
    Rule(u32),
}

/// What the flows do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// What the key says.
    Plain,
    /// Count for this rule.
    Rule(u32),
    /// Contribute to these rules.
    Clauses(Box<[Clause]>),
}

/// One clause of a conjunction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clause {
    pub(crate) rule: u32,
    pub(crate) clause: u8,
    pub(crate) of: u8,
}

/// Which clause of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Subject,
    Class,
    Port,
}

impl Rule {
    fn is_open(&self) -> bool {
        self.set.is_none() && self.ports.is_none()
    }

    fn clause(&self, rule: u32, dimension: Dimension) -> Clause {
        let of = 1 + u8::from(self.set.is_some()) + u8::from(self.ports.is_some());
        let clause = match dimension {
            Dimension::Subject => 0,
            Dimension::Class => 1,
            Dimension::Port => of - 1,
        };
        Clause { rule, clause, of }
    }
}

fn banks_for(rules: usize) -> u32 {
    let banks = rules.div_ceil(BANK).next_power_of_two();
    u32::try_from(banks).unwrap_or(1 << 16).min(1 << 8)
}

impl Side {
    fn bank_of(&self, number: u32) -> u32 {
        (number >> 4) & (self.banks - 1)
    }

    /// Whether a rule is a conjunction.
    fn wants_conjunction(&self, rule: &Rule) -> bool {
        if rule.is_open() {
            return false;
        }
        let classes = rule.set.map_or(1, |set| self.classes_of(set).len());
        let ports = rule.ports.as_ref().map_or(1, Vec::len);
        self.wide || rule.subjects.len().max(1) * classes.max(1) * ports > FEW_FLOWS
    }

    /// Brings the flows in line with everything that is dirty.
    pub(super) fn settle_flows(&mut self) {
        let (wide, banks) = (self.rules.len() > FEW_RULES, banks_for(self.rules.len()));
        let all = self.dirty.all || wide != self.wide || banks != self.banks;
        (self.wide, self.banks) = (wide, banks);
        if all {
            self.choose(&self.rule_ids());
            self.settle_all_flows();
        } else if self.is_dirty() {
            let rules = match wide {
                true => self.dirty.rules.iter().copied().collect(),
                false => self.rule_ids(),
            };
            self.choose(&rules);
            self.settle_dirty_flows(&rules);
        }
        self.settle_class_flows(all);
        self.dirty.all = false;
        self.dirty.rules.clear();
        self.dirty.subjects.clear();
        self.dirty.classes.clear();
        self.dirty.ports.clear();
        self.dirty.gone.clear();
    }

    fn is_dirty(&self) -> bool {
        let dirty = &self.dirty;
        !(dirty.rules.is_empty()
            && dirty.subjects.is_empty()
            && dirty.classes.is_empty()
            && dirty.ports.is_empty()
            && dirty.gone.is_empty())
    }

    fn rule_ids(&self) -> Vec<u32> {
        self.rules.iter().map(|(id, _)| id).collect()
    }

    /// Decides which of these rules are conjunctions.
    fn choose(&mut self, rules: &[u32]) {
        for id in rules {
            let Some(rule) = self.rules.get(*id) else {
                continue;
            };
            let wanted = self.wants_conjunction(rule);
            if wanted == rule.conjunctive {
                continue;
            }
            self.dirty.subjects.extend(rule.subjects.iter().copied());
            if let Some(set) = rule.set {
                let classes: Vec<u32> = self.classes_of(set).iter().copied().collect();
                self.dirty.classes.extend(classes);
            }
            if wanted {
                for port in self.rules[*id].ports.iter().flatten() {
                    self.by_port.entry(*port).or_default().insert(*id);
                    self.dirty.ports.insert(*port);
                }
            } else {
                self.forget_ports(*id);
            }
            self.rules[*id].conjunctive = wanted;
        }
    }

    fn settle_all_flows(&mut self) {
        let mut wanted: HashMap<Key, Value> = HashMap::new();
        let mut want = |(key, value): (Key, Option<Value>)| {
            if let Some(value) = value {
                wanted.insert(key, value);
            }
        };
        self.subjects
            .iter()
            .for_each(|(id, _)| self.of_subject(id).into_iter().for_each(&mut want));
        self.classes
            .iter()
            .for_each(|(id, _)| self.of_class(id).into_iter().for_each(&mut want));
        self.by_port
            .keys()
            .for_each(|port| self.of_port(*port).into_iter().for_each(&mut want));
        self.rules
            .iter()
            .for_each(|(id, _)| self.of_rule(id).into_iter().for_each(&mut want));
        wanted.extend(self.written_out());
        let gone: Vec<Key> = self
            .table
            .keys()
            .filter(|key| !wanted.contains_key(key))
            .copied()
            .collect();
        gone.into_iter().for_each(|key| self.emit(key, None));
        for (key, value) in wanted {
            self.emit(key, Some(value));
        }
    }

    fn settle_dirty_flows(&mut self, rules: &[u32]) {
        for key in std::mem::take(&mut self.dirty.gone) {
            self.emit(key, None);
        }
        let mut flows: Vec<(Key, Option<Value>)> = Vec::new();
        for id in &self.dirty.subjects {
            flows.extend(self.of_subject(*id));
        }
        for id in &self.dirty.classes {
            flows.extend(self.of_class(*id));
        }
        for port in &self.dirty.ports {
            flows.extend(self.of_port(*port));
        }
        for id in rules {
            flows.extend(self.of_rule(*id));
        }
        if !self.wide {
            let written = self.written_out();
            let before = self.table.keys().filter(|k| matches!(k, Key::Direct(..)));
            let gone = before.filter(|key| !written.contains_key(key));
            flows.extend(gone.map(|key| (*key, None)));
            flows.extend(written.into_iter().map(|(key, value)| (key, Some(value))));
        }
        for (key, value) in flows {
            self.emit(key, value);
        }
    }

    /// Clauses, in each bank those of its rules.
    fn in_banks(&self, mut clauses: Vec<Clause>) -> Vec<Option<Value>> {
        clauses.sort_unstable();
        let mut banks: Vec<Vec<Clause>> = vec![Vec::new(); self.banks as usize];
        for clause in clauses {
            banks[self.bank_of(clause.rule) as usize].push(clause);
        }
        let value =
            |clauses: Vec<Clause>| (!clauses.is_empty()).then(|| Value::Clauses(clauses.into()));
        banks.into_iter().map(value).collect()
    }

    fn clauses<'a>(
        &self,
        rules: impl IntoIterator<Item = &'a u32>,
        dimension: Dimension,
    ) -> Vec<Option<Value>> {
        let clauses = rules.into_iter().filter_map(|id| {
            let rule = self.rules.get(*id).filter(|rule| rule.conjunctive)?;
            Some(rule.clause(self.rule_number(*id)?, dimension))
        });
        self.in_banks(clauses.collect())
    }

    fn of_subject(&self, id: u32) -> Vec<(Key, Option<Value>)> {
        let (Some(subject), Some(number)) = (self.subjects.get(id), self.subject_number(id)) else {
            return Vec::new();
        };
        let open = subject
            .rules
            .iter()
            .find(|rule| self.rules[**rule].is_open());
        let open = open.and_then(|rule| Some(Value::Rule(self.rule_number(*rule)?)));
        let mut flows = vec![
            (Key::Isolated(number), Some(Value::Plain)),
            (Key::Open(number), open),
        ];
        let banks = self.clauses(subject.rules.iter(), Dimension::Subject);
        flows.extend(
            (0..)
                .zip(banks)
                .map(|(bank, value)| (Key::Subject(bank, number), value)),
        );
        flows
    }

    fn of_class(&self, id: u32) -> Vec<(Key, Option<Value>)> {
        let (Some(class), Some(number)) = (self.classes.get(id), self.class_number(id)) else {
            return Vec::new();
        };
        let rules = class.sets.iter().flat_map(|set| self.rules_of(*set));
        let banks = self.clauses(rules, Dimension::Class);
        let keyed = |(bank, value)| (Key::Class(bank, number), value);
        (0..).zip(banks).map(keyed).collect()
    }

    fn of_port(&self, port: PortMatch) -> Vec<(Key, Option<Value>)> {
        let rules = self.by_port.get(&port).into_iter().flatten();
        let banks = self.clauses(rules, Dimension::Port);
        let keyed = |(bank, value)| (Key::Port(bank, port), value);
        (0..).zip(banks).map(keyed).collect()
    }

    fn of_rule(&self, id: u32) -> Option<(Key, Option<Value>)> {
        let rule = self.rules.get(id)?;
        let value = rule.conjunctive.then_some(Value::Plain);
        Some((Key::Rule(self.rule_number(id)?), value))
    }

    /// The flows of all rules that are written out. Where two say the same of a packet, the smaller number counts it.
    fn written_out(&self) -> BTreeMap<Key, Value> {
        let mut flows: BTreeMap<Key, u32> = BTreeMap::new();
        for (id, rule) in self.rules.iter() {
            let (false, false, Some(rule_number)) =
                (rule.conjunctive, rule.is_open(), self.rule_number(id))
            else {
                continue;
            };
            let classes: Vec<Option<u32>> = match rule.set {
                None => vec![None],
                Some(set) => {
                    let numbers = self.classes_of(set).iter();
                    let numbers = numbers.filter_map(|class| self.class_number(*class));
                    numbers.map(Some).collect()
                }
            };
            let ports: Vec<Option<PortMatch>> = match &rule.ports {
                None => vec![None],
                Some(ports) => ports.iter().copied().map(Some).collect(),
            };
            let subjects = rule.subjects.iter();
            for subject in subjects.filter_map(|subject| self.subject_number(*subject)) {
                for class in &classes {
                    for port in &ports {
                        let count = flows.entry(Key::Direct(subject, *class, *port));
                        let count = count.or_insert(rule_number);
                        *count = rule_number.min(*count);
                    }
                }
            }
        }
        let flows = flows.into_iter();
        flows.map(|(key, rule)| (key, Value::Rule(rule))).collect()
    }

    fn emit(&mut self, key: Key, value: Option<Value>) {
        let before = match &value {
            Some(new) => {
                let before = self.table.get(&key);
                if before == Some(new) {
                    return;
                }
                self.table.insert(key, new.clone())
            }
            None => self.table.remove(&key),
        };
        if before.is_none() && value.is_none() {
            return;
        }
        if self.changed.recorded {
            self.changed.table.entry(key).or_insert(before);
        }
    }

    /// The class flows of the nodes that are dirty, or of all.
    fn settle_class_flows(&mut self, all: bool) {
        let dirty = std::mem::take(&mut self.prefixes.dirty);
        let nets: Vec<_> = match all {
            true => self.prefixes.iter().map(|(net, _)| *net).collect(),
            false => dirty.into_iter().collect(),
        };
        for net in nets {
            let Some(node) = self.prefixes.get(&net) else {
                continue;
            };
            let (class, was) = (node.class, node.emitted);
            let number = class.and_then(|class| self.class_number(class));
            let number = number.unwrap_or(0);
            if was != Some(number) {
                self.note_node(net, was);
                if let Some(node) = self.prefixes.get_mut(&net) {
                    node.emitted = Some(number);
                }
            }
        }
    }
}
