//! `https`: a private authority is trusted where it is named, and only there.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{io::Write, sync::Arc};

use containarium_client::{Client, Token};
use containarium_contract::{Face, GetSystemInfo};
use rcgen::CertifiedKey;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
};

const ANSWER: &str =
    r#"{"info":{"engine":"ok","defaultImage":"images:ubuntu/24.04","containersTotal":0}}"#;

/// A TLS server of `localhost` that gives every request the same answer; its port and certificate.
async fn serve() -> (u16, tempfile::NamedTempFile) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut pem = tempfile::NamedTempFile::new().unwrap();
    pem.write_all(cert.pem().as_bytes()).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = tls.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                ANSWER.len()
            );
            let _ = tls.write_all(format!("{head}{ANSWER}").as_bytes()).await;
            let _ = tls.shutdown().await;
        }
    });
    (port, pem)
}

#[tokio::test]
async fn a_named_authority_is_trusted() {
    let (port, pem) = serve().await;
    let url = format!("https://localhost:{port}");
    let client = Client::trusting(&url, Some(pem.path()), Token::fixed("t"), Face::Rest).unwrap();
    assert_eq!(
        client
            .call(&GetSystemInfo {})
            .await
            .unwrap()
            .info
            .containers_total,
        0
    );
}

#[tokio::test]
async fn another_authority_is_not() {
    let (port, _) = serve().await;
    let url = format!("https://localhost:{port}");
    let (_, other) = serve().await;
    let client = Client::trusting(&url, Some(other.path()), Token::fixed("t"), Face::Rest).unwrap();
    let error = client.call(&GetSystemInfo {}).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "request failed: dial tcp localhost:{port}: invalid peer certificate"
        )),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("CONTAINARIUM_CA_FILE"));
}

/// The system's roots are found through the environment, which a test must not change for the
/// tests beside it: so this test runs itself again in a process that has another one.
#[tokio::test]
async fn the_systems_roots_are_trusted() {
    const PORT: &str = "CONTAINARIUM_TEST_HTTPS_PORT";
    if let Ok(port) = std::env::var(PORT) {
        let url = format!("https://localhost:{port}");
        let client = Client::new(&url, Token::fixed("t"), Face::Rest).unwrap();
        client.call(&GetSystemInfo {}).await.unwrap();
        return;
    }
    let (port, pem) = serve().await;
    let again = |roots: std::path::PathBuf| async move {
        let ran = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "https::the_systems_roots_are_trusted"])
            .env(PORT, port.to_string())
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .output();
        let ran = ran.await.unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(said.contains("running 1 test"), "{said}");
        ran.status.success()
    };
    assert!(again(pem.path().to_owned()).await);
    let (_, other) = serve().await;
    assert!(!again(other.path().to_owned()).await);
}
