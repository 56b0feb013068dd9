//! Incus over its HTTPS port: who is let in, which server is believed, and a daemon that works so.

use std::path::{Path, PathBuf};
use std::process::Command;

use containarium_incus::{Certificates, Client, Error};
use containarium_testkit::{Bed, Key, TestDaemon};

const PORT: u16 = 28443;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

/// A certificate that signs itself, and its key, as `NAME.crt` and `NAME.key`.
fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (crt, key) = (
        dir.join(format!("{name}.crt")),
        dir.join(format!("{name}.key")),
    );
    let subject = format!("/CN={name}");
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            crt.to_str().unwrap(),
        ],
    );
    (crt, key)
}

fn incus(bed: &Bed, arguments: &[&str]) {
    let dir = format!("INCUS_DIR={}", bed.incus_dir.display());
    run("env", &[&[dir.as_str(), "incus"], arguments].concat());
}

/// The open port; dropping it closes it. The engine, and whom it trusts, ends with the suite.
struct Open<'b>(&'b Bed);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        incus(self.0, &["config", "unset", "core.https_address"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_a_trusted_daemon_works_and_no_other_and_no_other_server_is_believed() {
    let Some(bed) = Bed::made().await else {
        return;
    };
    let files = tempfile::tempdir().unwrap();
    let (crt, key) = certificate(files.path(), "trusted");
    let (other, other_key) = certificate(files.path(), "stranger");
    let address = format!("127.0.0.1:{PORT}");
    incus(&bed, &["config", "set", "core.https_address", &address]);
    let open = Open(&bed);
    let add = ["config", "trust", "add-certificate", crt.to_str().unwrap()];
    incus(&bed, &add);
    let read = |path: &Path| std::fs::read(path).unwrap();
    let url = format!("https://{address}");
    let certificates = Certificates {
        client: read(&crt),
        key: read(&key),
        server: read(&bed.incus_dir.join("server.crt")),
    };

    let stranger = Certificates {
        client: read(&other),
        key: read(&other_key),
        ..certificates.clone()
    };
    let stranger = Client::https(&url, &stranger).unwrap();
    assert!(!stranger.server().await.unwrap().is_trusted());
    let refused = stranger.instances().await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "{refused:?}");

    let impostor = Certificates {
        server: read(&other),
        ..certificates.clone()
    };
    let refused = Client::https(&url, &impostor).unwrap().server().await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused:?}");

    let engine = Client::https(&url, &certificates).unwrap();
    let daemon = TestDaemon::through(&bed, engine).await;
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    key.login(&alice).says("id").await;
    daemon.delete("alice").await;
    // It looks at what is left while it reaches its engine.
    drop(daemon);
    drop(open);
}
