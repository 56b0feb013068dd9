//! A guest that boots in milliseconds, for tests that start many containers and never log in: a static busybox whose one
//! program sets the address and answers on port 22 with `SSH-`. Nothing else of a real guest is in it, so what a login, a key
//! or a claimed standby needs is tested with the real one.

use std::{path::Path, process::Command, time::Duration};

use containarium_core::images::prepared_properties;
use containarium_incus::Client;

/// Its name as an image.
pub(crate) const QUICK: &str = "local:quick/1";
const LONG: Duration = Duration::from_secs(30);

/// Imports it as a prepared image, where it is not there.
pub(crate) async fn import_quick_guest(incus: &Client) {
    let alias = format!("containarium/plain/{}", QUICK.replace(':', "/"));
    if incus.image_alias(&alias).await.is_ok() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    pack(dir.path());
    let file = dir.path().join("image.tar.gz");
    let begun = incus.import_image_unified(&file, &[&alias]).await.unwrap();
    incus.wait(&begun, LONG).await.unwrap();
}

fn pack(dir: &Path) {
    let properties: String = prepared_properties("none")
        .into_iter()
        .map(|(key, value)| format!("  {key}: \"{value}\"\n"))
        .collect();
    let metadata = format!(
        "architecture: {}\ncreation_date: 1700000000\nproperties:\n  os: quick\n{properties}templates:\n  \
         /etc/containarium/identity:\n    when: [create, copy]\n    template: identity.tpl\n",
        std::env::consts::ARCH
    );
    std::fs::write(dir.join("metadata.yaml"), metadata).unwrap();
    let status = Command::new("sh")
        .args(["-ec", include_str!("quick_guest.sh")])
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(status.success(), "cannot pack the quick guest: {status}");
}
