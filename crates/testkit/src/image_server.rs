//! An image server on loopback, https, that speaks as much simplestreams as incusd asks for, counts
//! what is asked, and can stop in the middle of a download.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use containarium_core::images::Remotes;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// How much is sent at a time.
const PIECE: usize = 256 << 10;

/// One image: the file that describes it, and its root filesystem, each a tar file.
#[derive(Clone, Debug)]
pub struct ServedImage {
    /// What it is called, such as `debian/13`.
    pub alias: String,
    /// A tar file with `metadata.yaml`.
    pub metadata: Vec<u8>,
    /// A tar file, packed or not.
    pub rootfs: Vec<u8>,
}

impl ServedImage {
    /// An image of this root filesystem.
    pub fn new(alias: &str, rootfs: Vec<u8>) -> Self {
        let yaml = "architecture: x86_64\ncreation_date: 1760000000\nproperties: {os: Test}\n";
        let yaml = yaml.replace("x86_64", env::consts::ARCH);
        Self {
            alias: alias.to_owned(),
            metadata: tar(&[("metadata.yaml", &yaml)]),
            rootfs,
        }
    }

    /// An image that boots nothing: these files, and that is all.
    pub fn of_files(alias: &str, files: &[(&str, &str)]) -> Self {
        Self::new(alias, tar(files))
    }
}

/// A running image server. Dropping it closes it.
pub struct ImageServer {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
    held: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl ImageServer {
    /// Serves these images with the certificate that the private engine trusts.
    pub async fn of(images: &[ServedImage]) -> Self {
        let tls = PathBuf::from(env::var_os("CONTAINARIUM_TEST_TLS").unwrap());
        let acceptor = acceptor(&tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let files = Arc::new(files(images));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let held = watch::Sender::new(false);
        let (log, hold) = (Arc::clone(&asked), held.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = talk(
                    acceptor.clone(),
                    stream,
                    Arc::clone(&files),
                    Arc::clone(&log),
                    hold.subscribe(),
                );
                tokio::spawn(talk);
            }
        });
        Self {
            url,
            asked,
            held,
            serving,
        }
    }

    /// The remote `images` is this server, and there is no other.
    pub fn remotes(&self) -> Remotes {
        let changes = [format!("images={}", self.url), "ubuntu=".to_owned()];
        Remotes::with(changes.map(|change| change.parse().unwrap()))
    }

    /// While it is held, no download gets beyond its half.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// The paths asked for so far, in turn.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.clone()
    }

    /// How many root filesystems were fetched, or begun to be.
    pub fn downloads(&self) -> usize {
        let asked = self.asked();
        asked
            .iter()
            .filter(|path| path.ends_with("/rootfs"))
            .count()
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn acceptor(tls: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(tls.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls.join("key.pem")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// All that is served, by path.
fn files(images: &[ServedImage]) -> HashMap<String, Vec<u8>> {
    let hex = |bytes: &[u8]| -> String {
        let hash = digest(&SHA256, bytes);
        hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    };
    let arch = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut files = HashMap::new();
    let mut products = Map::new();
    for (n, image) in images.iter().enumerate() {
        let ServedImage {
            alias,
            metadata,
            rootfs,
        } = image;
        let item = |kind: &str, path: &str, bytes: &[u8]| json!({"ftype": kind, "path": path, "size": bytes.len(), "sha256": hex(bytes)});
        let (meta_path, root_path) = (format!("i/{n}/meta"), format!("i/{n}/rootfs"));
        let mut meta = item("incus.tar.xz", &meta_path, metadata);
        let both: Vec<u8> = metadata.iter().chain(rootfs).copied().collect();
        meta["combined_rootxz_sha256"] = hex(&both).into();
        let root = item("root.tar.xz", &root_path, rootfs);
        products.insert(
            format!("test:{n}:{arch}:default"),
            json!({"aliases": alias, "arch": arch, "os": "Test", "release": n.to_string(),
                "release_title": n.to_string(), "variant": "default", "versions":
                {"20260101_00:00": {"items": {"incus.tar.xz": meta, "root.tar.xz": root}}}}),
        );
        files.insert(format!("/{meta_path}"), metadata.clone());
        files.insert(format!("/{root_path}"), rootfs.clone());
    }
    let names: Vec<&String> = products.keys().collect();
    let index = json!({"format": "index:1.0", "index": {"images": {"datatype": "image-downloads",
        "path": "streams/v1/images.json", "format": "products:1.0", "products": names}}});
    let images = json!({"content_id": "images", "datatype": "image-downloads",
        "format": "products:1.0", "products": products});
    for (name, json) in [("index", index), ("images", images)] {
        let path = format!("/streams/v1/{name}.json");
        files.insert(path, Value::to_string(&json).into_bytes());
    }
    files
}

/// One request over one connection.
async fn talk(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    files: Arc<HashMap<String, Vec<u8>>>,
    asked: Arc<Mutex<Vec<String>>>,
    mut held: watch::Receiver<bool>,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path.clone());
    let none = Vec::new();
    let (status, body) = match files.get(&path) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", &none),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // Whoever hangs up has had enough.
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let half = body.len() / 2;
    for (n, piece) in body.chunks(PIECE).enumerate() {
        if path.ends_with("/rootfs") && n * PIECE >= half {
            let _closed = held.wait_for(|held| !held).await.is_err();
        }
        if stream.write_all(piece).await.is_err() {
            return;
        }
    }
    let _closed = stream.shutdown().await.is_err();
}

/// A tar file of these files.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let packed = std::process::Command::new("tar")
        .args([
            "--numeric-owner",
            "--owner=0",
            "--group=0",
            "-cf",
            "-",
            "-C",
        ])
        .arg(dir.path())
        .arg(".")
        .output()
        .unwrap();
    assert!(packed.status.success(), "{packed:?}");
    packed.stdout
}
