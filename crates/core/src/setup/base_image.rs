//! The base image: the host's own distribution, from the mirror the host uses itself, because
//! an image server cannot be reached from everywhere.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use containarium_contract::ImageRef;
use containarium_incus::Client;
use tokio::process::Command;

use super::{SetupError, While as _, tail};
use crate::images::base_alias;

/// Runs on the host, as root, with mmdebstrap.
const SCRIPT: &str = include_str!("../../guest/base.sh");
/// How long Incus may take to read the image.
const IMPORT: Duration = Duration::from_secs(300);

/// Which image the host's own distribution makes: `local:debian/12`.
pub(super) fn of_this_host() -> Result<ImageRef, SetupError> {
    let text = std::fs::read_to_string("/etc/os-release").doing("/etc/os-release")?;
    let field = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim_matches('"').to_owned())
    };
    let alias = format!(
        "local:{}/{}",
        field("ID").unwrap_or_default(),
        field("VERSION_ID").unwrap_or_default()
    );
    alias.parse().map_err(|_| SetupError::Command {
        what: "finding out this host's distribution".into(),
        evidence: format!("/etc/os-release says {alias}; Debian and Ubuntu are known"),
    })
}

/// Builds the base image in `scratch` and imports it.
pub(super) async fn build(
    incus: &Client,
    image: &ImageRef,
    scratch: &Path,
) -> Result<(), SetupError> {
    let dir = tempfile::Builder::new()
        .prefix("image-")
        .tempdir_in(scratch)
        .doing(format!("a directory in {}", scratch.display()))?;
    let script = dir.path().join("base.sh");
    std::fs::File::create(&script)
        .and_then(|mut file| file.write_all(SCRIPT.as_bytes()))
        .doing("base.sh")?;
    let ran = Command::new("bash")
        .arg(&script)
        .arg(dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .doing("bash")?;
    if !ran.status.success() {
        let what = "building the base image with mmdebstrap".into();
        return Err(SetupError::Command {
            what,
            evidence: tail(&ran.stderr),
        });
    }
    let printed = String::from_utf8_lossy(&ran.stdout);
    let file = printed
        .lines()
        .find_map(|line| line.strip_prefix("file="))
        .map(PathBuf::from);
    let file = file.unwrap_or_else(|| dir.path().join("base.tar.zst"));
    let begun = incus
        .import_image_unified(&file, &[&base_alias(image)])
        .await;
    let begun = begun.doing("importing the base image")?;
    incus
        .wait(&begun, IMPORT)
        .await
        .doing("importing the base image")?;
    Ok(())
}
