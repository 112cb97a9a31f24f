//! How the API server fares, as seen from here: what each watch has, and what is wrong.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Target;
use crate::source::object::ObjectRef;

/// How one watch fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Objects in force.
    pub objects: usize,
    /// Whether it has been listed by the API server since the agent started.
    pub listed: bool,
    /// Bytes received.
    pub bytes: u64,
    /// Changes received.
    pub changes: u64,
    /// Times it was listed.
    pub lists: u64,
    /// Why it is not being watched, and since when, if it is not.
    pub trouble: Option<(String, Instant)>,
}

/// How the API server fares, as seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesStatus {
    /// Every watch.
    pub watches: BTreeMap<Target, Watching>,
    /// Objects that cannot be understood, and why.
    pub faults: BTreeMap<ObjectRef, String>,
    /// Age in seconds of the state that was read from disk, while something of it has not been listed since.
    pub restored: Option<u64>,
}

impl KubernetesStatus {
    /// What a person should know, a line each; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        // One line for all watches that fail alike.
        let mut alike: BTreeMap<&str, (Instant, Vec<String>)> = BTreeMap::new();
        for (target, watching) in &self.watches {
            if let Some((why, since)) = &watching.trouble {
                let entry = alike.entry(why).or_insert((*since, Vec::new()));
                entry.0 = entry.0.min(*since);
                entry.1.push(target.to_string());
            }
        }
        let mut lines: Vec<String> = alike
            .into_iter()
            .map(|(why, (since, targets))| {
                let seconds = since.elapsed().as_secs();
                let what = if targets.len() == self.watches.len() {
                    "the cluster".to_owned()
                } else {
                    targets.join(", ")
                };
                format!("not watching {what} for {seconds} s, last known state in force: {why}")
            })
            .collect();
        if let Some(age) = self.restored {
            lines.push(format!(
                "the state in force was read from disk, and was {age} s old then"
            ));
        }
        let faults = self.faults.iter();
        lines.extend(faults.map(|(object, why)| format!("not in force: {object}: {why}")));
        lines
    }

    /// Whether everything that is watched has been listed.
    pub fn is_listed(&self) -> bool {
        self.watches.values().all(|watching| watching.listed)
    }

    /// Whether everything is being watched.
    pub fn is_live(&self) -> bool {
        self.watches
            .values()
            .all(|watching| watching.listed && watching.trouble.is_none())
    }
}
