use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::source::{Kind, Object, ObjectRef};

const SOON: Duration = Duration::from_secs(10);

fn node(name: &str, cidr: &str) -> String {
    format!("apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDR: {cidr}}}\n")
}

async fn next(source: &mut DirectorySource) -> Vec<Event> {
    tokio::time::timeout(SOON, source.next())
        .await
        .expect("an event within ten seconds")
}

fn summary(events: &[Event]) -> Vec<String> {
    let show = |object: &Object| match object {
        Object::Node(node) => format!("{} {:?}", node.name, node.pod_cidrs),
        other => other.reference().to_string(),
    };
    events
        .iter()
        .map(|event| match event {
            Event::Listed(kind, objects) => {
                format!(
                    "{kind}s: {}",
                    objects.iter().map(show).collect::<Vec<_>>().join(" ")
                )
            }
            Event::Set(object) => format!("set {}", show(object)),
            Event::Gone(reference) => format!("gone {}", reference.name),
            Event::Covered(scope) => format!("covered {scope}"),
        })
        .collect()
}

async fn opened(folder: &Path) -> (DirectorySource, Vec<String>) {
    let mut source = DirectorySource::open(folder).expect("a folder to watch");
    let listed = next(&mut source).await;
    (source, summary(&listed))
}

#[tokio::test]
async fn the_first_answer_lists_every_kind_once_even_of_an_empty_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, listed) = opened(folder.path()).await;
    let every = Kind::ALL.map(|kind| format!("{kind}s: "));
    assert_eq!(listed, every);
}

#[tokio::test]
async fn files_come_change_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.yaml"), node("a", "10.1.0.0/24")).expect("written");
    fs::write(at("notes.txt"), "not a manifest").expect("written");
    let (mut source, listed) = opened(folder.path()).await;
    assert_eq!(
        listed.first().map(String::as_str),
        Some("Nodes: a [10.1.0.0/24]")
    );

    fs::write(at("b.yml"), node("b", "10.2.0.0/24")).expect("written");
    assert_eq!(summary(&next(&mut source).await), ["set b [10.2.0.0/24]"]);

    // As an editor does it: a new file beside, renamed over.
    fs::write(at(".a.yaml.swp"), node("a", "10.9.0.0/24")).expect("written");
    fs::rename(at(".a.yaml.swp"), at("a.yaml")).expect("renamed");
    assert_eq!(summary(&next(&mut source).await), ["set a [10.9.0.0/24]"]);

    fs::remove_file(at("b.yml")).expect("removed");
    fs::rename(at("a.yaml"), at("c.yaml")).expect("renamed");
    fs::write(at("c.yaml"), node("c", "10.3.0.0/24")).expect("written");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(summary(&next(&mut source).await));
    }
    seen.sort();
    assert_eq!(seen, ["gone a", "gone b", "set c [10.3.0.0/24]"]);
    assert_eq!(source.status().borrow().objects, 1);
}

#[tokio::test]
async fn a_half_written_file_is_not_looked_at() {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    fs::write(&path, node("a", "10.1.0.0/24")).expect("written");
    let (mut source, _) = opened(folder.path()).await;
    let mut file = fs::File::create(&path).expect("truncated");
    file.write_all(b"apiVersion: v1\nkind: Node\n")
        .expect("half of it written");
    fs::write(folder.path().join("b.yaml"), node("b", "10.2.0.0/24")).expect("written");
    assert_eq!(summary(&next(&mut source).await), ["set b [10.2.0.0/24]"]);
    assert_eq!(source.status().borrow().faults, []);
    file.write_all(b"metadata: {name: a}\nspec: {podCIDR: 10.8.0.0/24}\n")
        .expect("the rest written");
    drop(file);
    assert_eq!(summary(&next(&mut source).await), ["set a [10.8.0.0/24]"]);
}

#[tokio::test]
async fn the_last_good_state_of_a_bad_file_stays_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.yaml"), node("a", "10.1.0.0/24")).expect("written");
    fs::write(
        at("bad.yaml"),
        format!(
            "{}---\n{}",
            node("x", "10.5.0.0/24"),
            node("y", "10.6.0/24")
        ),
    )
    .expect("written");
    let (mut source, listed) = opened(folder.path()).await;
    assert_eq!(
        listed.first().map(String::as_str),
        Some("Nodes: a [10.1.0.0/24]")
    );
    let status = source.status().borrow().clone();
    let faults: Vec<String> = status.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "bad.yaml, document 2, field spec.podCIDR: invalid IP address syntax; 0 objects of its last good state stay in force"
        ]
    );

    let mut status = source.status();
    fs::write(at("a.yaml"), "kind: {").expect("written");
    fs::write(at("b.yaml"), node("b", "10.2.0.0/24")).expect("written");
    assert_eq!(summary(&next(&mut source).await), ["set b [10.2.0.0/24]"]);
    let waited = tokio::time::timeout(SOON, async {
        tokio::select! {
            faulty = status.wait_for(|status| status.faults.len() == 2) => faulty.map(|status| status.clone()),
            events = source.next() => panic!("nothing changed, yet {events:?}"),
        }
    });
    let status = waited
        .await
        .expect("a report within ten seconds")
        .expect("a living source");
    assert_eq!((status.objects, status.files), (2, 3));

    fs::write(at("a.yaml"), node("a", "10.7.0.0/24")).expect("written");
    fs::write(at("bad.yaml"), "").expect("written");
    assert_eq!(summary(&next(&mut source).await), ["set a [10.7.0.0/24]"]);
    assert_eq!(source.status().borrow().faults, []);
}

#[tokio::test]
async fn the_first_file_by_name_wins_and_the_others_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("b.yaml"), node("n", "10.2.0.0/24")).expect("written");
    let (mut source, _) = opened(folder.path()).await;
    fs::write(at("a.yaml"), node("n", "10.1.0.0/24")).expect("written");
    assert_eq!(summary(&next(&mut source).await), ["set n [10.1.0.0/24]"]);
    let faults: Vec<String> = source
        .status()
        .borrow()
        .faults
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        faults,
        ["b.yaml, document 1: Node n is already defined by a.yaml, document 1, which counts"]
    );
    fs::remove_file(at("a.yaml")).expect("removed");
    assert_eq!(summary(&next(&mut source).await), ["set n [10.2.0.0/24]"]);
    assert_eq!(source.status().borrow().faults, []);
}

/// The layout of a mounted ConfigMap: every file a link through `..data`, which alone is swapped.
#[tokio::test]
async fn a_config_map_is_swapped_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (version, cidr) in [("..v1", "10.1.0.0/24"), ("..v2", "10.2.0.0/24")] {
        fs::create_dir(at(version)).expect("created");
        fs::write(at(version).join("a.yaml"), node("a", cidr)).expect("written");
    }
    symlink("..v1", at("..data")).expect("linked");
    symlink("..data/a.yaml", at("a.yaml")).expect("linked");
    let (mut source, listed) = opened(folder.path()).await;
    assert_eq!(
        listed.first().map(String::as_str),
        Some("Nodes: a [10.1.0.0/24]")
    );
    symlink("..v2", at("..data_tmp")).expect("linked");
    fs::rename(at("..data_tmp"), at("..data")).expect("renamed");
    assert_eq!(summary(&next(&mut source).await), ["set a [10.2.0.0/24]"]);
}

#[tokio::test]
async fn no_update_of_a_burst_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut source, _) = opened(folder.path()).await;
    let path = folder.path().to_path_buf();
    let writer = std::thread::spawn(move || {
        for round in 0..20u8 {
            for file in 0..50u8 {
                let text = node(&format!("n{file}"), &format!("10.{round}.{file}.0/24"));
                fs::write(path.join(format!("{file}.yaml")), text).expect("written");
            }
        }
    });
    let mut state = std::collections::BTreeMap::new();
    let done = |state: &std::collections::BTreeMap<ObjectRef, Object>| {
        state.len() == 50
            && state.values().all(|object| match object {
                Object::Node(node) => node
                    .pod_cidrs
                    .iter()
                    .all(|cidr| cidr.to_string().starts_with("10.19.")),
                _ => false,
            })
    };
    while !done(&state) {
        for event in next(&mut source).await {
            match event {
                Event::Set(object) => drop(state.insert(object.reference(), object)),
                other => panic!("unexpected {other:?}"),
            }
        }
    }
    writer.join().expect("the writer ended");
}

#[tokio::test]
async fn a_folder_that_goes_away_keeps_its_state_and_may_come_back() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("manifests");
    fs::create_dir(&folder).expect("created");
    fs::write(folder.join("a.yaml"), node("a", "10.1.0.0/24")).expect("written");
    let (mut source, _) = opened(&folder).await;
    let mut status = source.status();
    fs::rename(&folder, parent.path().join("old")).expect("renamed");
    tokio::time::timeout(SOON, async {
        tokio::select! {
            gone = status.wait_for(|status| !status.faults.is_empty()) => drop(gone.expect("a living source")),
            events = source.next() => panic!("nothing changed, yet {events:?}"),
        }
    })
    .await
    .expect("a report within ten seconds");
    fs::create_dir(&folder).expect("created");
    fs::write(folder.join("b.yaml"), node("b", "10.2.0.0/24")).expect("written");
    let mut seen = summary(&next(&mut source).await);
    seen.sort();
    assert_eq!(seen, ["gone a", "set b [10.2.0.0/24]"]);
    assert_eq!(source.status().borrow().faults, []);
    let gone = ObjectRef::new(Kind::Node, "", "a");
    assert_eq!(gone.to_string(), "Node a");
}

#[test]
fn a_folder_that_does_not_exist_cannot_be_opened() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { assert!(DirectorySource::open("/nowhere/at/all").is_err()) });
}

mod properties {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// A file that defines these nodes with these third octets.
        Good(u8, Vec<(u8, u8)>),
        Bad(u8),
        Remove(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let nodes = proptest::collection::vec((0u8..5, 0u8..4), 0..4);
        prop_oneof![
            5 => (0u8..3, nodes).prop_map(|(file, nodes)| Step::Good(file, nodes)),
            1 => (0u8..3).prop_map(Step::Bad),
            2 => (0u8..3).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The events add up to what the last good states of all files say, the first file by name winning, and
        /// none of them says what was known.
        #[test]
        fn events_add_up_to_the_last_good_states(steps in proptest::collection::vec(step(), 0..30)) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut files = files::Files::default();
            let mut good: BTreeMap<u8, Vec<(u8, u8)>> = BTreeMap::new();
            let mut state: BTreeMap<std::sync::Arc<str>, Object> = BTreeMap::new();
            for step in steps {
                let (Step::Good(file, _) | Step::Bad(file) | Step::Remove(file)) = step;
                let name = format!("{file}.yaml");
                let path = folder.path().join(&name);
                match step {
                    Step::Good(_, nodes) => {
                        let text: Vec<String> =
                            nodes.iter().map(|(n, net)| node(&format!("n{n}"), &format!("10.0.{net}.0/24"))).collect();
                        fs::write(&path, text.join("---\n")).expect("written");
                        // An empty file may be one that somebody is about to write anew.
                        match good.get_mut(&file) {
                            Some(_) if nodes.is_empty() => {}
                            _ => drop(good.insert(file, nodes)),
                        }
                    }
                    Step::Bad(_) => {
                        fs::write(&path, "kind: {").expect("written");
                        good.entry(file).or_default();
                    }
                    Step::Remove(_) => {
                        let _ = fs::remove_file(&path);
                        good.remove(&file);
                    }
                }
                let pending = Pending { all: false, names: [name.into()].into() };
                let (events, status) = files.read(folder.path(), &pending);
                for event in events {
                    match event {
                        Event::Set(object) => {
                            let old = state.insert(object.reference().name, object.clone());
                            prop_assert_ne!(old, Some(object));
                        }
                        Event::Gone(reference) => prop_assert!(state.remove(&reference.name).is_some()),
                        Event::Listed(..) => prop_assert!(false, "nothing is listed twice"),
                        Event::Covered(_) => prop_assert!(false, "all pods are told anyway"),
                    }
                }
                let mut expected = BTreeMap::new();
                for (n, net) in good.values().flatten() {
                    expected.entry(format!("n{n}")).or_insert(format!("10.0.{net}.0/24"));
                }
                let found: BTreeMap<String, String> = state
                    .iter()
                    .map(|(name, object)| match object {
                        Object::Node(node) => (name.to_string(), node.pod_cidrs.iter().map(ToString::to_string).collect()),
                        other => (name.to_string(), format!("unexpected {other:?}")),
                    })
                    .collect();
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!((status.files, status.objects), (good.len(), expected.len()));
            }
        }
    }
}
