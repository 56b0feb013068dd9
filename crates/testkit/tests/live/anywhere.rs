//! From another machine, which reaches the daemon's port and nothing else.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use containarium_contract::Container;
use containarium_core::{Patience, Role};
use containarium_incus::StateChange;
use containarium_testkit::{Bed, Key, Laptop, TestDaemon, wait_for};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpListener,
    process::Child,
    time::timeout,
};

use super::SOON;

struct There {
    // Before the laptop, whose cable it listens at: it is asked when it is dropped.
    daemon: TestDaemon,
    laptop: Laptop,
    key: Key,
    alice: Container,
    bed: Bed,
}

/// Alice's laptop, with her token, and her container.
async fn there() -> Option<There> {
    there_with(Patience::default()).await
}

/// The same with a daemon of this patience.
async fn there_with(patience: Patience) -> Option<There> {
    let bed = Bed::made().await?;
    let mut laptop = Laptop::new(&bed.installation.name);
    let daemon = TestDaemon::on_at(&bed, laptop.server().into(), patience).await;
    laptop.may_reach(&daemon.url, daemon.token("alice", &[Role::User]));
    let key = Key::new();
    let alice = daemon.create("alice", &key).await;
    Some(There {
        laptop,
        daemon,
        key,
        alice,
        bed,
    })
}

impl There {
    /// `containarium ssh alice` with her key and `rest`.
    fn ssh(&self, rest: &str) -> String {
        format!(
            "containarium ssh alice -i {} {rest}",
            self.key.path().display()
        )
    }

    /// Writes the configuration of ssh; how to have ssh, scp and rsync use it.
    async fn configured(&self) -> String {
        let said = self.laptop.prints("containarium ssh-config --write").await;
        assert!(said.contains("knows 1 container now"), "{said}");
        let file = said.split_whitespace().next().unwrap();
        format!("-F {file} -i {}", self.key.path().display())
    }

    /// A web page inside, at port 8000.
    async fn web_page(&self) {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|path| std::fs::exists(path).unwrap());
        let busybox = std::fs::read(busybox.expect("busybox-static on this host")).unwrap();
        let login = self.key.login(&self.alice);
        login.push(&busybox, "busybox").await;
        login
            .says("mkdir -p www && echo it answers > www/index.html && ./busybox httpd -p 8000 -h www")
            .await;
    }
}

fn kill(child: &Child, signal: &str) {
    let pid = child.id().unwrap().to_string();
    let killed = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(killed.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laptop_that_reaches_one_port_logs_in_and_copies() {
    let Some(there) = there().await else {
        return;
    };
    let laptop = &there.laptop;
    // It really reaches nothing else: neither the container nor another port of the server.
    let other = TcpListener::bind((laptop.server(), 0)).await.unwrap();
    for (host, port) in [
        (there.alice.network.ip_address.clone(), 22),
        (
            laptop.server().to_string(),
            other.local_addr().unwrap().port(),
        ),
    ] {
        let said = laptop
            .says(&format!("timeout 2 bash -c '</dev/tcp/{host}/{port}'"))
            .await;
        assert_ne!(said.status, 0, "{host}:{port} is reached");
    }
    assert_eq!(laptop.prints(&there.ssh("id -un")).await, "alice");
    assert_eq!(laptop.says(&there.ssh("exit 7")).await.status, 7);
    let terminal = laptop.prints(&there.ssh("-tt tty")).await;
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");

    let plain = there.configured().await;
    assert_eq!(
        laptop
            .prints(&format!("ssh {plain} alice-container hostname"))
            .await,
        "alice-container"
    );
    let sums = format!(
        "cd ~ && head -c 5000000 /dev/urandom > data && scp -q {plain} data alice-container:up \
         && scp -q {plain} alice-container:up down && cmp data down && echo same"
    );
    assert_eq!(laptop.prints(&sums).await, "same");
    let has_rsync = there.ssh("command -v rsync");
    if laptop.says(&has_rsync).await.status != 0 {
        laptop
            .prints(&there.ssh("sudo apt-get -qq update '&&' sudo apt-get -qq -y install rsync"))
            .await;
    }
    let copies = format!(
        "cd ~ && mkdir -p tree/a && cp data tree/a && rsync -a -e 'ssh {plain}' tree/ alice-container:tree/ \
         && rsync -a -e 'ssh {plain}' alice-container:tree/ back/ && diff -r tree back && echo same"
    );
    assert_eq!(laptop.prints(&copies).await, "same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_inside_is_seen_through_a_forward_and_through_socks() {
    let Some(there) = there().await else {
        return;
    };
    there.web_page().await;
    let laptop = &there.laptop;
    let mut forward = laptop
        .command("containarium")
        .args(["forward", "alice", "3000:8000", "0:22"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
    let told = timeout(SOON, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(told, "127.0.0.1:3000 is port 8000 of alice-container");
    let page = "curl -sS --max-time 10 http://127.0.0.1:3000/";
    assert_eq!(laptop.prints(page).await, "it answers");
    let many = "for i in $(seq 40); do curl -sS --max-time 20 http://127.0.0.1:3000/ & done | sort | uniq -c; wait";
    assert_eq!(laptop.prints(many).await.trim(), "40 it answers");
    let taken = laptop.says("containarium forward alice 3000").await;
    assert_eq!(taken.status, 5, "{taken:?}");
    assert!(taken.stderr.starts_with("error: 127.0.0.1:3000 is taken on this machine\nhint: run `containarium forward alice 0:3000`"), "{taken:?}");
    // Nothing listens there yet, which is said, and no reason not to begin.
    let early = laptop
        .says("timeout --preserve-status -s INT 3 containarium forward alice 4000")
        .await;
    assert_eq!(early.status, 0, "{early:?}");
    assert!(
        early
            .stderr
            .contains("nothing listens on port 4000 of alice-container"),
        "{early:?}"
    );
    kill(&forward, "-INT");
    assert!(
        timeout(SOON, forward.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );

    // What VS Code Remote does: one connection without a terminal that lives on, with a SOCKS proxy
    // in it and a shell that is fed through stdin.
    let socks = format!(
        "echo 'echo ready; exec sleep 60' | exec {}",
        there.ssh("-T -D 127.0.0.1:1080 bash")
    );
    let mut ssh = laptop
        .command("bash")
        .args(["-c", &socks])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
    let told = timeout(SOON, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(told.as_deref(), Some("ready"));
    let page = "curl -sS --max-time 10 --socks5-hostname 127.0.0.1:1080 http://localhost:8000/";
    assert_eq!(laptop.prints(page).await, "it answers");
    ssh.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn much_goes_both_ways_unchanged_and_the_end_of_stdin_is_heard() {
    let Some(there) = there().await else {
        return;
    };
    let laptop = &there.laptop;
    let up = format!(
        "cd ~ && head -c 64M /dev/urandom > data && {} < data && sha256sum < data",
        there.ssh("'cat > data; sha256sum < data'")
    );
    let sums = laptop.prints(&up).await;
    let (inside, here) = sums.split_once('\n').unwrap();
    assert_eq!(inside, here);
    let down = format!("{} | sha256sum", there.ssh("cat data"));
    assert_eq!(laptop.prints(&down).await, here);
    let counted = format!("{} < ~/data", there.ssh("'cat | wc -c'"));
    assert_eq!(laptop.prints(&counted).await, (64 << 20).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_session_ends_in_words_when_its_container_is_stopped() {
    let Some(there) = there().await else {
        return;
    };
    let mut ssh = there
        .laptop
        .command("bash")
        .args([
            "-c",
            &format!("exec {}", there.ssh("'echo ready; exec sleep 600'")),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
    let told = timeout(SOON, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(told.as_deref(), Some("ready"));
    let stopped = there
        .daemon
        .ask_as_admin("POST", "/v1/containers/alice/stop", None)
        .await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let begun = Instant::now();
    timeout(SOON, ssh.wait()).await.unwrap().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let mut words = String::new();
    ssh.stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .await
        .unwrap();
    assert!(
        words.contains("error: alice-container is stopped"),
        "{words}"
    );
    let refused = there.laptop.says(&there.ssh("true")).await;
    assert!(
        refused.stderr.contains(
            "error: alice-container is not running\nhint: run `containarium start alice`"
        ),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_token() {
    let Some(mut there) = there().await else {
        return;
    };
    let life = Duration::from_secs(3);
    let token = there.daemon.token_for("alice", &[Role::User], life);
    let url = there.daemon.url.clone();
    there.laptop.may_reach(&url, token);
    let begun = Instant::now();
    let said = there.laptop.says(&there.ssh("sleep 600")).await;
    assert!(
        begun.elapsed() < life + Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(said.status, 255, "{said:?}");
    assert!(
        said.stderr.contains("error: the token has expired"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_made_anew_is_a_new_host_and_one_whose_key_changed_is_not() {
    let Some(there) = there().await else {
        return;
    };
    let plain = there.configured().await;
    let hostname = format!("ssh {plain} alice-container hostname");
    there.laptop.prints(&hostname).await;
    there.daemon.delete("alice").await;
    let again = there.daemon.create("alice", &there.key).await;
    assert_eq!(there.laptop.prints(&hostname).await, "alice-container");
    assert_eq!(
        there.laptop.prints(&there.ssh("hostname")).await,
        "alice-container"
    );
    there
        .key
        .login(&again)
        .says("sudo sh -c 'rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && systemctl restart ssh'")
        .await;
    wait_for(SOON, "sshd has its new keys", async || {
        let refused = there.laptop.says(&hostname).await;
        let told = refused
            .stderr
            .contains("REMOTE HOST IDENTIFICATION HAS CHANGED");
        if told { Ok(()) } else { Err(refused) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_stops_by_itself_ends_its_sessions() {
    let Some(there) = there().await else {
        return;
    };
    let begun = Instant::now();
    let poweroff = there.ssh("'sudo systemctl poweroff --no-block; sleep 600'");
    let said = timeout(SOON, there.laptop.says(&poweroff)).await.unwrap();
    assert_eq!(said.status, 255, "after {:?}: {said:?}", begun.elapsed());
}

/// A tunnel to alice's sshd, which has spoken: never written to and never closed.
async fn idle(laptop: &Laptop) -> Child {
    let mut tunnel = laptop
        .command("containarium")
        .args(["tunnel", "alice"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = tunnel.stdout.as_mut().unwrap();
    let mut banner = [0; 4];
    timeout(SOON, stdout.read_exact(&mut banner))
        .await
        .unwrap()
        .unwrap();
    tunnel
}

/// What an [`idle`] tunnel says when it ends by itself.
async fn last_words(mut tunnel: Child, within: Duration) -> String {
    // Waiting closes it, where it is not taken out.
    let _open = tunnel.stdin.take();
    let ended = timeout(within, tunnel.wait_with_output()).await;
    let ended = ended.expect("it ends").unwrap();
    let words = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{words}");
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_stopped_through_incus_ends_its_tunnels_at_once() {
    let Some(there) = there().await else {
        return;
    };
    let tunnel = idle(&there.laptop).await;
    let incus = there.bed.incus();
    let [instance] = &there.bed.instances().await[..] else {
        panic!("one container")
    };
    let killed = incus
        .change_state(&instance.name, &StateChange::kill())
        .await
        .unwrap();
    incus.wait(&killed, SOON).await.unwrap();
    let words = last_words(tunnel, SOON).await;
    assert_eq!(words, "error: alice-container is stopped\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_falls_silent_is_found_out_although_nobody_writes() {
    let patience = Patience {
        vanished: Duration::from_secs(3),
        ..Patience::default()
    };
    let Some(there) = there_with(patience).await else {
        return;
    };
    let tunnel = idle(&there.laptop).await;
    // As a tenant may do it to himself. Nobody tells the host.
    let inside = there.key.login(&there.alice);
    let down = inside.run("sudo ip link set eth0 down");
    let _cut_off = timeout(Duration::from_secs(3), down).await;
    let words = last_words(tunnel, Duration::from_secs(60)).await;
    let begins = "error: the connection in the container broke: ";
    assert!(words.starts_with(begins), "{words}");
}
