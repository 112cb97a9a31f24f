use std::sync::mpsc;

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::super::{ALL_PODS, StateError, StateFile};
use super::*;
use crate::source::object::Kind;

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
            writer: Writer::new(state.path(), Arc::default()),
            state,
            _folder: folder,
        };
        bench.take(entries);
        bench
    }

    /// Tells it each entry by itself, as a thread that is never behind is told.
    fn take(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.try_to_take(entry).expect("written");
        }
    }

    fn try_to_take(&mut self, entry: Entry) -> io::Result<()> {
        self.writer.shared.tell(entry);
        self.writer.write_pending()
    }

    /// Objects that have a word that is not written.
    fn pending(&self) -> usize {
        self.writer.shared.lock().pending.len()
    }
}

fn gone(name: &str) -> Entry {
    Entry::Gone(ObjectRef::new(Kind::Pod, "default", name))
}

#[test]
fn what_was_told_is_read_back() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    assert_eq!(names(&bench.state), ["a", "b"]);
    bench.take(vec![set("c", "10.0.0.3"), gone("a"), set("b", "10.0.0.9")]);
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
    let list = Entry::Listed(Kind::Pod, vec![entry("b", "10.0.0.2")]);
    bench.try_to_take(list).expect_err("refused");
    assert_eq!(names(&bench.state), ["a"]);
    bench
        .try_to_take(set("c", "10.0.0.3"))
        .expect_err("refused");
    bench.try_to_take(gone("b")).expect_err("refused");
    std::fs::remove_dir(&beside).expect("removed");
    bench.take(vec![set("d", "10.0.0.4")]);
    assert_eq!(names(&bench.state), ["c", "d"]);
    assert_eq!(bench.pending(), 0);
}

#[test]
fn what_a_disk_refuses_is_the_last_word_on_each_object() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    let beside = bench.state.path().with_extension("new");
    std::fs::create_dir(&beside).expect("made");
    let several = Entry::Several(vec![entry("c", "10.0.0.3")]);
    bench.try_to_take(several).expect_err("refused");
    // Pods that come, change and go, each by another name: nothing of them need be kept.
    for round in 0..5_000 {
        let name = format!("web-{round}");
        bench.writer.shared.tell(set(&name, "10.0.0.4"));
        bench.writer.shared.tell(set("b", "10.0.0.5"));
        // Now and then the disk is tried: what flies may be in the file before its end is told.
        if round % 100 == 0 {
            bench.writer.write_pending().expect_err("refused");
        }
        bench.writer.shared.tell(gone(&name));
        assert!(bench.pending() <= 3, "{} after {round}", bench.pending());
    }
    // One that is in the file must be said to have gone.
    bench.try_to_take(gone("a")).expect_err("refused");
    std::fs::remove_dir(&beside).expect("removed");
    bench.writer.write_pending().expect("written");
    assert_eq!(names(&bench.state), ["b", "c"]);
    assert_eq!(bench.pending(), 0);
}

#[test]
fn what_goes_while_it_is_being_written_is_said_afterwards() {
    let mut bench = Bench::new(all_listed(&["a"]));
    let shared = Arc::clone(&bench.writer.shared);
    shared.tell(set("b", "10.0.0.2"));
    // As `write_pending` does it, with a word in the middle.
    let mut desk = shared.lock();
    let news = desk.pending.split_off();
    desk.flying = news.set().cloned().collect();
    drop(desk);
    shared.tell(gone("b"));
    bench.writer.write(&news).expect("written");
    assert_eq!(names(&bench.state), ["a", "b"]);
    bench.writer.write_pending().expect("written");
    assert_eq!(names(&bench.state), ["a"]);
}

#[test]
fn a_file_that_was_taken_away_is_there_again_with_the_next_change() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    std::fs::remove_file(bench.state.path()).expect("removed");
    bench.take(vec![set("c", "10.0.0.3")]);
    assert_eq!(names(&bench.state), ["a", "b", "c"]);
    // Another in its place is no more believed.
    std::fs::remove_file(bench.state.path()).expect("removed");
    std::fs::write(bench.state.path(), "something else").expect("written");
    bench.take(vec![gone("a")]);
    assert_eq!(names(&bench.state), ["b", "c"]);
}

#[test]
fn a_file_that_somebody_changed_is_not_copied() {
    let mut bench = Bench::new(all_listed(&["a", "b"]));
    let text = std::fs::read_to_string(bench.state.path()).expect("read");
    std::fs::write(bench.state.path(), text.replace("10.0.0.1", "10.0.0.7")).expect("written");
    let several = Entry::Several(vec![entry("c", "10.0.0.3")]);
    let error = bench.try_to_take(several).expect_err("noticed");
    assert!(error.to_string().contains("somebody else"), "{error}");
    // And a shorter one is no file of ours either.
    std::fs::write(bench.state.path(), HEADER).expect("written");
    bench.writer.write_pending().expect_err("noticed");
}

/// Runs something in mounts of its own, with a small disk in a folder.
fn on_a_small_disk(work: impl FnOnce(&Path) + Send + 'static) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_owned();
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own, as root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
        let size = Some("size=256k");
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), size).expect("mounted");
        work(&at);
    });
    thread.join().expect("it went well");
}

/// Waits until the status says this of the file.
fn wait_for(status: &channel::Receiver<KubernetesStatus>, what: Option<&str>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let problems = status.borrow().problems();
        let said = match what {
            Some(what) => problems.iter().any(|line| line.contains(what)),
            None => problems.is_empty(),
        };
        if said {
            return;
        }
        assert!(Instant::now() < deadline, "{what:?} in {problems:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_full_and_a_read_only_disk_are_said_and_got_over() {
    on_a_small_disk(|folder| {
        let state = StateFile::new(folder.join("state"));
        let (status, seen) = channel::channel(KubernetesStatus::default());
        let keeper = state.keeper(status);
        let tell = |entries: Vec<Entry>| entries.into_iter().for_each(|it| keeper.tell(it));
        tell(all_listed(&["a"]));
        let written = Instant::now() + Duration::from_secs(30);
        while !matches!(state.read(), Ok(Some(_))) {
            assert!(Instant::now() < written, "{:?}", state.read());
            thread::sleep(Duration::from_millis(10));
        }

        let other = folder.join("other");
        let full = std::fs::write(&other, vec![0; 1 << 20]).expect_err("the disk is full");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let many = (0..200).map(|n| set(&format!("b-{n}"), "10.0.0.2"));
        tell(many.collect());
        wait_for(&seen, Some("No space left on device"));
        // Nothing of a new file stays on a disk that is full, and the old one is whole.
        assert!(!folder.join("new").exists() && !folder.join("state.new").exists());
        assert!(names(&state).contains(&"a".to_owned()));
        for round in 0..20_000 {
            keeper.tell(set(&format!("c-{round}"), "10.0.0.3"));
            keeper.tell(gone(&format!("c-{round}")));
        }
        assert!(keeper.shared.lock().pending.len() <= 201);
        std::fs::remove_file(&other).expect("removed");
        wait_for(&seen, None);
        assert_eq!(names(&state).len(), 201);

        // Another disk in its place, which nobody may write to.
        let (none, nothing) = (None::<&str>, None::<&Path>);
        mount(nothing, folder, Some("tmpfs"), MsFlags::MS_RDONLY, none).expect("mounted");
        keeper.tell(set("d", "10.0.0.4"));
        wait_for(&seen, Some("Read-only file system"));
        umount(folder).expect("unmounted");
        wait_for(&seen, None);
        assert!(names(&state).contains(&"d".to_owned()));
    });
}

#[test]
fn the_last_word_is_written_before_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateFile::new(folder.path().join("state"));
    let (ended, end) = mpsc::channel();
    let shared = Arc::<Shared>::default();
    let writer = Writer::new(state.path(), Arc::clone(&shared));
    let keeper = Keeper {
        shared: Arc::clone(&shared),
    };
    for entry in all_listed(&["a"]).into_iter().chain([set("b", "10.0.0.2")]) {
        keeper.tell(entry);
    }
    drop(keeper);
    thread::spawn(move || {
        writer.run(&channel::Sender::default());
        ended.send(()).expect("awaited");
    });
    end.recv_timeout(Duration::from_secs(30)).expect("it ends");
    assert_eq!(names(&state), ["a", "b"]);
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
