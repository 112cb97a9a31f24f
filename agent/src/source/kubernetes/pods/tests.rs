use sluice_flows::model::ClusterPod;

use super::*;
use crate::source::object::PodState;

const OWN: u64 = 1;

struct Bench {
    pods: Pods,
    now: Instant,
    next: u64,
    /// What whoever listens makes of it.
    seen: BTreeMap<String, String>,
    covered: Option<PodScope>,
    told: bool,
}

fn pod(namespace: &str, name: &str, node: &str, label: &str) -> Pod {
    let labels = [("v".into(), label.into())].into();
    Pod {
        cluster: Arc::new(ClusterPod {
            namespace: namespace.into(),
            name: name.into(),
            labels: Arc::new(labels),
            ..ClusterPod::default()
        }),
        state: Arc::new(PodState {
            node: node.into(),
            ..PodState::default()
        }),
    }
}

fn some(names: &[&str]) -> PodScope {
    PodScope::Namespaces(names.iter().map(|name| (*name).into()).collect())
}

/// Where a pod is, and its only label.
fn label(pod: &Pod) -> String {
    let (_, value) = pod.labels.iter().next().expect("a label");
    format!("{}={value}", pod.state.node)
}

impl Bench {
    fn new() -> Bench {
        let mut bench = Bench {
            pods: Pods::new("n1".into()),
            now: Instant::now(),
            next: OWN,
            seen: BTreeMap::new(),
            covered: None,
            told: false,
        };
        bench.watch(Target::PodsOf("n1".into()));
        bench
    }

    fn watch(&mut self, target: Target) -> u64 {
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        let id = self.next;
        self.next += 1;
        self.pods.watch(id, target, task);
        id
    }

    fn take(&mut self, events: impl IntoIterator<Item = Event>) {
        let name = |reference: &ObjectRef| format!("{}/{}", reference.namespace, reference.name);
        for event in events {
            match event {
                Event::Listed(_, pods) => {
                    assert!(!std::mem::replace(&mut self.told, true), "listed twice");
                    for object in pods {
                        let Object::Pod(pod) = &object else {
                            panic!("{object:?}")
                        };
                        self.seen.insert(name(&object.reference()), label(pod));
                    }
                }
                Event::Set(object) => {
                    let Object::Pod(pod) = &object else {
                        panic!("{object:?}")
                    };
                    let before = self.seen.insert(name(&object.reference()), label(pod));
                    assert_ne!(before, Some(label(pod)), "no change");
                }
                Event::Gone(reference) => {
                    assert!(
                        self.seen.remove(&name(&reference)).is_some(),
                        "{reference} was not there"
                    );
                }
                Event::Covered(scope) => {
                    assert_ne!(self.covered.as_ref(), Some(&scope));
                    self.covered = Some(scope);
                }
            }
        }
    }

    fn list(&mut self, id: u64, pods: &[Pod]) {
        let events = self.pods.listed(id, pods.to_vec());
        self.take(events);
    }

    fn want(&mut self, scope: &PodScope) -> Vec<Target> {
        let (targets, events) = self.pods.want(scope, self.now);
        self.take(events);
        targets
    }

    fn wait(&mut self, time: Duration) -> Vec<Target> {
        self.now += time;
        let (targets, events) = self.pods.expire(self.now);
        self.take(events);
        targets
    }

    fn seen(&self) -> Vec<&str> {
        self.seen.keys().map(String::as_str).collect()
    }
}

#[tokio::test]
async fn a_watch_that_nobody_wants_goes_after_a_while() {
    let mut bench = Bench::new();
    bench.list(OWN, &[pod("shop", "a", "n1", "1")]);
    let [target] = &bench.want(&some(&["shop"]))[..] else {
        panic!("one target")
    };
    let shop = bench.watch(target.clone());
    bench.list(
        shop,
        &[pod("shop", "a", "n1", "0"), pod("shop", "b", "n2", "1")],
    );
    assert_eq!(bench.seen(), ["shop/a", "shop/b"]);
    assert_eq!(bench.covered, Some(some(&["shop"])));
    assert_eq!(bench.want(&some(&[])), []);
    assert_eq!(bench.wait(LINGER - Duration::from_secs(1)), []);
    // Wanted again, it goes on as if nothing had been.
    assert_eq!(bench.want(&some(&["shop"])), []);
    assert_eq!(
        (bench.wait(LINGER), bench.pods.next_expiry()),
        (vec![], None)
    );
    assert_eq!(bench.want(&some(&[])), []);
    assert_eq!(bench.pods.next_expiry(), Some(bench.now + LINGER));
    assert_eq!(bench.wait(LINGER), [Target::PodsIn("shop".into())]);
    assert_eq!(bench.seen(), ["shop/a"]);
    assert_eq!(bench.covered, Some(some(&[])));
    // What it said last comes too late.
    assert_eq!(bench.pods.set(shop, pod("shop", "b", "n2", "2")), None);
}

/// Those who were told of a pod that is told again have the one that the watch has: there are many.
#[tokio::test]
async fn what_is_listed_again_stays_the_one_that_others_have() {
    let mut bench = Bench::new();
    let told = pod("shop", "a", "n1", "1");
    bench.list(OWN, std::slice::from_ref(&told));
    let known = |bench: &Bench| {
        let reference = reference(&told);
        bench.pods.get(&reference).expect("a pod").clone()
    };
    bench.list(OWN, &[pod("shop", "a", "n1", "1")]);
    assert!(Arc::ptr_eq(&known(&bench).cluster, &told.cluster));
    let mut ready = pod("shop", "a", "n1", "1");
    Arc::make_mut(&mut ready.state).ready = true;
    assert!(bench.pods.set(OWN, ready).is_some());
    assert!(Arc::ptr_eq(&known(&bench).cluster, &told.cluster) && known(&bench).state.ready);
    bench.list(OWN, &[pod("shop", "a", "n1", "2")]);
    assert!(!Arc::ptr_eq(&known(&bench).cluster, &told.cluster));
}

#[tokio::test]
async fn what_is_wanted_is_there_whatever_takes_whose_place() {
    let mut bench = Bench::new();
    bench.list(OWN, &[]);
    bench.want(&PodScope::All);
    let all = bench.watch(Target::All(Kind::Pod));
    bench.list(
        all,
        &[pod("shop", "b", "n2", "1"), pod("web", "c", "n2", "1")],
    );
    assert_eq!(bench.covered, Some(PodScope::All));
    let [target] = &bench.want(&some(&["shop"]))[..] else {
        panic!("one target")
    };
    let shop = bench.watch(target.clone());
    // As long as the smaller watch has nothing, the larger one stays.
    assert_eq!(bench.wait(2 * LINGER), []);
    assert_eq!(bench.pods.next_expiry(), None);
    bench.list(shop, &[pod("shop", "b", "n2", "1")]);
    assert_eq!(bench.wait(Duration::ZERO), [Target::All(Kind::Pod)]);
    assert_eq!(bench.seen(), ["shop/b"]);
}

#[tokio::test]
async fn what_was_read_from_disk_gives_way_to_lists() {
    let mut bench = Bench::new();
    let kept = [
        pod("shop", "a", "n1", "1"),
        pod("shop", "b", "n2", "1"),
        pod("web", "c", "n2", "1"),
    ];
    let objects = kept.iter().cloned().map(Object::Pod).collect();
    let events = bench.pods.restore(objects, some(&["shop", "web"]));
    bench.take(events);
    assert_eq!(bench.seen(), ["shop/a", "shop/b", "web/c"]);
    let targets = bench.want(&some(&["shop", "web"]));
    let ids: Vec<u64> = targets
        .into_iter()
        .map(|target| bench.watch(target))
        .collect();
    // While nothing is listed, all of it is in force, and covers what it covered.
    assert_eq!(bench.covered, Some(some(&["shop", "web"])));
    bench.list(OWN, &[]);
    assert_eq!(bench.seen(), ["shop/b", "web/c"]);
    bench.list(ids[0], &[pod("shop", "d", "n2", "1")]);
    assert_eq!(bench.seen(), ["shop/d", "web/c"]);
    // The last list comes, or nobody wants the rest any more.
    bench.want(&some(&["shop"]));
    assert_eq!(bench.seen(), ["shop/d"]);
    assert_eq!(bench.covered, Some(some(&["shop"])));
}

#[tokio::test]
async fn random_histories_end_with_the_pods_that_are_wanted() {
    let names = ["x", "y", "z"];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut roll = move |sides: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % 1_000_003).expect("small") % sides
    };
    for _ in 0..300 {
        let mut bench = Bench::new();
        let mut cluster: BTreeMap<(usize, usize), Pod> = BTreeMap::new();
        // What each watch has still to say, in order.
        let mut watches: BTreeMap<u64, Target> = [(OWN, Target::PodsOf("n1".into()))].into();
        let mut unlisted = vec![OWN];
        let sees = |target: &Target, pod: &Pod| match target {
            Target::PodsOf(node) => pod.state.node == *node,
            Target::PodsIn(namespace) => pod.namespace == *namespace,
            Target::All(_) => true,
        };
        let mut wanted = PodScope::default();
        for _ in 0..40 {
            match roll(8) {
                0 => {
                    wanted = match roll(4) {
                        0 => PodScope::All,
                        _ => some(names.get(..roll(4)).expect("so many")),
                    };
                    for target in bench.want(&wanted) {
                        let id = bench.watch(target.clone());
                        watches.insert(id, target);
                        unlisted.push(id);
                    }
                }
                1 | 2 if !unlisted.is_empty() => {
                    let id = unlisted.swap_remove(roll(unlisted.len()));
                    if let Some(target) = watches.get(&id) {
                        let pods: Vec<_> = cluster
                            .values()
                            .filter(|pod| sees(target, pod))
                            .cloned()
                            .collect();
                        bench.list(id, &pods);
                    }
                }
                3 => {
                    let gone = bench.wait(LINGER / 2);
                    watches.retain(|_, target| !gone.contains(target));
                }
                _ => {
                    let key = (roll(3), roll(3));
                    let before = cluster.remove(&key);
                    let namespace = names.get(key.0).expect("a name");
                    let name = names.get(key.1).expect("a name");
                    let node = ["n1", "n2", ""][roll(3)];
                    let now =
                        (roll(3) > 0).then(|| pod(namespace, name, node, ["1", "2"][roll(2)]));
                    cluster.extend(now.clone().map(|pod| (key, pod)));
                    for (id, target) in &watches {
                        let saw = before.as_ref().is_some_and(|pod| sees(target, pod));
                        match &now {
                            Some(now) if sees(target, now) => {
                                let event = bench.pods.set(*id, now.clone());
                                bench.take(event);
                            }
                            _ if saw => {
                                let gone = reference(before.as_ref().expect("seen"));
                                let event = bench.pods.remove(*id, &gone);
                                bench.take(event);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        for id in unlisted {
            if let Some(target) = watches.get(&id) {
                let pods: Vec<_> = cluster
                    .values()
                    .filter(|pod| sees(target, pod))
                    .cloned()
                    .collect();
                bench.list(id, &pods);
            }
        }
        bench.wait(2 * LINGER);
        let namespaces = |pod: &Pod| match &wanted {
            PodScope::All => true,
            PodScope::Namespaces(names) => names.contains(&pod.namespace),
        };
        let expected: Vec<String> = cluster
            .values()
            .filter(|pod| &*pod.state.node == "n1" || namespaces(pod))
            .map(|pod| format!("{}/{} {}", pod.namespace, pod.name, label(pod)))
            .collect();
        let seen: Vec<String> = bench
            .seen
            .iter()
            .map(|(name, what)| format!("{name} {what}"))
            .collect();
        assert_eq!(seen, expected, "wanted {wanted}");
        assert_eq!(bench.covered, Some(wanted));
    }
}
