use serde_json::json;

use super::*;

fn entry(name: &str, ip: &str) -> (ObjectRef, Box<str>) {
    let text = json!({
        "metadata": {"name": name, "namespace": "default"},
        "status": {"podIPs": [{"ip": ip}]},
    });
    (
        ObjectRef::new(Kind::Pod, "default", name),
        text.to_string().into(),
    )
}

fn set(name: &str, ip: &str) -> Entry {
    let (reference, text) = entry(name, ip);
    Entry::Set(reference, text)
}

fn all_listed(pods: &[&str]) -> Vec<Entry> {
    let pods = pods.iter().map(|name| entry(name, "10.0.0.1")).collect();
    Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Pod)
        .map(|kind| Entry::Listed(kind, Vec::new()))
        .chain([Entry::Several(pods), Entry::Covered(PodScope::default())])
        .collect()
}

fn names(state: &StateFile) -> Vec<String> {
    let saved = state.read().expect("readable").expect("there");
    let mut names: Vec<_> = saved.objects[&Kind::Pod]
        .iter()
        .map(|pod| pod.reference().name.to_string())
        .collect();
    names.sort();
    names
}

struct Bench {
    _folder: tempfile::TempDir,
    state: StateFile,
    writer: Writer,
}

impl Bench {
    fn new(entries: Vec<Entry>) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFile::new(folder.path().join("state"));
        let mut bench = Bench {
            writer: Writer::new(state.path()),
            state,
            _folder: folder,
        };
        bench.take(entries);
        bench
    }

    fn take(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.writer.take(entry);
        }
    }
}

#[test]
fn what_was_told_is_read_back() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    assert_eq!(names(&bench.state), ["a", "b"]);
    let gone = ObjectRef::new(Kind::Pod, "default", "a");
    bench.take(vec![
        set("c", "10.0.0.3"),
        Entry::Gone(gone),
        set("b", "10.0.0.9"),
    ]);
    assert_eq!(names(&bench.state), ["b", "c"]);
    // Several at once, and nothing else.
    bench.take(vec![Entry::Several(vec![
        entry("d", "10.0.0.4"),
        entry("b", "10.0.0.8"),
    ])]);
    assert_eq!(names(&bench.state), ["b", "c", "d"]);
    // A list replaces all of its kind, and nothing else.
    bench.take(vec![Entry::Listed(Kind::Pod, vec![entry("e", "10.0.0.4")])]);
    assert_eq!(names(&bench.state), ["e"]);
}

#[test]
fn what_pods_it_has_is_said() {
    let mut bench = Bench::new(all_listed(&["a"]));
    let covered = |bench: &Bench| {
        bench
            .state
            .read()
            .expect("readable")
            .expect("there")
            .covered
    };
    assert_eq!(covered(&bench), PodScope::default());
    let some = PodScope::Namespaces(["shop".into(), "web".into()].into());
    bench.take(vec![Entry::Covered(some.clone())]);
    assert_eq!(covered(&bench), some);
    // Also when it is written anew.
    bench.take(vec![Entry::Several(vec![entry("b", "10.0.0.2")])]);
    assert_eq!(covered(&bench), some);
    bench.take(vec![Entry::Covered(PodScope::All)]);
    assert_eq!(covered(&bench), PodScope::All);
    // A file of the form before has all pods.
    bench.take(vec![Entry::Covered(some)]);
    let text = std::fs::read_to_string(bench.state.path()).expect("read");
    let older: String = text
        .replace(HEADER, ALL_PODS)
        .lines()
        .filter(|line| !line.contains(" covered "))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(bench.state.path(), older).expect("written");
    assert_eq!(covered(&bench), PodScope::All);
    assert_eq!(names(&bench.state), ["a", "b"]);
    // One that does not say is of no use.
    let silent = text
        .lines()
        .filter(|line| !line.contains(" covered "))
        .map(|line| format!("{line}\n"));
    std::fs::write(bench.state.path(), silent.collect::<String>()).expect("written");
    assert!(matches!(bench.state.read(), Err(StateError::NoScope)));
}

#[test]
fn a_file_that_is_incomplete_or_another_is_refused() {
    let mut listed = all_listed(&["a"]);
    listed.remove(0);
    // Until every kind is known, what was there before stays.
    let bench = Bench::new(listed);
    assert!(matches!(bench.state.read(), Ok(None)));
    std::fs::write(
        bench.state.path(),
        format!("{HEADER}{}", record("listed Pod")),
    )
    .expect("written");
    assert!(matches!(
        bench.state.read(),
        Err(StateError::Incomplete(Kind::Node))
    ));
    std::fs::write(bench.state.path(), "sluice-state 3\n").expect("written");
    assert!(matches!(bench.state.read(), Err(StateError::Version(_))));
    std::fs::remove_file(bench.state.path()).expect("removed");
    assert!(matches!(bench.state.read(), Ok(None)));
}

#[test]
fn a_disk_that_refuses_for_a_while_loses_nothing() {
    let mut bench = Bench::new(all_listed(&["a"]));
    // A folder where the new file should be: no rewriting, whoever asks.
    let beside = bench.state.path().with_extension("new");
    std::fs::create_dir(&beside).expect("made");
    bench.take(vec![Entry::Listed(Kind::Pod, vec![entry("b", "10.0.0.2")])]);
    assert_eq!(names(&bench.state), ["a"]);
    bench.take(vec![set("c", "10.0.0.3")]);
    std::fs::remove_dir(&beside).expect("removed");
    bench.take(vec![set("d", "10.0.0.4")]);
    assert_eq!(names(&bench.state), ["b", "c", "d"]);
}

#[test]
fn damage_at_any_byte_loses_only_what_follows() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    let whole = std::fs::read(bench.state.path()).expect("read").len();
    bench.take(vec![set("c", "10.0.0.3"), set("d", "10.0.0.4")]);
    let bytes = std::fs::read(bench.state.path()).expect("read");
    for at in whole..bytes.len() {
        let mut cut = bytes.clone();
        cut.truncate(at);
        std::fs::write(bench.state.path(), &cut).expect("written");
        let read = names(&bench.state);
        assert!(
            read.starts_with(&["a".to_owned(), "b".to_owned()]) && read.len() < 4,
            "cut at {at}: {read:?}"
        );
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        std::fs::write(bench.state.path(), &flipped).expect("written");
        let read = names(&bench.state);
        assert!(
            read.starts_with(&["a".to_owned(), "b".to_owned()]) && read.len() < 4,
            "flipped at {at}: {read:?}"
        );
    }
}

#[test]
fn a_file_does_not_grow_without_end() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    let mut largest = 0;
    for round in 0..40_000 {
        bench.take(vec![set(
            "b",
            &format!("10.0.{}.{}", round / 250 % 250, round % 250),
        )]);
        largest = largest.max(bench.writer.size);
    }
    assert!(largest <= SMALL + 1024, "{largest}");
    assert_eq!(names(&bench.state), ["a", "b"]);
    assert_eq!(
        std::fs::metadata(bench.state.path())
            .expect("metadata")
            .len(),
        bench.writer.size
    );
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
