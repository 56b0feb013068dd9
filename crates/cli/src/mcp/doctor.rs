//! `containarium mcp doctor`: whether a client's entry works, by starting what the client would
//! start. Not the server's own health, which `containarium doctor` looks at.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum as _};
use containarium_client::{Client, Token};
use containarium_core::doctor::{Finding, Verdict};
use serde_json::Value;

use super::{
    claims,
    client::{Home, McpClient},
    config::Config,
    entry::{self, Entry},
    session::{Session, one_line},
};
use crate::{
    doctor::Answer,
    failure::{Exit, Failure},
    output::Format,
};

/// For the handshake and every call after it.
const LIMIT: Duration = Duration::from_secs(20);
/// A token that ends sooner is told.
const SOON: Duration = Duration::from_secs(3 * 24 * 3600);

/// Start the server of a client's configuration as the client would, and say what does not work
///
/// Reads the client's file, starts exactly what it names with the environment that the client would
/// give it, shakes hands, lists the tools and asks the daemon for its system info. Ends with 8 where
/// something does not work.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The MCP client [default: every one that has the server]
    #[arg(long, value_enum, value_name = "CLIENT")]
    pub(crate) client: Option<McpClient>,
    /// The client's configuration file, where it is not in its usual place
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What the client calls the server
    #[arg(long, default_value = "containarium", value_parser = entry::name)]
    pub(crate) name: String,
}

/// An entry that was found, and for whom.
struct Found {
    client: McpClient,
    entry: Entry,
}

impl Doctor {
    pub(crate) async fn run(self, output: Format) -> Result<(), Failure> {
        let mut findings = Vec::new();
        for (client, path) in self.places()? {
            if let Some(found) = self.found(client, &path, &mut findings) {
                self.tried(&found, &mut findings).await;
            }
        }
        let answer = Answer::new(findings, Vec::new());
        answer.print(output)?;
        answer.end()
    }

    /// The files to look at.
    fn places(&self) -> Result<Vec<(McpClient, PathBuf)>, Failure> {
        if self.client == Some(McpClient::Codex) {
            return Err(
                Failure::new(Exit::Usage, "the configuration of Codex is not read here")
                    .with_hint("`codex mcp list` shows what it starts"),
            );
        }
        if let Some(path) = &self.config {
            let client = self.client.unwrap_or_else(|| self.client_of(path));
            return Ok(vec![(client, path.clone())]);
        }
        let home = Home::of_environment().ok_or_else(|| {
            Failure::new(Exit::Missing, "there is no HOME to look for clients in")
                .with_hint("name the file with --config")
        })?;
        if let Some(client) = self.client {
            return Ok(vec![(client, client.file(&home))]);
        }
        let has_it = |client: &McpClient| {
            let config = Config::read(&client.file(&home)).ok()?;
            config.entry(client.key(), &self.name).ok()?
        };
        let clients = McpClient::value_variants().iter().copied();
        let places: Vec<(McpClient, PathBuf)> = clients
            .filter(|client| *client != McpClient::Codex && has_it(client).is_some())
            .map(|client| (client, client.file(&home)))
            .collect();
        if places.is_empty() {
            let name = &self.name;
            return Err(
                Failure::new(Exit::Missing, format!("no client here has `{name}`"))
                    .with_hint("`containarium mcp install --client claude-desktop` puts it there"),
            );
        }
        Ok(places)
    }

    /// Whose a file is that was only named: the first whose key leads to the entry.
    fn client_of(&self, path: &Path) -> McpClient {
        let all = [McpClient::ClaudeDesktop, McpClient::Vscode, McpClient::Zed];
        let config = Config::read(path).ok();
        let has_it = |client: &McpClient| {
            let entry = config.as_ref()?.entry(client.key(), &self.name);
            entry.ok()?
        };
        let found = all.into_iter().find(|client| has_it(client).is_some());
        found.unwrap_or(McpClient::ClaudeDesktop)
    }

    fn install(&self, client: McpClient) -> String {
        let mut line = format!("containarium mcp install --client {}", client.word());
        if self.name != "containarium" {
            line += &format!(" --name {}", self.name);
        }
        if let Some(path) = &self.config {
            line += &format!(" --config {}", path.display());
        }
        if !client.is_written() {
            line += " --print";
        }
        line
    }

    fn found(&self, client: McpClient, path: &Path, findings: &mut Vec<Finding>) -> Option<Found> {
        let read = Config::read(path).and_then(|config| {
            let entry = config.entry(client.key(), &self.name)?;
            Ok((config, entry))
        });
        let (config, entry) = match read {
            Ok(read) => read,
            Err(failure) => {
                findings.push(problem("config", &failure.as_line(), &[]));
                return None;
            }
        };
        let (file, install) = (config.path().display().to_string(), self.install(client));
        if !config.exists() {
            let none = format!("{} has no configuration: there is no {file}", client.name());
            findings.push(problem("config", &none, &[&install]));
            return None;
        }
        let Some(entry) = entry else {
            let none = format!("{file} has no `{}` in `{}`", self.name, client.key());
            findings.push(problem("config", &none, &[&install]));
            return None;
        };
        let mode = mode(config.path()).unwrap_or_default();
        let found = format!("{file}, mode {mode:o}");
        findings.push(if mode & 0o077 != 0 && is_token_in(&entry) {
            let found = format!("{found}: others read it, and there is a token in it");
            problem("config", &found, &[&format!("chmod 600 {file}")])
        } else {
            ok("config", &found)
        });
        Some(Found { client, entry })
    }

    async fn tried(&self, found: &Found, findings: &mut Vec<Finding>) {
        let install = self.install(found.client);
        let mut entry = found.entry.clone();
        if let Err(placeholder) = entry.filled() {
            let client = found.client.name();
            let found = format!("it cannot be tried here: only {client} fills in `{placeholder}`");
            findings.push(problem("command", &found, &[]));
            return;
        }
        let program = program(&entry.command);
        match &program {
            Ok(path) => {
                let line = [vec![path.display().to_string()], entry.args.clone()].concat();
                findings.push(ok("command", &line.join(" ")));
            }
            Err(why) => findings.push(problem("command", why, &[&install])),
        }
        findings.push(token(&entry, &install));
        if let Ok(program) = program {
            findings.extend(self.spoken(&program, &entry, found.client).await);
        }
    }

    /// What becomes of the session.
    async fn spoken(&self, program: &Path, entry: &Entry, client: McpClient) -> Vec<Finding> {
        let mut findings = Vec::new();
        let inherited = env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| client.passes(name)));
        let own = entry.env.iter();
        let own = own.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let session = Session::start(program, &entry.args, inherited.chain(own), LIMIT);
        let mut session = match session {
            Ok(session) => session,
            Err(why) => {
                return vec![problem(
                    "handshake",
                    &format!("it does not start: {why}"),
                    &[],
                )];
            }
        };
        match session.open().await {
            Ok(hello) => {
                let found = format!("{} answers, MCP {}", hello.server, hello.protocol);
                findings.push(ok("handshake", &found));
            }
            Err(why) => {
                findings.push(problem("handshake", &why, &by_hand(entry)));
                return findings;
            }
        }
        match session.tools().await {
            Ok(names) if names.is_empty() => {
                findings.push(problem("tools", "it has no tools", &[]));
            }
            Ok(names) => {
                findings.push(ok("tools", &format!("{} tools", names.len())));
                if !names.iter().any(|name| name == INFO) {
                    let found = format!("it has no `{INFO}`: this is another server than ours");
                    findings.push(problem("daemon", &found, &[]));
                    return findings;
                }
            }
            Err(why) => {
                findings.push(problem("tools", &why, &[]));
                return findings;
            }
        }
        findings.push(match session.call(INFO).await {
            Ok(Ok(answer)) => ok("daemon", &described(entry, &answer)),
            Ok(Err(said)) => {
                let (install, refused) = (self.install(client), said.contains("status 401"));
                let again: &[&str] = if refused { &[&install] } else { &[] };
                problem("daemon", &one_line(&said), again)
            }
            Err(why) => problem("daemon", &why, &[]),
        });
        findings
    }
}

/// The tool that asks the daemon and changes nothing.
const INFO: &str = "get_system_info";

impl Entry {
    /// Puts in what VS Code would, as far as this is known here; else the first that is not.
    fn filled(&mut self) -> Result<(), String> {
        let home = env::var("HOME").unwrap_or_default();
        let all = std::iter::once(&mut self.command)
            .chain(&mut self.args)
            .chain(self.env.values_mut());
        for text in all {
            *text = text.replace("${userHome}", &home);
            if let Some((_, rest)) = text.split_once("${") {
                let name = rest.split('}').next().unwrap_or_default();
                return Err(format!("${{{name}}}"));
            }
        }
        Ok(())
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.env.get(name).map(String::as_str);
        value.filter(|value| !value.trim().is_empty())
    }
}

fn is_token_in(entry: &Entry) -> bool {
    entry.variable(Token::VARIABLE).is_some()
}

/// The program that a command means.
fn program(command: &str) -> Result<PathBuf, String> {
    let is_program = |path: &Path| {
        fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if command.contains('/') {
        let path = PathBuf::from(command);
        return match path.exists() {
            _ if is_program(&path) => Ok(path),
            true => Err(format!("{command} is no program that can be started")),
            false => Err(format!("there is no {command}")),
        };
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join(command))
        .find(|path| is_program(path))
        .ok_or_else(|| format!("there is no `{command}` in PATH"))
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

/// What of the token can be told from here.
fn token(entry: &Entry, install: &str) -> Finding {
    let life = |token: &Token, whence: &str| match claims::of(token) {
        None => {
            let found = format!("{whence} is no token (one starts with eyJ)");
            problem("token", &found, &[install])
        }
        Some(says) => {
            let (may, until) = (claims::may(&says), claims::until(&says));
            match claims::left(&says) {
                None => {
                    let found = format!("{whence} has expired, at {until}");
                    problem("token", &found, &[install])
                }
                Some(left) if left < SOON => {
                    let found = format!("{whence}: {may}, only until {until}");
                    finding("token", Verdict::Warning, &found, &[install])
                }
                Some(_) => ok("token", &format!("{whence}: {may}, until {until}")),
            }
        }
    };
    if let Some(token) = entry.variable(Token::VARIABLE) {
        let told = life(&Token::fixed(token), "the one in the configuration itself");
        return match told.verdict {
            Verdict::Ok => finding(
                "token",
                Verdict::Warning,
                &format!("{}; a file of its own is safer", told.found),
                &[install],
            ),
            Verdict::Unknown | Verdict::Warning | Verdict::Problem => told,
        };
    }
    let Some(file) = entry.variable(Token::FILE_VARIABLE) else {
        let own = entry.args.iter().any(|word| word == "mcp");
        return if own {
            ok("token", "none is named; `containarium mcp` finds its own")
        } else {
            problem("token", "none is named", &[install])
        };
    };
    let path = Path::new(file);
    match fs::read_to_string(path) {
        Err(why) => {
            let found = format!("{file} cannot be read: {why}");
            problem("token", &found, &[install])
        }
        Ok(_) if !path.is_absolute() => {
            let found = format!("{file} is no absolute path, and clients start servers anywhere");
            problem("token", &found, &[install])
        }
        Ok(text) => match mode(path).unwrap_or_default() {
            mode if mode & 0o077 != 0 => {
                let found = format!("others may read {file}, mode {mode:o}");
                problem("token", &found, &[&format!("chmod 600 {file}")])
            }
            mode => life(
                &Token::fixed(text.trim()),
                &format!("{file}, mode {mode:o}"),
            ),
        },
    }
}

/// What to try where a program on another machine does not answer.
fn by_hand(entry: &Entry) -> Vec<&'static str> {
    if entry.command == "ssh" || entry.command.ends_with("/ssh") {
        vec!["ssh -o BatchMode=yes you@server containarium version  # must answer without asking"]
    } else {
        Vec::new()
    }
}

fn described(entry: &Entry, answer: &Value) -> String {
    let info = answer.pointer("/structuredContent/info");
    let of = |name: &str| info.and_then(|info| info.get(name)).cloned();
    let server = entry.variable("CONTAINARIUM_SERVER_URL");
    let mut text = format!("{} answers and takes the token", server.unwrap_or("it"));
    if let Some(count) = of("containersTotal").as_ref().and_then(Value::as_u64) {
        text += &format!("; containers: {count}");
    }
    if let Some(engine) = of("engine").as_ref().and_then(Value::as_str) {
        text += &format!("; engine: {engine}");
    }
    if entry.variable(Client::CA_FILE_VARIABLE).is_some() {
        text += "; with authorities of its own";
    }
    text
}

fn finding(check: &'static str, verdict: Verdict, found: &str, run: &[&str]) -> Finding {
    Finding {
        check,
        verdict,
        found: found.to_owned(),
        commands: run.iter().map(|&command| command.to_owned()).collect(),
        repairs: Vec::new(),
    }
}

fn ok(check: &'static str, found: &str) -> Finding {
    finding(check, Verdict::Ok, found, &[])
}

fn problem(check: &'static str, found: &str, run: &[&str]) -> Finding {
    finding(check, Verdict::Problem, found, run)
}
