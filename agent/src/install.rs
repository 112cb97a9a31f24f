//! Puts the CNI plugin where a container runtime looks for it, by rename: a runtime finds the old one or the new one,
//! never a part, and one that is running is not written over.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

/// The plugin's file name.
const PLUGIN: &str = "sluice-cni";

/// Installs the plugin that lies beside this program into `folder`.
///
/// # Errors
/// If there is none, or the folder cannot be written.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("this program lies nowhere")?;
    let plugin = own.with_file_name(PLUGIN);
    from(&plugin, folder)
}

fn from(plugin: &Path, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let target = folder.join(PLUGIN);
    let draft = folder.join(format!(".{PLUGIN}.{}", std::process::id()));
    let installed = (|| {
        std::fs::copy(plugin, &draft)?;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755))?;
        std::fs::File::open(&draft)?.sync_all()?;
        std::fs::rename(&draft, &target)
    })();
    if let Err(error) = installed {
        let _gone = std::fs::remove_file(&draft);
        return Err(error).with_context(|| {
            format!(
                "cannot install {} as {}",
                plugin.display(),
                target.display()
            )
        });
    }
    tracing::info!(path = %target.display(), "CNI plugin installed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_whole_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (plugin, bin) = (folder.path().join("plugin"), folder.path().join("bin"));
        assert!(from(&plugin, &bin).is_err(), "there is no plugin");
        for content in ["one", "two"] {
            std::fs::write(&plugin, content).expect("written");
            from(&plugin, &bin).expect("installed");
            let target = bin.join(PLUGIN);
            assert_eq!(std::fs::read_to_string(&target).expect("read"), content);
            let mode = target.metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
            assert_eq!(std::fs::read_dir(&bin).expect("read").count(), 1);
        }
    }
}
