//! What the machine and the switch count as lost, for the report of a scenario that failed: whether flows dropped a
//! packet is told by their own counters, and what is here tells of the rest.

use crate::node::Node;

/// Counters of the kernel's network stack that say that something went wrong.
const KERNEL: [&str; 5] = ["*Err*", "*Drop*", "*Discard*", "*Reasm*", "*Overflow*"];

/// What a node, its switch and its pods have lost; one line for each counter that is not zero.
#[must_use]
pub fn report(node: &Node, pods: &[&str]) -> String {
    let mut lines = Vec::new();
    let mut add =
        |place: &str, text: anyhow::Result<String>, keep: &dyn Fn(&str) -> bool| match text {
            Ok(text) => lines.extend(
                text.lines()
                    .filter(|line| keep(line))
                    .map(|line| format!("{place}: {}", line.trim())),
            ),
            Err(error) => lines.push(format!("{place}: {error:#}")),
        };
    let nstat: Vec<_> = ["-as"].into_iter().chain(KERNEL).collect();
    let counter = |line: &str| !line.starts_with('#');
    let name = node.name();
    add(&name, node.sh("nstat", &nstat), &counter);
    add(&name, node.sh("cat", &["/proc/net/dev"]), &lossy);
    add(&name, node.sh("ss", &["-0nm"]), &|line| {
        line.contains("skmem")
    });
    let appctl = |words: &[&str]| {
        let words: Vec<_> = ["-t", "ovs-vswitchd"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        node.sh("ovs-appctl", &words)
    };
    add(&name, appctl(&["coverage/show"]), &|line| {
        line.contains("drop")
    });
    // The kernel's datapath has none.
    if let Ok(text) = appctl(&["dpctl/ipf-get-status"]) {
        add(&name, Ok(text), &|_| true);
    }
    // A kubelet's pods, which the testbed does not know by name.
    let each = |command: &str| {
        node.script(&format!(
            "for file in /run/netns/cni-*; do
                [ ! -e $file ] || nsenter --net=$file {command} | sed \"s,^,${{file##*/}} ,\"
            done"
        ))
    };
    add(
        &name,
        each(&format!("nstat '{}'", nstat.join("' '"))),
        &|line| !line.contains('#'),
    );
    add(&name, each("cat /proc/net/dev"), &lossy);
    for pod in pods {
        add(pod, node.pod_sh(pod, "nstat", &nstat), &counter);
        add(pod, node.pod_sh(pod, "cat", &["/proc/net/dev"]), &lossy);
    }
    lines.join("\n")
}

/// Whether a line of `/proc/net/dev` counts errors or drops, received or sent.
fn lossy(line: &str) -> bool {
    let Some((_, counters)) = line.split_once(':') else {
        return false;
    };
    let counters: Vec<_> = counters.split_ascii_whitespace().collect();
    [2, 3, 10, 11]
        .iter()
        .any(|column| counters.get(*column).is_some_and(|count| *count != "0"))
}

#[cfg(test)]
mod tests {
    use super::lossy;

    #[test]
    fn devices_that_lost_nothing_are_left_out() {
        let device = |dropped| format!("  eth0: 9 8 0 {dropped} 0 0 0 0 7 6 0 0 0 0 0 0");
        assert!(!lossy(&device(0)));
        assert!(lossy(&device(3)));
        assert!(!lossy("Inter-|   Receive  |  Transmit"));
    }
}
