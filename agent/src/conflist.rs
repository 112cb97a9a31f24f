//! The CNI network configuration list.
//!
//! A container runtime takes the presence of the file as "this node has a network", so it is
//! written last, once the agent can serve, and in one step. It stays when the agent stops or is
//! upgraded: requests then wait for the agent's return. Only [`crate::cleanup`] removes it.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

/// Name of the network in the list; also how [`remove`] knows the file as ours.
pub const NETWORK: &str = "sluice";

/// The CNI version that the list asks for where the runtime knows of no choice: containerd 1.6 takes any that is
/// named here for granted, and then fails on a result of a version that it does not know.
pub const CNI_VERSION: &str = "1.0.0";

/// All versions that the plugin speaks. A runtime that knows 1.1.0, the first with GC and STATUS, knows this key and
/// takes the highest that it speaks itself.
pub const CNI_VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The list, for an agent that listens on `socket`.
pub fn render(socket: &Path) -> String {
    let list = json!({
        "cniVersion": CNI_VERSION,
        "cniVersions": CNI_VERSIONS,
        "name": NETWORK,
        "plugins": [{ "type": "sluice-cni", "socket": socket }],
    });
    format!("{list:#}\n")
}

/// Writes the list to `path` unless it is there already with the same text; true if it wrote.
/// A reader sees the old file or the new one, never a part.
///
/// # Errors
/// If the folder cannot be made or the file not be written.
pub fn write(path: &Path, socket: &Path) -> anyhow::Result<bool> {
    let text = render(socket);
    if std::fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(false);
    }
    let folder = path.parent().context("the conflist needs a folder")?;
    let name = path.file_name().context("the conflist needs a file name")?;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    // A name that no container runtime reads: neither .conf, .conflist nor .json.
    let draft = folder.join(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = (|| {
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    })();
    if let Err(error) = written {
        let _gone = std::fs::remove_file(&draft);
        return Err(error).with_context(|| format!("cannot write {}", path.display()));
    }
    Ok(true)
}

/// Removes the list if it is one that [`write()`] made; true if it did.
///
/// # Errors
/// If the file is ours and cannot be removed.
pub fn remove(path: &Path) -> anyhow::Result<bool> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(false);
    };
    let ours = serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|list| {
        list.get("name").and_then(|name| name.as_str()) == Some(NETWORK)
            && list
                .pointer("/plugins/0/type")
                .and_then(|kind| kind.as_str())
                == Some("sluice-cni")
    });
    if !ours {
        return Ok(false);
    }
    std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_once_and_removed_only_if_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.d/10-sluice.conflist");
        let socket = Path::new("/run/sluice/agent.sock");
        assert!(write(&path, socket).expect("written"));
        assert!(!write(&path, socket).expect("unchanged"));
        assert!(write(&path, Path::new("/other")).expect("rewritten"));
        assert_eq!(
            std::fs::read_dir(path.parent().expect("a parent"))
                .expect("read")
                .count(),
            1
        );
        assert!(remove(&path).expect("removed"));
        assert!(!remove(&path).expect("nothing there"));
        std::fs::write(
            &path,
            "{\"name\":\"other\",\"plugins\":[{\"type\":\"bridge\"}]}",
        )
        .expect("written");
        assert!(!remove(&path).expect("left alone"));
        assert!(path.exists());
    }
}
