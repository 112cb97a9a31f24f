//! A Debian root directory with Open vSwitch and a kernel that has its datapath, made once by
//! debootstrap. Both the node image and the guest are made of it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::run::{self, step};

const RELEASE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const PACKAGES: &str = "openvswitch-switch,iproute2,iputils-ping,iputils-arping,kmod,iperf3,\
    linux-image-cloud-amd64,ethtool,tcpdump,procps,nftables,conntrack,ca-certificates";

/// The root directory; it takes a minute the first time.
///
/// # Errors
/// When the Debian mirror does not answer or the disk is full.
pub fn ensure() -> Result<PathBuf> {
    let cache = cache::dir()?;
    let root = cache.join(format!("{RELEASE}-root"));
    if root.exists() {
        return Ok(root);
    }
    step(format!(
        "making a Debian root in {} by debootstrap (once; about a minute)",
        root.display()
    ));
    let half = cache.join(format!("{RELEASE}-root.{}", std::process::id()));
    let log = cache.join("debootstrap.log");
    let out = std::fs::File::create(&log)?;
    let status = run::command("debootstrap", ["--variant=minbase"])
        .arg(format!("--include={PACKAGES}"))
        .arg(RELEASE)
        .arg(&half)
        .arg(std::env::var("SLUICE_DEBIAN_MIRROR").unwrap_or_else(|_| MIRROR.to_owned()))
        .stdout(out.try_clone()?)
        .stderr(out)
        .status()
        .context("cannot run debootstrap")?;
    if !status.success() {
        let said = crate::node::tail(&log, 8);
        let _ = std::fs::remove_dir_all(&half);
        anyhow::bail!("debootstrap failed ({status}):\n{said}");
    }
    for waste in [
        "var/cache/apt",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
    ] {
        let _ = std::fs::remove_dir_all(half.join(waste));
    }
    std::fs::rename(&half, &root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}
