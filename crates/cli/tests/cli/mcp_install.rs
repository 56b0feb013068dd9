//! `containarium mcp install`, as somebody meets it who has a client's file already.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::text;

pub(crate) const SECRET: &str = "a secret that is long enough to be good";
const CLIENTS: [&str; 8] = [
    "claude-desktop",
    "claude-code",
    "vscode",
    "cursor",
    "codex",
    "gemini",
    "windsurf",
    "zed",
];

/// Somebody with a home, and programs in it.
pub(crate) struct Person {
    pub(crate) home: TempDir,
    program: PathBuf,
}

impl Person {
    /// With these programs of ours side by side.
    pub(crate) fn with(programs: &[&str]) -> Self {
        // Beside the programs, for links.
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in programs {
            let built = containarium_testkit::program(name);
            fs::hard_link(built, bin.join(name)).unwrap();
        }
        fs::write(home.path().join("secret"), SECRET).unwrap();
        let program = bin.join("containarium");
        Self { home, program }
    }

    pub(crate) fn new() -> Self {
        Self::with(&["containarium"])
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    pub(crate) fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// `containarium` with these words; a file of the home is written `~/file`.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        let home = self.home.path().to_str().unwrap();
        command
            .args(line.replace('~', home).split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .env("USER", "alice")
            .env("PATH", "/usr/bin:/bin")
            .env("CONTAINARIUM_STATE_DIR", self.path("state"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) async fn says(&self, line: &str) -> Output {
        self.command(line).output().await.unwrap()
    }

    /// The same where it works: its stdout.
    pub(crate) async fn told(&self, line: &str) -> String {
        let output = self.says(line).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{line}: {out}{err}");
        out.to_owned()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(target_os = "linux")]
const DESKTOP: &str = ".config/Claude/claude_desktop_config.json";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_command_installs_it_and_the_token_is_nowhere_but_in_its_file() {
    let person = Person::new();
    let before = "{\n  \"theme\": \"dark\",\n  \"mcpServers\": {\n    \"other\": {\"command\": \"x\"}\n  },\n  \"a\": 1\n}\n";
    let config = person.write(DESKTOP, before);
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a@b";
    let key = person.write(".ssh/id_ed25519.pub", key);
    let line = "mcp install --client claude-desktop --secret-file ~/secret --server http://h:1";
    let output = person.says(line).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");

    let file = person.path(".config/containarium/mcp-containarium.token");
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&config), 0o600);

    let written: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    assert_eq!(
        written,
        json!({"theme": "dark", "a": 1, "mcpServers": {
            "other": {"command": "x"},
            "containarium": {
                "command": person.path("bin/containarium"),
                "args": ["mcp"],
                "env": {
                    "CONTAINARIUM_SERVER_URL": "http://h:1",
                    "CONTAINARIUM_JWT_TOKEN_FILE": file,
                    "CONTAINARIUM_SSH_KEY_FILE": key,
                },
            },
        }})
    );
    let directory = config.parent().unwrap();
    let [backup, _] = &names(directory)[..] else {
        let names = names(directory);
        // The one that is longer sorts behind.
        panic!("{names:?}")
    };
    assert!(!backup.is_empty());
    for place in names(directory) {
        let kept = fs::read_to_string(directory.join(place)).unwrap();
        assert!(!kept.contains(token.trim()) && !kept.contains("eyJ"));
    }
    for said in [out, err] {
        assert!(!said.contains("eyJ") && !said.contains(SECRET), "{said}");
    }
    for part in [
        "Claude Desktop has `containarium`: ",
        "claude_desktop_config.json.bak-",
        "alice (user) may everything, with their own containers, until 2",
        "mcp-containarium.token",
        "Next: quit Claude Desktop altogether",
        "`containarium mcp doctor --client claude-desktop`",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }

    let again = person.told(line).await;
    assert!(again.contains("in the place of the one that was there"));
    assert_ne!(fs::read_to_string(&file).unwrap(), token);
    let as_json = person.told(&format!("{line} -o json")).await;
    let as_json: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(as_json["replaced"], true);
    assert_eq!(as_json["token"]["sub"], "alice");
    assert_eq!(as_json["tokenFile"], json!(file));
}

#[tokio::test]
async fn the_token_is_scoped_as_it_was_asked_for() {
    let person = Person::with(&["containarium", "mcp-server"]);
    person
        .told(
            "mcp install --client claude-code --secret-file ~/secret --name boxes --roles viewer,user \
             --username bob --expiry 2h",
        )
        .await;
    let written: Value = serde_json::from_str(&person.read(".claude.json")).unwrap();
    let entry = &written["mcpServers"]["boxes"];
    assert_eq!(entry["type"], "stdio");
    assert_eq!(entry["command"], json!(person.path("bin/mcp-server")));
    assert_eq!(entry["args"], Value::Null);
    let file = entry["env"]["CONTAINARIUM_JWT_TOKEN_FILE"]
        .as_str()
        .unwrap();
    assert_eq!(
        file,
        person
            .path(".config/containarium/mcp-boxes.token")
            .to_str()
            .unwrap()
    );
    let line = format!("token inspect --secret-file ~/secret --token-file {file}");
    let inspected = person.told(&line).await;
    assert!(
        inspected.starts_with("bob may act as viewer, user for another ") && inspected.len() < 80,
        "{inspected}"
    );
    let long = "mcp install --client claude-code --secret-file ~/secret --expiry 400d";
    let refused = person.says(long).await;
    assert_eq!(refused.status.code(), Some(2));
}

#[tokio::test]
async fn without_the_secret_it_says_what_to_run_on_the_server() {
    let person = Person::new();
    let output = person
        .says("mcp install --client claude-code --server https://boxes.example")
        .await;
    assert_eq!(output.status.code(), Some(3));
    let err = text(&output.stderr);
    for part in [
        "no token can be made here: ",
        "ssh you@boxes.example containarium token generate --username alice --roles user --expiry 720h > ",
        "--token-file",
        "--over-ssh",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(!person.path(".claude.json").exists());
    assert!(!person.path(".config").exists());
}

#[tokio::test]
async fn a_token_that_was_made_elsewhere_is_named_and_not_copied() {
    let person = Person::new();
    person.write("my.token", "eyJ.e30.x\n");
    let out = person
        .told("mcp install --client claude-code --token-file ~/my.token --server https://h")
        .await;
    assert!(
        out.contains("my.token, which is none of ours in form"),
        "{out}"
    );
    let config = person.read(".claude.json");
    assert!(config.contains("/my.token\"") && !config.contains("eyJ"));
    assert!(!person.path(".config/containarium").exists());

    let none = "mcp install --client claude-code --token-file ~/none --server https://h";
    let output = person.says(none).await;
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(person.read(".claude.json"), config);
}

#[tokio::test]
async fn over_ssh_there_is_no_token() {
    let person = Person::new();
    for (client, key, kind) in [
        ("claude-desktop", "mcpServers", Value::Null),
        ("claude-code", "mcpServers", "stdio".into()),
        ("vscode", "servers", "stdio".into()),
    ] {
        let line =
            format!("mcp install --client {client} --over-ssh you@server --config ~/{client}");
        let out = person.told(&line).await;
        assert!(out.contains("It starts: ssh -T -o BatchMode=yes you@server containarium mcp"));
        assert!(!out.contains("token"), "{out}");
        let written: Value = serde_json::from_str(&person.read(client)).unwrap();
        let mut entry = json!({"command": "ssh",
            "args": ["-T", "-o", "BatchMode=yes", "you@server", "containarium", "mcp"]});
        if kind != Value::Null {
            entry["type"] = kind;
        }
        assert_eq!(written, json!({key: {"containarium": entry}}));
    }
    let line = "mcp install --client vscode --over-ssh you@server --token-file ~/t";
    assert_eq!(person.says(line).await.status.code(), Some(2));
}

#[tokio::test]
async fn what_belongs_into_each_client_is_printed_and_nothing_changes() {
    let person = Person::new();
    let before = names(person.home.path());
    for client in CLIENTS {
        for way in ["--over-ssh you@server", "", "--token-file ~/secret"] {
            let line = format!("mcp install --client {client} --print --server https://h {way}");
            let output = person.says(&line).await;
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert!(output.status.success(), "{line}: {err}");
            assert!(err.starts_with("For /"), "{line}: {err}");
            assert_eq!(
                err.contains("containarium token generate"),
                way.is_empty(),
                "{line}: {err}"
            );
            if client != "codex" {
                serde_json::from_str::<Value>(out).unwrap();
            }
            let command = if way.starts_with("--over") {
                "\"ssh\""
            } else {
                "/bin/containarium\""
            };
            assert!(out.contains(command) && !out.contains(SECRET), "{out}");
        }
    }
    assert_eq!(names(person.home.path()), before);
}

#[tokio::test]
async fn what_is_only_printed_says_so() {
    let person = Person::new();
    for client in &CLIENTS[3..] {
        let line = format!("mcp install --client {client} --over-ssh you@server");
        let output = person.says(&line).await;
        assert_eq!(output.status.code(), Some(2), "{client}");
        let err = text(&output.stderr);
        assert!(
            err.contains("printed, and not written") && err.contains("--print"),
            "{err}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_not_json_is_left_as_it_is_and_costs_no_token() {
    let person = Person::new();
    for bad in ["{\n  // mine\n  \"servers\": {}\n}\n", "{\"servers\": 1}"] {
        person.write("xdg/Code/User/mcp.json", bad);
        let line =
            "mcp install --client vscode --secret-file ~/secret --config ~/xdg/Code/User/mcp.json";
        let output = person.says(line).await;
        assert_eq!(output.status.code(), Some(5));
        let err = text(&output.stderr);
        assert!(
            err.contains("left as it is") && err.contains("--print"),
            "{err}"
        );
        assert_eq!(person.read("xdg/Code/User/mcp.json"), bad);
        assert!(!person.path(".config/containarium").exists());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_directory_of_settings_may_be_elsewhere() {
    let person = Person::new();
    let mut command = person.command("mcp install --client vscode --secret-file ~/secret");
    let output = command.env("XDG_CONFIG_HOME", person.path("xdg")).output();
    assert!(output.await.unwrap().status.success());
    assert!(person.path("xdg/Code/User/mcp.json").exists());
    assert!(
        person
            .path("xdg/containarium/mcp-containarium.token")
            .exists()
    );
    assert!(!person.path(".config").exists());
}

#[tokio::test]
async fn with_sudo_it_would_be_for_root_and_is_refused() {
    let person = Person::new();
    let mut command = person.command("mcp install --client claude-code --secret-file ~/secret");
    let output = command.env("SUDO_USER", "bob").output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("for root, and not for bob"));
    assert!(!person.path(".claude.json").exists());
}
