//! Jobs in namespaces, and waiting for devices.

use std::time::{Duration, Instant};

use sluice_agent::host::{
    HostError,
    netlink::{Netlink, wait_for_link},
    netns::Netns,
    pod::{Attachment, Datapath, plumb},
};

use crate::harness::{SOON, Space, nic, problems};

fn here() -> std::path::PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace")
}

#[tokio::test]
async fn a_job_runs_inside_and_leaves_its_caller_outside() {
    let space = Space::new("job");
    let before = here();
    let inside = space.run(|| async { Ok(here()) }).await.expect("an answer");
    assert_ne!(before, inside);
    assert_eq!(before, here());
}

#[tokio::test]
async fn a_job_that_panics_is_an_error_of_its_own() {
    let space = Space::new("job");
    let lost = space
        .run(|| async {
            if here().exists() {
                Ok(())
            } else {
                panic!("on purpose")
            }
        })
        .await;
    assert!(matches!(lost, Err(HostError::ThreadLost)), "{lost:?}");
}

#[tokio::test]
async fn what_is_no_namespace_is_said_to_be_gone() {
    let missing = Netns::open("/run/netns/never-was".as_ref()).expect_err("no such file");
    assert!(missing.namespace_is_gone(), "{missing}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let plain = Netns::open(file.path())
        .expect("any file opens")
        .run(|| async { Ok(()) })
        .await;
    let error = plain.expect_err("a plain file is no namespace");
    assert!(error.namespace_is_gone(), "{error}");
}

#[tokio::test]
async fn a_device_is_awaited_for_a_bounded_time() {
    let space = Space::new("wait");
    let begin = Instant::now();
    let limit = Duration::from_millis(100);
    let never = space
        .run(move || async move { wait_for_link("slnever", limit).await })
        .await;
    assert!(
        matches!(never, Err(HostError::NoDevice { .. })),
        "{never:?}"
    );
    assert!(begin.elapsed() >= limit);

    let waiting = space.run(|| async { wait_for_link("sllater", SOON).await });
    let creating = async {
        // Whether it comes before or after the waiting began, it is found.
        tokio::task::yield_now().await;
        space.ip("link add sllater type veth peer name slpeer");
    };
    let (found, ()) = tokio::join!(waiting, creating);
    let link = found.expect("the device");
    assert_eq!(
        (link.name.as_str(), link.kind.as_deref(), link.up),
        ("sllater", Some("veth"), false)
    );
}

#[tokio::test]
async fn links_are_listed_with_what_carries_them() {
    let space = Space::new("links");
    space.ip("link add sla type veth peer name slb");
    space.ip("link add link sla name slm type macvlan mode passthru");
    let links = space
        .run(|| async { Netlink::open()?.links().await })
        .await
        .expect("a list");
    let named = |name: &str| {
        links
            .iter()
            .find(|link| link.name == name)
            .expect("the device")
            .clone()
    };
    assert_eq!(named("slm").lower, Some(named("sla").index));
    assert_eq!(named("slm").mac, named("sla").mac);
    assert_eq!(named("lo").index, 1);
}

/// As in a container, where sysctls can be read but not written.
#[tokio::test]
async fn a_read_only_proc_sys_is_no_hindrance() {
    use nix::{
        mount::{MsFlags, mount},
        sched::{CloneFlags, unshare},
    };
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    let wanted = nic(&pod, "slveth0", 2, Attachment::Veth, Datapath::Userspace);
    let job = wanted.clone();
    node.run(move || async move {
        let proc_sys =
            |flags| mount::<str, str, str, str>(Some("/proc/sys"), "/proc/sys", None, flags, None);
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)
            .expect("private");
        proc_sys(MsFlags::MS_BIND).expect("bound");
        proc_sys(MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY).expect("read-only");
        let written = std::fs::write("/proc/sys/net/ipv4/ip_forward", "1");
        assert_eq!(
            written.expect_err("read-only").raw_os_error(),
            Some(nix::libc::EROFS)
        );
        plumb(&job, SOON).await
    })
    .await
    .expect("a plumbed pod");
    assert_eq!(problems(&node, &wanted).await, []);
    assert_eq!(
        pod.sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra").trim(),
        "0"
    );
}
