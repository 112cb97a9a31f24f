//! Container images made on the spot: a program, the libraries it is linked with, and nothing else, as
//! an archive in the form of the Open Container Initiative.
//!
//! Must not know what the programs do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::run;

/// The image of what holds a pod's namespaces.
pub const PAUSE: &str = "localhost/sluice-testbed/pause:1";
/// The image of the test server.
pub const SERVER: &str = "localhost/sluice-testbed/server:1";
/// The test server's program, in its image.
pub const PROGRAM: &str = "/sluice-testserver";

/// What an image is called, and what it runs.
type Image<'a> = (&'a str, &'a [&'a str]);

/// Writes an archive of both images, of the program `sluice-testserver` in `bin`, to `out`.
///
/// # Errors
/// When the program is not there or `tar` fails.
pub fn write(bin: &Path, out: &Path) -> Result<()> {
    let fill = |root: &Path| {
        put(root, &bin.join("sluice-testserver"), PROGRAM)?;
        // A shorter name for people.
        symlink(PROGRAM, root.join("t")).context("cannot make a link")
    };
    let images: [Image<'_>; 2] = [(PAUSE, &[PROGRAM, "pause"]), (SERVER, &[PROGRAM, "serve"])];
    write_images(fill, &images, "/", out)
}

/// Writes an archive with the agent's image under each of some names, to `out`: as `deploy/build-image` fills it, of
/// the programs in `bin`.
///
/// # Errors
/// When a program is not there or `tar` fails.
pub fn write_agent(bin: &Path, names: &[&str], out: &Path) -> Result<()> {
    let fill = |root: &Path| {
        for program in ["sluice-agent", "sluicectl", "sluice-cni"] {
            put(root, &bin.join(program), &format!("/bin/{program}"))?;
        }
        // Runtimes name namespaces by the old path.
        symlink("../run", root.join("var/run")).context("cannot make a link")
    };
    let images: Vec<Image<'_>> = names
        .iter()
        .map(|&name| (name, &["/bin/sluice-agent"][..]))
        .collect();
    write_images(fill, &images, "/bin", out)
}

/// Writes an archive of images that are alike but for their names and what they run.
fn write_images(
    fill: impl FnOnce(&Path) -> Result<()>,
    images: &[Image<'_>],
    path: &str,
    out: &Path,
) -> Result<()> {
    let work = tempfile::tempdir_in(out.parent().context("an archive lies in a folder")?)?;
    let root = work.path().join("root");
    for folder in ["tmp", "etc", "proc", "sys", "dev", "run", "var/lib"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fill(&root)?;
    let layer = work.path().join("layer.tar");
    archive(&root, &layer)?;
    let image = work.path().join("image");
    fs::create_dir_all(image.join("blobs/sha256"))?;
    let layer = add(&image, "layer.v1.tar", &fs::read(layer)?)?;
    let mut manifests = Vec::new();
    for (name, entrypoint) in images {
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "Env": [format!("PATH={path}")], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
            // Two names are two images, however alike.
            "comment": name,
        });
        let config = add(&image, "config.v1+json", config.to_string().as_bytes())?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": kind("manifest.v1+json"),
            "config": config,
            "layers": [layer],
        });
        let mut entry = add(&image, "manifest.v1+json", manifest.to_string().as_bytes())?;
        entry["annotations"] = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rsplit(':').next(),
        });
        manifests.push(entry);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    fs::write(image.join("index.json"), index.to_string())?;
    fs::write(
        image.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let beside = work.path().join("image.tar");
    archive(&image, &beside)?;
    fs::rename(beside, out).with_context(|| format!("cannot write {}", out.display()))
}

fn kind(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}

/// Adds a blob and returns what describes it.
fn add(image: &Path, media: &str, data: &[u8]) -> Result<Value> {
    let digest = ring::digest::digest(&ring::digest::SHA256, data);
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(image.join("blobs/sha256").join(&hex), data)?;
    Ok(json!({"mediaType": kind(media), "digest": format!("sha256:{hex}"), "size": data.len()}))
}

/// Puts a program and the libraries it is linked with into an image.
fn put(root: &Path, program: &Path, inside: &str) -> Result<()> {
    let inside = root.join(inside.trim_start_matches('/'));
    fs::create_dir_all(inside.parent().context("a program lies in a folder")?)?;
    fs::copy(program, &inside).with_context(|| format!("no {}", program.display()))?;
    for library in libraries(program)? {
        let path = root.join(library.strip_prefix("/").unwrap_or(&library));
        fs::create_dir_all(path.parent().context("a library lies in a folder")?)?;
        fs::copy(&library, &path).with_context(|| format!("no {}", library.display()))?;
    }
    Ok(())
}

/// What the program is linked with at run time: every absolute path that `ldd` names.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    // It fails for a program that is linked with nothing.
    let output = run::output(run::command("ldd", [program]).env("LC_ALL", "C"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}

/// The same files always give the same archive.
fn archive(folder: &Path, out: &Path) -> Result<()> {
    let mut command = run::command("tar", ["--create", "--sort=name", "--mtime=@0"]);
    command
        .args(["--owner=0", "--group=0", "--numeric-owner", "--file"])
        .arg(out)
        .arg("--directory")
        .arg(folder)
        .arg(".");
    run::stdout(&mut command)?;
    Ok(())
}
