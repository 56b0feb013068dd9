//! What a test of the live suite leaves: when its daemon is dropped, that daemon must find nothing that
//! was left behind. What was left on purpose is said to be.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long what is under way may take until nothing is left.
const CLEAN: Duration = Duration::from_secs(30);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks when it is dropped, once the test has not failed.
pub(crate) struct Slate {
    /// `ADDRESS:PORT` of the daemon.
    at: String,
    token: String,
    /// Says to the next test that this one failed, and what it left is no surprise.
    failed: PathBuf,
    owed: AtomicBool,
}

impl Slate {
    pub(crate) fn of(url: &str, token: String, incus_dir: &Path) -> Self {
        Self {
            at: url.trim_start_matches("http://").to_owned(),
            token,
            failed: failed(incus_dir),
            owed: AtomicBool::new(true),
        }
    }

    /// It is not looked at.
    pub(crate) fn forgo(&self) {
        self.owed.store(false, Ordering::Relaxed);
    }

    /// What the daemon finds: each leak, or why it cannot say.
    fn left(&self) -> Result<(), Value> {
        let answer = self.asked().map_err(|error| json!(error.to_string()))?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        let told: Value = body
            .and_then(|body| serde_json::from_str(body).ok())
            .ok_or_else(|| json!(answer))?;
        if told == json!({"leaks": [], "engine": "ok"}) {
            Ok(())
        } else {
            Err(told)
        }
    }

    /// By hand, because whoever drops cannot wait as a task would.
    fn asked(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.at)?;
        stream.set_read_timeout(Some(LOOK))?;
        let Self { at, token, .. } = self;
        // In HTTP/1.0 the answer comes in one piece.
        let request = format!(
            "GET /v1/admin/leaks HTTP/1.0\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Slate {
    fn drop(&mut self) {
        if thread::panicking() {
            let _unwritten = fs::write(&self.failed, "");
            return;
        }
        if !self.owed.load(Ordering::Relaxed) {
            return;
        }
        // The daemon has other threads, and goes on there.
        tokio::task::block_in_place(|| {
            let end = Instant::now() + CLEAN;
            while let Err(left) = self.left() {
                assert!(
                    Instant::now() < end,
                    "left behind after {CLEAN:?}; where that is meant, say so by \
                     `leaves_a_leak`: {left:#}"
                );
                thread::sleep(PAUSE);
            }
        });
    }
}

/// The file that says that a test failed.
pub(crate) fn failed(incus_dir: &Path) -> PathBuf {
    incus_dir.with_file_name("failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daemon that answers this to each who asks.
    fn answers(body: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = String::new();
                // It need not come in one piece.
                while !asked.ends_with("\r\n\r\n") {
                    let mut some = [0; 2048];
                    let read = stream.read(&mut some).unwrap();
                    assert!(read > 0, "cut off: {asked}");
                    asked += &String::from_utf8_lossy(&some[..read]);
                }
                assert!(asked.contains("Authorization: Bearer t0ken\r\n"), "{asked}");
                write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}").unwrap();
            }
        });
        format!("http://{at}")
    }

    fn slate(body: &'static str) -> Slate {
        let slate = Slate::of(&answers(body), "t0ken".into(), Path::new("/nowhere/incus"));
        // Only what it finds is looked at here.
        slate.forgo();
        slate
    }

    #[test]
    fn only_a_daemon_whose_engine_answers_can_say_that_nothing_is_left() {
        let clean = slate(r#"{"leaks":[],"engine":"ok"}"#);
        assert_eq!(clean.left(), Ok(()));
        for told in [
            r#"{"leaks":[],"engine":"unreachable"}"#,
            r#"{"leaks":[{"kind":"volume","name":"c-1","detail":"gone"}],"engine":"ok"}"#,
            r#"{"error":"no"}"#,
            "",
        ] {
            assert!(slate(told).left().is_err(), "{told}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_with_nothing_behind_it_is_clean() {
        let there = crate::Simulated::on(169).await;
        let daemon = crate::TestDaemon::with(there.state.clone(), there.sim.socket()).await;
        let incus_dir = there.state.path().join("incus");
        // Looks when it is dropped, too.
        let slate = Slate::of(&daemon.url, daemon.admin_token(), &incus_dir);
        let left = tokio::task::block_in_place(|| slate.left());
        assert_eq!(left, Ok(()));
        drop(slate);
        let image = there.sim.add_image("left", &[("containarium.recipe", "x")]);
        there.incus.delete_image_alias("left").await.unwrap();
        let slate = Slate::of(&daemon.url, daemon.admin_token(), &incus_dir);
        let left = tokio::task::block_in_place(|| slate.left()).unwrap_err();
        assert_eq!(left["leaks"][0]["name"], image, "{left}");
        slate.forgo();
        daemon.stopped().await;
    }

    #[test]
    fn a_daemon_that_is_not_there_is_no_good_sign() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let slate = Slate::of(&url, String::new(), Path::new("/nowhere/incus"));
        slate.forgo();
        assert!(slate.left().is_err());
    }
}
