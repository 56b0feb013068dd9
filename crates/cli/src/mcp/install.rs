//! `containarium mcp install`: one command between a server that runs and a client that uses it. The
//! token goes into a file of its own, and never into the client's, onto stdout or a command line.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf, absolute},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use containarium_client::{BaseUrl, Client, Token, TokenSays};
use containarium_contract::Subject;
use containarium_core::{Principal, Role, token};
use serde::Serialize;
use ulid::Ulid;

use super::{
    claims,
    client::{Home, McpClient},
    config::Config,
    entry::{self, Entry},
};
use crate::{
    connect::Connect,
    contexts,
    failure::{Exit, Failure},
    output::{Format, written},
    restricted::Restricted,
    ssh_key,
    token::Secret,
};

/// Install the MCP tools into a client: its configuration file, and a token for it
///
/// What else is in the client's file stays as it is, the file as it was is kept beside it, and both
/// are readable for you alone. On the server, or wherever the secret that tokens are signed with can
/// be read, a token is made; elsewhere --token-file names one that was made there. It is kept in a
/// file, ~/.config/containarium/mcp-NAME.token, which the client's file names.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The MCP client; the files of the first three are written, for the others there is --print
    #[arg(long, value_enum, value_name = "CLIENT")]
    pub(crate) client: McpClient,
    /// What the client calls the server
    #[arg(long, default_value = "containarium", value_parser = entry::name)]
    pub(crate) name: String,
    /// What the token may: admin, user or viewer
    #[arg(
        long,
        default_value = "user",
        value_delimiter = ',',
        value_name = "ROLE[,ROLE]",
        conflicts_with = "over_ssh"
    )]
    pub(crate) roles: Vec<Role>,
    /// Who the token speaks for [default: your login name]
    #[arg(long, conflicts_with = "over_ssh")]
    pub(crate) username: Option<Subject>,
    /// How long the token is good, such as 24h, 90m or 30d; at most 366d
    #[arg(
        long,
        default_value = "720h",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        conflicts_with = "over_ssh"
    )]
    pub(crate) expiry: Duration,
    /// Start the tools on the server, over ssh, which needs nothing here and no token
    #[arg(long, value_name = "YOU@SERVER", value_parser = destination)]
    pub(crate) over_ssh: Option<String>,
    /// The client's configuration file, where it is not in its usual place
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print what belongs into the client's file, and change nothing
    #[arg(long)]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) restricted: Restricted,
    #[command(flatten)]
    pub(crate) secret: Secret,
}

/// What was done, to programs in these words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Installed {
    client: McpClient,
    name: String,
    config: PathBuf,
    replaced: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<PathBuf>,
    command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenSays>,
    next: [String; 2],
}

impl Install {
    pub(crate) fn run(self, connect: &Connect, output: Format) -> Result<(), Failure> {
        if self.over_ssh.is_some() && connect.token_file.is_some() {
            return Err(Failure::new(
                Exit::Usage,
                "over ssh there is no token, so --token-file says nothing",
            )
            .with_hint("give one of the two"));
        }
        let home = Home::of_environment();
        let given = self.config.clone();
        let file = given.or_else(|| Some(self.client.file(home.as_ref()?)));
        if self.print {
            return self.printed(connect, home.as_ref(), file.as_deref());
        }
        if !self.client.is_written() {
            let file = file.unwrap_or_default();
            let client = self.client.name();
            return Err(Failure::new(
                Exit::Usage,
                format!("the configuration of {client} is printed, and not written"),
            )
            .with_hint(format!(
                "run the same with --print, and put what it prints into {}",
                file.display()
            )));
        }
        not_for_somebody_else()?;
        let file = file.ok_or_else(|| no_home("name the file with --config"))?;
        let config = Config::read(&file)?;
        // One that cannot be written into must not cost a token.
        config.check(self.client.key())?;

        let (entry, token_file) = match &self.over_ssh {
            Some(server) => (over_ssh(self.client, server), None),
            None => {
                let entry = self.direct(connect, home.as_ref())?;
                let file = self.token(connect)?;
                (with_token(entry, &file)?, Some(file))
            }
        };
        let done = config.write(self.client.key(), &self.name, &entry)?;
        let token = token_file.as_deref().map(Token::in_file);
        let token = token.as_ref().and_then(claims::of);
        let command = [vec![entry.command], entry.args].concat();
        let installed = Installed {
            next: [self.client.restart().to_owned(), self.doctor()],
            client: self.client,
            name: self.name,
            config: config.path().to_owned(),
            replaced: done.replaced,
            backup: done.backup,
            command,
            token_file,
            token,
        };
        output.print(&installed, Installed::drawn)
    }

    fn printed(
        &self,
        connect: &Connect,
        home: Option<&Home>,
        file: Option<&Path>,
    ) -> Result<(), Failure> {
        let mut note = String::new();
        let entry = match &self.over_ssh {
            Some(server) => over_ssh(self.client, server),
            None => {
                let entry = self.direct(connect, home)?;
                let token = match &connect.token_file {
                    Some(path) => absolute(path).map_err(other)?,
                    None => {
                        let path = self.own_token_file();
                        let path = path.unwrap_or_else(|_| "/PATH/TO/THE/TOKEN".into());
                        if !path.exists() {
                            let make = self.made_on_the_server(&entry, &path)?;
                            note = format!("There is no token yet: {make}\n");
                        }
                        path
                    }
                };
                with_token(entry, &token)?
            }
        };
        if let Some(file) = file {
            // On stdout is what is pasted, and nothing else.
            anstream::eprint!("For {}:\n{note}", file.display());
        }
        written(&entry.printed(self.client, &self.name)?)
    }

    /// What starts the tools on this machine.
    fn direct(&self, connect: &Connect, home: Option<&Home>) -> Result<Entry, Failure> {
        let own = env::current_exe().map_err(other)?;
        let beside = own.with_file_name("mcp-server");
        let mut entry = if beside.is_file() {
            Entry::new(self.client, as_text(&beside)?, &[])
        } else {
            Entry::new(self.client, as_text(&own)?, &["mcp"])
        };
        let (server, ca_file) = connect.meant_server()?;
        let _good: BaseUrl = server
            .parse()
            .map_err(|e| Failure::new(Exit::Usage, format!("{e}")).with_hint("check --server"))?;
        let mut set = |name: &str, value: String| entry.env.insert(name.to_owned(), value);
        set("CONTAINARIUM_SERVER_URL", server);
        if let Some(path) = ca_file {
            let path = absolute(path).map_err(other)?;
            set(Client::CA_FILE_VARIABLE, as_text(&path)?);
        }
        // The key that a container gets when the model names none.
        if let Some(path) = home.and_then(Home::public_key) {
            let path = as_text(&path)?;
            if ssh_key::parse(&path).is_ok() {
                set("CONTAINARIUM_SSH_KEY_FILE", path);
            }
        }
        Ok(entry)
    }

    /// The file with the token: the one that was named, else one that is made now.
    fn token(&self, connect: &Connect) -> Result<PathBuf, Failure> {
        if let Some(path) = &connect.token_file {
            let path = absolute(path).map_err(other)?;
            Token::in_file(&path)
                .check()
                .map_err(|e| Failure::new(Exit::Auth, e.to_string()))?;
            return Ok(path);
        }
        let (path, who) = (self.own_token_file()?, self.principal()?);
        let secret = self.secret.clone().found().map_err(|why| {
            let none = format!("no token can be made here: {}", why.sentence());
            let server = connect.meant_server().map(|(server, _)| server);
            let make = self.made_at(server.ok().as_deref(), &path);
            Failure::new(Exit::Missing, none).with_hint(format!(
                "make one on the server, `{make}`, and run this again with --token-file {}; or have the \
                 tools run there: --over-ssh you@server",
                path.display()
            ))
        })?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let token = token::mint(&secret, &who, now, self.expiry, Ulid::generate())
            .map_err(|e| Failure::new(Exit::Usage, e.to_string()))?;
        kept(&path, &token)
            .map_err(|e| Failure::new(Exit::Other, format!("{}: {e}", path.display())))?;
        Ok(path)
    }

    /// Whom the token speaks for and what it may: here, and nowhere else, it is decided.
    fn principal(&self) -> Result<Principal, Failure> {
        Ok(Principal {
            subject: self.subject()?,
            roles: self.roles.clone(),
            restrictions: self.restricted.restrictions(),
        })
    }

    fn subject(&self) -> Result<Subject, Failure> {
        if let Some(username) = &self.username {
            return Ok(username.clone());
        }
        let login = ["USER", "LOGNAME"].into_iter().find_map(|name| {
            let name = env::var(name).ok()?;
            name.parse().ok()
        });
        login.ok_or_else(|| {
            Failure::new(Exit::Usage, "your login name is not known here")
                .with_hint("say who the token speaks for with --username")
        })
    }

    fn own_token_file(&self) -> Result<PathBuf, Failure> {
        let directory =
            contexts::directory().ok_or_else(|| no_home("name a token with --token-file"))?;
        Ok(directory.join(format!("mcp-{}.token", self.name)))
    }

    fn made_on_the_server(&self, entry: &Entry, path: &Path) -> Result<String, Failure> {
        let server = entry.env.get("CONTAINARIUM_SERVER_URL");
        Ok(format!(
            "`{}`",
            self.made_at(server.map(String::as_str), path)
        ))
    }

    /// The line that makes the token on the server, and keeps it here.
    fn made_at(&self, server: Option<&str>, path: &Path) -> String {
        let url = server.and_then(|server| server.parse::<BaseUrl>().ok());
        let host = url
            .filter(|url| !url.is_loopback())
            .map_or_else(|| "server".to_owned(), |url| url.host().to_owned());
        let roles: Vec<String> = self.roles.iter().map(Role::to_string).collect();
        let who = self.subject();
        let who = who.map_or_else(|_| "YOU".to_owned(), |who| who.to_string());
        format!(
            "(umask 077; mkdir -p {}; ssh you@{host} containarium token generate --username {who} \
             --roles {} --expiry {}h{} > {})",
            path.parent().unwrap_or(Path::new("/")).display(),
            roles.join(","),
            self.expiry.as_secs().div_ceil(3600),
            self.restricted.as_options(),
            path.display()
        )
    }

    /// The command that tries what was installed.
    fn doctor(&self) -> String {
        let mut line = format!("containarium mcp doctor --client {}", self.client.word());
        if self.name != "containarium" {
            line += &format!(" --name {}", self.name);
        }
        if let Some(path) = &self.config {
            line += &format!(" --config {}", path.display());
        }
        line
    }
}

impl Installed {
    fn drawn(&self) -> String {
        let (client, config) = (self.client.name(), self.config.display());
        let replaced = if self.replaced {
            ", in the place of the one that was there"
        } else {
            ""
        };
        let mut text = format!("{client} has `{}`{replaced}: {config}", self.name);
        if let Some(backup) = &self.backup {
            text += &format!("\nAs it was: {}", backup.display());
        }
        text += &format!("\nIt starts: {}", self.command.join(" "));
        if let Some(file) = &self.token_file {
            let file = file.display();
            text += &match &self.token {
                Some(says) => format!(
                    "\nWith a token: {}, until {}; it is in {file}",
                    claims::may(says),
                    claims::until(says)
                ),
                None => format!("\nWith the token in {file}, which is none of ours in form"),
            };
        }
        let [restart, doctor] = &self.next;
        text + &format!("\nNext: {restart}; does it work? `{doctor}`")
    }
}

/// Who administers with sudo has no use for root's clients, and could not read what root keeps.
fn not_for_somebody_else() -> Result<(), Failure> {
    let person = env::var("SUDO_USER").ok();
    match person.filter(|person| !person.is_empty() && person != "root") {
        None => Ok(()),
        Some(person) => Err(Failure::new(
            Exit::Usage,
            format!("with sudo this would be for root, and not for {person}"),
        )
        .with_hint(format!(
            "run it without sudo; members of the group containarium may read the secret: `sudo usermod \
             -aG containarium {person}`, then log in again"
        ))),
    }
}

/// Keeps a token where its owner alone can read it.
fn kept(path: &Path, token: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    // A file of this kind is made with mode 600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{token}")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn over_ssh(client: McpClient, server: &str) -> Entry {
    let args = ["-T", "-o", "BatchMode=yes", server, "containarium", "mcp"];
    Entry::new(client, "ssh".to_owned(), &args)
}

fn with_token(mut entry: Entry, file: &Path) -> Result<Entry, Failure> {
    let file = as_text(file)?;
    entry.env.insert(Token::FILE_VARIABLE.to_owned(), file);
    Ok(entry)
}

/// Reads what ssh takes as a destination, and never as an option.
fn destination(text: &str) -> Result<String, String> {
    let good = !text.is_empty()
        && !text.starts_with('-')
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if good {
        Ok(text.to_owned())
    } else {
        Err("a destination is written you@server".to_owned())
    }
}

/// JSON has no other paths.
fn as_text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let path = path.display();
        Failure::new(Exit::Usage, format!("{path} is no UTF-8, and JSON is"))
    })
}

fn no_home(hint: &str) -> Failure {
    Failure::new(Exit::Missing, "there is no HOME").with_hint(hint)
}

fn other(error: io::Error) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::command::tests::{parsed, refused};

    #[test]
    fn it_is_asked_in_few_words() {
        parsed("mcp");
        parsed("mcp install --client claude-desktop");
        parsed("mcp install --client vscode --over-ssh you@server --name boxes");
        parsed("mcp install --client codex --print --token-file /t --server https://h");
        parsed("mcp doctor");
        parsed("mcp doctor --client claude-code --name boxes -o json");
        parsed("mcp doctor --config /c.json");
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for line in [
            "mcp install",
            "mcp install --client emacs",
            "mcp install --client vscode --over-ssh -oProxyCommand=x",
            "mcp install --client vscode --over-ssh you@server --roles admin",
            "mcp install --client vscode --name a/b",
        ] {
            refused(line);
        }
    }
}
