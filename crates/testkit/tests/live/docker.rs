//! Docker inside a container, without a registry.

use std::{process::Command, time::Duration};

use containarium_testkit::{Key, wait_for};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{booted, start};

/// An image of one static program: the host's busybox.
fn image() -> Vec<u8> {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(tree.path().join("www")).unwrap();
    std::fs::write(tree.path().join("www/index.html"), "it answers\n").unwrap();
    let from = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|p| std::fs::exists(p).unwrap());
    std::fs::copy(
        from.expect("busybox-static on this host"),
        tree.path().join("busybox"),
    )
    .unwrap();
    let tar = Command::new("tar")
        .arg("-C")
        .arg(tree.path())
        .args(["-c", "."])
        .output()
        .unwrap();
    assert!(tar.status.success());
    tar.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_runs_an_image_and_publishes_its_port() {
    let Some((_bed, daemon)) = start().await else {
        return;
    };
    let key = Key::new();
    let container = daemon.create("alice", &key).await;
    let login = key.login(&container);
    // Docker's socket comes with the rest of the boot, after the first login.
    booted(&login).await;
    let imported = login
        .run_with("docker import - local/busybox", &image())
        .await;
    assert_eq!(imported.status, 0, "{imported:?}");
    assert_eq!(
        login.says("docker info --format '{{.Driver}}'").await,
        "overlay2"
    );
    assert_eq!(
        login
            .says("docker run --rm local/busybox /busybox echo hello")
            .await,
        "hello"
    );
    login
        .says("docker run -d -p 8000:80 local/busybox /busybox httpd -f -p 80 -h /www")
        .await;

    let address = format!("{}:8000", container.network.ip_address);
    let page = wait_for(
        Duration::from_secs(10),
        "the published port answers",
        async || {
            let mut stream = TcpStream::connect(&address)
                .await
                .map_err(|e| e.to_string())?;
            stream
                .write_all(b"GET / HTTP/1.0\r\n\r\n")
                .await
                .map_err(|e| e.to_string())?;
            let mut page = String::new();
            stream
                .read_to_string(&mut page)
                .await
                .map_err(|e| e.to_string())?;
            if page.is_empty() {
                Err("nothing".to_owned())
            } else {
                Ok(page)
            }
        },
    );
    assert!(page.await.ends_with("it answers\n"));
}
