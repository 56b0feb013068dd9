//! How ssh is told to go through a tunnel: its options, as `ssh -o` and its files take them.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use containarium_client::BaseUrl;
use containarium_contract::Username;

use crate::{
    connect::Connect,
    failure::{Exit, Failure},
    known_hosts,
};

/// What ssh needs to know of one container, each as keyword and value.
pub(crate) struct Way([(&'static str, String); 4]);

impl Way {
    /// The way to the container of `username`, with the server and token that this call was given.
    pub(crate) fn to(
        username: &Username,
        server: &BaseUrl,
        connect: &Connect,
    ) -> Result<Self, Failure> {
        let program = env::current_exe()
            .map_err(|e| Failure::new(Exit::Other, format!("this program's own path: {e}")))?;
        let known_hosts = known_hosts::file(server, username)?;
        let mut line: Vec<OsString> = vec![program.into()];
        line.extend(connect.arguments()?);
        line.extend(["tunnel", username.as_str(), "--known-hosts"].map(OsString::from));
        line.push(known_hosts.clone().into());
        Ok(Self([
            ("User", username.to_string()),
            ("ProxyCommand", command(&line)?),
            ("UserKnownHostsFile", file(&known_hosts)?),
            ("StrictHostKeyChecking", "accept-new".to_owned()),
        ]))
    }

    /// As the arguments of `ssh`.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .flat_map(|(keyword, value)| ["-o".to_owned(), format!("{keyword}={value}")])
    }

    /// As lines of a `Host` block.
    pub(crate) fn lines(&self) -> String {
        self.0
            .iter()
            .map(|(keyword, value)| format!("    {keyword} {value}\n"))
            .collect()
    }
}

/// A command line as ssh takes it: the rest of the line, with `%` for its own use, given to the
/// user's shell.
fn command(line: &[OsString]) -> Result<String, Failure> {
    let words: Result<Vec<String>, Failure> = line.iter().map(|word| quoted(word)).collect();
    Ok(words?.join(" ").replace('%', "%%"))
}

/// One word for a shell.
fn quoted(word: &OsStr) -> Result<String, Failure> {
    let word = text(word)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Ok(word.to_owned());
    }
    Ok(format!("'{}'", word.replace('\'', r"'\''")))
}

/// A file's name for one of ssh's options.
fn file(path: &Path) -> Result<String, Failure> {
    let path = text(path.as_os_str())?;
    let escaped = path.replace('\\', r"\\").replace('"', r#"\""#);
    Ok(format!("\"{}\"", escaped.replace('%', "%%")))
}

fn text(word: &OsStr) -> Result<&str, Failure> {
    word.to_str()
        .filter(|word| !word.contains(char::is_control))
        .ok_or_else(|| {
            let path = PathBuf::from(word);
            Failure::new(
                Exit::Usage,
                format!("ssh's configuration cannot name {}", path.display()),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const HARD: &str = r#"/home/o'neil/a b$HOME`id`%h\"c;#"#;

    #[test]
    fn a_shell_reads_the_words_that_were_meant() {
        let words = ["printf", "%s|", HARD, "", "plain"].map(OsString::from);
        let line = command(&words).unwrap().replace("%%", "%");
        let said = Command::new("sh").args(["-c", &line]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said, format!("{HARD}||plain|"));
    }

    #[test]
    fn ssh_reads_the_file_that_was_meant() {
        let line = format!(
            "UserKnownHostsFile={}",
            file(Path::new("/a b/%h/c")).unwrap()
        );
        let read = Command::new("ssh")
            .args(["-G", "-F", "none", "-o", &line, "host"])
            .output()
            .unwrap();
        let read = String::from_utf8(read.stdout).unwrap();
        let wanted = "userknownhostsfile /a b/%%h/c\n";
        assert!(
            read.contains(wanted) || read.contains(&wanted.replace("%%", "%")),
            "{read}"
        );
    }

    #[test]
    fn a_name_that_would_be_another_line_is_refused() {
        assert!(file(Path::new("/a\nProxyCommand x")).is_err());
        assert!(command(&["a\nb".into()]).is_err());
    }
}
