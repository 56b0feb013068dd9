//! Another machine: a network namespace with a cable to this one, through which it reaches one port
//! and nothing else. It has a home directory of its own.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command as Blocking, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::{Said, program};

/// Longer than any command may take.
const LONGEST: Duration = Duration::from_secs(90);

/// The other machine. Dropping it pulls the cable.
pub struct Laptop {
    namespace: String,
    server: Ipv4Addr,
    home: TempDir,
    token: String,
    url: String,
}

impl Laptop {
    /// One that nothing reaches yet; `name` keeps engines that run side by side apart.
    pub fn new(name: &str) -> Self {
        let namespace = format!("{name}-laptop");
        // Of 198.18.0.0/15, which is for tests between networks.
        let net = name.bytes().fold(0, u8::wrapping_add);
        let server = Ipv4Addr::new(198, 18, net, 1);
        let laptop = Self {
            namespace: namespace.clone(),
            server,
            home: tempfile::tempdir().unwrap(),
            token: String::new(),
            url: String::new(),
        };
        // One that a killed test left.
        let _left = ip(&["netns", "del", &namespace]);
        let (here, there) = (format!("{name}-far"), format!("{name}-near"));
        for line in [
            format!("netns add {namespace}"),
            format!("link add {here} type veth peer name {there} netns {namespace}"),
            format!("address add {server}/30 dev {here}"),
            format!("link set {here} up"),
            format!("-n {namespace} address add 198.18.{net}.2/30 dev {there}"),
            format!("-n {namespace} link set {there} up"),
            format!("-n {namespace} link set lo up"),
            // The containers are routed, so that it is the rule below that keeps them away.
            format!("-n {namespace} route add default via {server}"),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(ip(&words), "ip {line}");
        }
        laptop
    }

    /// The address of this machine at the other end of the cable.
    pub fn server(&self) -> Ipv4Addr {
        self.server
    }

    /// Lets it reach this port and nothing else, and gives its user a token.
    pub fn may_reach(&mut self, url: &str, token: String) {
        let port = url.rsplit(':').next().unwrap();
        let rules = format!(
            "flush ruleset\n\
             table inet one {{ chain out {{ type filter hook output priority 0; policy drop;\n\
             oif lo accept\n\
             ip daddr {} tcp dport {port} accept\n}}\n}}\n",
            self.server
        );
        let file = self.home().join("rules");
        std::fs::write(&file, rules).unwrap();
        let set = Blocking::new("ip")
            .args(["netns", "exec", &self.namespace, "nft", "-f"])
            .arg(&file)
            .status()
            .unwrap();
        assert!(set.success(), "nft");
        self.url = url.to_owned();
        self.token = token;
    }

    /// Its user's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command there, with `containarium` on its path.
    pub fn command(&self, name: &str) -> Command {
        let bin: PathBuf = program("containarium").parent().unwrap().to_owned();
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace, name])
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", bin.display()),
            )
            .env("HOME", self.home())
            .env("CONTAINARIUM_SERVER_URL", &self.url)
            .env("CONTAINARIUM_JWT_TOKEN", &self.token)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// What a shell's line says there.
    pub async fn says(&self, line: &str) -> Said {
        let output = self.command("bash").args(["-c", line]).output();
        let output = timeout(LONGEST, output).await;
        let output = output.unwrap_or_else(|_| panic!("`{line}` does not end"));
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Said {
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// What a shell's line that must succeed prints there.
    pub async fn prints(&self, line: &str) -> String {
        let said = self.says(line).await;
        assert_eq!(said.status, 0, "`{line}`: {said:?}");
        said.stdout
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        // The cable goes with it.
        ip(&["netns", "del", &self.namespace]);
    }
}

fn ip(words: &[&str]) -> bool {
    let done = Blocking::new("ip")
        .args(words)
        .stderr(Stdio::null())
        .status();
    done.unwrap().success()
}
