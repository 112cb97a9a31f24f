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
    /// Why the last known state is not kept on disk, and since when, if it should be and is not.
    pub unkept: Option<(String, Instant)>,
    /// Why the state that was kept on disk could not be read, while something has not been listed since.
    pub unusable: Option<String>,
    /// Age in seconds of the state that was read from disk, while something of it has not been listed since.
    pub restored: Option<u64>,
}

impl KubernetesStatus {
    /// What a person should know, a line each; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut lines = self.troubles();
        if let Some(age) = self.restored {
            lines.push(format!(
                "the state in force was read from disk, and was {age} s old then"
            ));
        }
        if let Some(why) = &self.unusable {
            lines.push(format!("what was kept on disk cannot be used: {why}"));
        }
        if let Some((why, since)) = &self.unkept {
            let seconds = since.elapsed().as_secs();
            lines.push(format!(
                "last known state not kept on disk for {seconds} s, a start without the API server would go on with \
                 what was kept before: {why}"
            ));
        }
        let faults = self.faults.iter();
        lines.extend(faults.map(|(object, why)| format!("not in force: {object}: {why}")));
        lines
    }

    /// Which watches fail, and why: one line for those that fail alike, or for all if none is left.
    fn troubles(&self) -> Vec<String> {
        let in_force = match self.restored.is_some() || self.is_listed() {
            true => "last known state in force",
            false => "not all of the cluster's state is known yet",
        };
        let line = |what: &str, since: Instant, why: &str| {
            let seconds = since.elapsed().as_secs();
            format!("not watching {what} for {seconds} s, {in_force}: {why}")
        };
        let mut alike: BTreeMap<&str, (Instant, Vec<String>)> = BTreeMap::new();
        for (target, watching) in &self.watches {
            if let Some((why, since)) = &watching.trouble {
                let entry = alike.entry(why).or_insert((*since, Vec::new()));
                entry.0 = entry.0.min(*since);
                entry.1.push(target.to_string());
            }
        }
        let failing: usize = alike.values().map(|(_, targets)| targets.len()).sum();
        let first = alike.values().map(|(since, _)| *since).min();
        match first {
            // An API server that goes away refuses some and cuts off others.
            Some(first) if failing == self.watches.len() => {
                let reasons: Vec<&str> = alike.into_keys().collect();
                vec![line("the cluster", first, &reasons.join("; "))]
            }
            _ => alike
                .into_iter()
                .map(|(why, (since, targets))| line(&targets.join(", "), since, why))
                .collect(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::object::Kind;

    fn status(troubles: &[(Kind, Option<&str>)]) -> KubernetesStatus {
        let watches = troubles.iter().map(|(kind, why)| {
            let watching = Watching {
                listed: true,
                trouble: why.map(|why| (why.to_owned(), Instant::now())),
                ..Watching::default()
            };
            (Target::All(*kind), watching)
        });
        KubernetesStatus {
            watches: watches.collect(),
            ..KubernetesStatus::default()
        }
    }

    #[test]
    fn all_that_fail_are_one_line_whatever_the_reasons() {
        let some = [
            (Kind::Node, Some("refused")),
            (Kind::Service, Some("reset")),
            (Kind::Namespace, Some("refused")),
        ];
        assert_eq!(
            status(&some).problems(),
            ["not watching the cluster for 0 s, last known state in force: refused; reset"]
        );
        let mut others = some.to_vec();
        others.push((Kind::NetworkPolicy, None));
        assert_eq!(
            status(&others).problems(),
            [
                "not watching Node, Namespace for 0 s, last known state in force: refused",
                "not watching Service for 0 s, last known state in force: reset",
            ]
        );
        // Nothing is said to be in force that is not.
        let mut first = status(&some);
        first.watches.values_mut().for_each(|it| it.listed = false);
        first.unusable = Some("/state: damaged".to_owned());
        assert_eq!(
            first.problems(),
            [
                "not watching the cluster for 0 s, not all of the cluster's state is known yet: refused; reset",
                "what was kept on disk cannot be used: /state: damaged",
            ]
        );
        assert!(status(&[(Kind::Node, None)]).problems().is_empty());
        assert!(KubernetesStatus::default().problems().is_empty());
    }
}
