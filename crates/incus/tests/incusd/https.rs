//! Incus's HTTPS port: who is let in, and which server is believed. Opens the port of the Incus that
//! `INCUS_DIR` names, and closes it again.

use std::path::{Path, PathBuf};
use std::process::Command;

use containarium_incus::{Certificates, Client, Error};

use crate::live;

const PORT: u16 = 28443;

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
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

/// The open port; dropping it closes it.
struct Open;

impl Drop for Open {
    fn drop(&mut self) {
        run("incus", &["config", "unset", "core.https_address"]);
    }
}

#[tokio::test]
async fn over_https_a_trusted_client_works_and_no_other_and_no_other_server_is_believed() {
    live(async |live| {
        let dir = PathBuf::from(std::env::var_os("INCUS_DIR").unwrap());
        let (crt, key) = certificate(&live.files, "trusted");
        let (other, other_key) = certificate(&live.files, "stranger");
        let address = format!("127.0.0.1:{PORT}");
        run("incus", &["config", "set", "core.https_address", &address]);
        let _open = Open;
        run(
            "incus",
            &["config", "trust", "add-certificate", crt.to_str().unwrap()],
        );
        let read = |path: &Path| std::fs::read(path).unwrap();
        let url = format!("https://{address}");
        let certificates = Certificates {
            client: read(&crt),
            key: read(&key),
            server: read(&dir.join("server.crt")),
        };
        let client = Client::https(&url, &certificates).unwrap();
        assert!(client.server().await.unwrap().is_trusted());
        let project = live.incus.project_name().unwrap().to_owned();
        let there = client.in_project(&project);
        assert!(there.instances().await.unwrap().is_empty());

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
            ..certificates
        };
        let refused = Client::https(&url, &impostor).unwrap().server().await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::Unreachable { .. }), "{refused:?}");

        let prints = run(
            "incus",
            &["config", "trust", "list", "--format", "csv", "-c", "nf"],
        );
        for line in prints
            .lines()
            .filter(|line| line.starts_with("trusted.crt,"))
        {
            let print = line.split(',').next_back().unwrap();
            run("incus", &["config", "trust", "remove", print]);
        }
    })
    .await;
}
