//! Getting in, as seen from outside: the banner of port 22, and a login with the system's own client.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    process::Command,
    time::{Instant, sleep, timeout},
};

/// How long anything of this may take.
const LONG: Duration = Duration::from_secs(60);
/// How long one dial may take: one into a container without an address yet hangs for a second.
const DIAL: Duration = Duration::from_millis(50);
/// Between a refusal and the next dial; so exact is the time of a banner.
const PAUSE: Duration = Duration::from_millis(1);

/// Dials until sshd speaks.
pub(super) async fn banner(address: Ipv4Addr) {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        match timeout(DIAL, TcpStream::connect((address, 22))).await {
            Ok(Ok(stream)) => {
                if speaks(stream).await {
                    return;
                }
                sleep(PAUSE).await;
            }
            Ok(Err(_)) => sleep(PAUSE).await,
            // It hung, and so took time enough.
            Err(_) => {}
        }
    }
    panic!("{address}: no SSH banner within {LONG:?}");
}

async fn speaks(mut stream: TcpStream) -> bool {
    let mut start = [0; 4];
    let read = timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await;
    matches!(read, Ok(Ok(_))) && start == *b"SSH-"
}

/// `ssh … true`, until it succeeds.
pub(super) async fn login(key: &Path, username: &str, address: Ipv4Addr) {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        if run(key, username, address, "true").await.success() {
            return;
        }
    }
    panic!("{username}@{address}: no login within {LONG:?}");
}

/// `ssh … COMMAND`, once; what it prints is read and thrown away.
pub(super) async fn run(key: &Path, username: &str, address: Ipv4Addr, line: &str) -> ExitStatus {
    let mut ssh = command(key, username, address, line);
    ssh.stdout(Stdio::null()).status().await.unwrap()
}

/// The same; what it prints, where it succeeds.
pub(super) async fn told(
    key: &Path,
    username: &str,
    address: Ipv4Addr,
    line: &str,
) -> Option<String> {
    let mut ssh = command(key, username, address, line);
    let told = ssh.output().await.unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    told.status.success().then_some(text)
}

fn command(key: &Path, username: &str, address: Ipv4Addr, line: &str) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-i")
        .arg(key)
        .args(options())
        // Addresses come round again with other host keys.
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .arg(format!("{username}@{address}"))
        .arg(line)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    ssh
}

/// What every ssh here is told.
pub(super) fn options() -> impl Iterator<Item = &'static str> {
    // No file of the machine's, and no agent, makes one way slower than another.
    let options = [
        "-F",
        "none",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
    ];
    let more = ["-o", "LogLevel=ERROR", "-o", "ConnectTimeout=1"];
    options.into_iter().chain(more)
}
