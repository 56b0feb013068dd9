//! `containarium mcp doctor`, against what `mcp install` wrote, and against what is broken.

use serde_json::{Value, json};

use super::{
    mcp_install::{Person, SECRET},
    simulation::Simulation,
    text,
};

const INSTALL: &str = "mcp install --client claude-code --secret-file ~/secret --roles admin";
const DOCTOR: &str = "mcp doctor --client claude-code";

async fn daemon(person: &Person) -> (Simulation, String) {
    let line = ["daemon", "--engine", "sim", "--port", "0"];
    let variables = [("CONTAINARIUM_JWT_SECRET", SECRET)];
    let simulation = Simulation::started(person.home.path(), &line, &variables).await;
    let url = simulation
        .exports
        .split(['=', '\n'])
        .find(|part| part.starts_with("http://"));
    let url = url.unwrap().to_owned();
    (simulation, url)
}

/// The verdict of every check, what was found, and the exit code.
async fn examined(person: &Person, line: &str) -> (Vec<(String, String, String)>, i32) {
    let output = person.says(&format!("{line} -o json")).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let answer: Value = serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert!(!out.contains("eyJ.") && !err.contains("eyJ."), "{out}{err}");
    let of = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = answer["findings"].as_array().unwrap().iter();
    let findings = findings.map(|f| (of(f, "check"), of(f, "verdict"), of(f, "found")));
    (findings.collect(), output.status.code().unwrap())
}

/// That this check alone is a problem, and says this.
fn only(findings: &[(String, String, String)], check: &str, says: &str) {
    for (name, verdict, found) in findings {
        let expected = if name == check { "problem" } else { "ok" };
        assert_eq!(verdict, expected, "{findings:#?}");
        assert!(name != check || found.contains(says), "{found}");
    }
    assert!(
        findings.iter().any(|(name, ..)| name == check),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn what_was_installed_works() {
    for programs in [&["containarium"][..], &["containarium", "mcp-server"]] {
        let person = Person::with(programs);
        let (simulation, url) = daemon(&person).await;
        person.told(&format!("{INSTALL} --server {url}")).await;
        let (findings, code) = examined(&person, DOCTOR).await;
        let checks: Vec<&str> = findings.iter().map(|(check, ..)| check.as_str()).collect();
        assert_eq!(
            checks,
            ["config", "command", "token", "handshake", "tools", "daemon"],
            "{findings:#?}"
        );
        for ((check, verdict, found), says) in findings.iter().zip([
            ".claude.json, mode 600",
            programs[programs.len() - 1],
            "mode 600: alice (admin) may everything",
            concat!(
                "containarium ",
                env!("CARGO_PKG_VERSION"),
                " answers, MCP 2025-11-25"
            ),
            " tools",
            "answers and takes the token; containers: 0; engine: sim",
        ]) {
            assert_eq!(verdict, "ok", "{check}: {found}");
            assert!(found.contains(says), "{check}: {found}");
        }
        assert_eq!(code, 0);
        // Without a word it finds the client itself.
        let told = person.told("mcp doctor").await;
        assert!(
            told.ends_with("6 ok, 0 unknown, 0 warnings, 0 problems\n"),
            "{told}"
        );
        simulation.end().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_take_the_token_or_is_not_there_is_told() {
    let person = Person::new();
    let (simulation, url) = daemon(&person).await;
    person.write("secret", "another secret that is long enough");
    person.told(&format!("{INSTALL} --server {url}")).await;
    let (findings, code) = examined(&person, DOCTOR).await;
    only(&findings, "daemon", "status 401");
    assert_eq!(code, 8);
    simulation.end().await;
    let (findings, code) = examined(&person, DOCTOR).await;
    only(&findings, "daemon", "connection refused");
    assert_eq!(code, 8);
}

#[tokio::test]
async fn a_token_that_others_read_or_that_has_ended_is_told() {
    let person = Person::new();
    let (simulation, url) = daemon(&person).await;
    person.told(&format!("{INSTALL} --server {url}")).await;
    let file = ".config/containarium/mcp-containarium.token";
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(person.path(file), readable).unwrap();
    let (findings, code) = examined(&person, DOCTOR).await;
    only(&findings, "token", "others may read");
    assert_eq!(code, 8);

    person
        .told(&format!("{INSTALL} --server {url} --expiry 1h"))
        .await;
    let (findings, code) = examined(&person, DOCTOR).await;
    assert_eq!(findings[2].1, "warning", "{findings:#?}");
    assert_eq!(code, 0);

    person
        .told(&format!("{INSTALL} --server {url} --expiry 1s"))
        .await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let (findings, _) = examined(&person, DOCTOR).await;
        if findings[2].2.contains("has expired") {
            assert_eq!(findings[2].1, "problem");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{findings:#?}");
    }

    std::fs::remove_file(person.path(file)).unwrap();
    let (findings, code) = examined(&person, DOCTOR).await;
    assert!(findings[2].2.contains("cannot be read"), "{findings:#?}");
    let (check, verdict, found) = findings.last().unwrap();
    assert_eq!((check.as_str(), verdict.as_str()), ("handshake", "problem"));
    assert!(
        found.contains("it ended (exit status: 6)") && found.contains("the token file"),
        "{found}"
    );
    assert_eq!(code, 8);
    simulation.end().await;
}

#[tokio::test]
async fn what_is_no_server_of_ours_is_told() {
    let person = Person::new();
    let configured = |entry: Value| {
        let config = json!({"mcpServers": {"containarium": entry}});
        person.write(".claude.json", &config.to_string());
    };
    let token = json!({"CONTAINARIUM_JWT_TOKEN": "eyJ.e30.x"});
    for (entry, check, says) in [
        (
            json!({"command": "/none/x"}),
            "command",
            "there is no /none/x",
        ),
        (
            json!({"command": "none-such"}),
            "command",
            "there is no `none-such` in PATH",
        ),
        (
            json!({"command": "${input:x}"}),
            "command",
            "only Claude Code fills in `${input:x}`",
        ),
        (
            json!({"command": "false"}),
            "handshake",
            "it ended (exit status: 1) without a word",
        ),
        (
            json!({"command": "sh", "args": ["-c", "echo hello; exec cat"]}),
            "handshake",
            "no MCP on its stdout: hello",
        ),
        (
            json!({"command": "sh", "args": ["-c", "echo it is broken >&2"]}),
            "handshake",
            "it ended (exit status: 0): it is broken",
        ),
        (json!({"url": "https://h"}), "config", "starts no program"),
        (
            json!({"command": "true", "env": token}),
            "token",
            "is no token",
        ),
    ] {
        configured(entry.clone());
        let (findings, code) = examined(&person, DOCTOR).await;
        assert_eq!(code, 8, "{entry}");
        let finding = findings.iter().find(|(name, ..)| name == check);
        let (_, verdict, found) = finding.unwrap_or_else(|| panic!("{entry}: {findings:#?}"));
        assert_eq!(verdict, "problem", "{entry}: {found}");
        assert!(found.contains(says), "{entry}: {found}");
    }
    person.write(".claude.json", "{ // no\n}");
    let (findings, code) = examined(&person, DOCTOR).await;
    only(&findings, "config", "no JSON object");
    assert_eq!(code, 8);
    person.write(".claude.json", "{}");
    let (findings, _) = examined(&person, DOCTOR).await;
    only(&findings, "config", "has no `containarium`");
    std::fs::remove_file(person.path(".claude.json")).unwrap();
    let output = person.says(DOCTOR).await;
    let out = text(&output.stdout);
    assert!(
        out.contains("has no configuration")
            && out.contains("$ containarium mcp install --client claude-code"),
        "{out}"
    );
    assert_eq!(person.says("mcp doctor").await.status.code(), Some(3));
}

#[tokio::test]
async fn a_shell_that_exports_what_the_entry_lacks_hides_nothing() {
    let person = Person::with(&["containarium", "mcp-server"]);
    let entry = json!({"command": person.path("bin/mcp-server")});
    let config = json!({"mcpServers": {"containarium": entry}});
    person.write(".claude.json", &config.to_string());
    let mut command = person.command(DOCTOR);
    command
        .env("CONTAINARIUM_SERVER_URL", "http://127.0.0.1:9")
        .env("CONTAINARIUM_JWT_TOKEN", "eyJx");
    let output = command.output().await.unwrap();
    let out = text(&output.stdout);
    assert!(
        out.contains("CONTAINARIUM_SERVER_URL environment variable is required"),
        "{out}"
    );
    assert_eq!(output.status.code(), Some(8));
}
