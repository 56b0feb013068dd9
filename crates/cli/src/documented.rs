//! What README, the guides and the other pages show, held against what there is: the JSON in them
//! is JSON, the commands parse, the targets of make exist, the links lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Parser as _, error::ErrorKind};

use crate::command::Cli;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page: its path, and what it says.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    for directory in ["", "docs", "docs/guides", "docs/decisions"] {
        let Ok(entries) = fs::read_dir(root().join(directory)) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    pages
}

/// The fenced blocks of a page: their language and their lines.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| line.trim() != "```");
            let inside: Vec<&str> = inside
                .map(|line| line.get(indent..).unwrap_or_default())
                .collect();
            blocks.push((language.trim(), inside.join("\n")));
        }
    }
    blocks
}

/// What a page shows between backticks in its sentences.
fn spans(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let prose = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    });
    prose
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// A command as a shell would take it apart, into the commands it is made of. No more of a shell
/// than the pages need: quotes, comments, and what ends a command.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '|' | ';' | '&' | '(' | ')' | '>' | '<') => {
                commands.last_mut().unwrap().extend(word.take());
                // What is redirected to is a file.
                if matches!(letter, '>' | '<') {
                    for skipped in letters.by_ref().skip_while(|letter| *letter == ' ') {
                        if skipped == ' ' {
                            break;
                        }
                    }
                } else if letter != ' ' {
                    commands.push(Vec::new());
                }
            }
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    commands.last_mut().unwrap().extend(word);
    commands
}

#[derive(Debug, PartialEq, Eq)]
enum Called {
    /// `containarium` with these words.
    Containarium(Vec<String>),
    /// `make` with these.
    Make(Vec<String>),
}

/// What of ours a command calls, be it through sudo, ssh or an MCP client.
fn called(words: &[String]) -> Option<Called> {
    let (first, rest) = words.split_first()?;
    match first.as_str() {
        assignment if assignment.contains('=') && !assignment.starts_with('-') => called(rest),
        "sudo" => called(rest),
        "ssh" => {
            let mut rest = rest.iter();
            while let Some(word) = rest.next() {
                match word.as_str() {
                    "-o" | "-L" | "-i" | "-p" => drop(rest.next()),
                    option if option.starts_with('-') => {}
                    // The host.
                    _ => return called(rest.as_slice()),
                }
            }
            None
        }
        "claude" => {
            let dashes = rest.iter().position(|word| word == "--")?;
            called(rest.get(dashes + 1..)?)
        }
        "make" => Some(Called::Make(rest.to_vec())),
        ours if ours == "containarium" || ours.ends_with("/containarium") => {
            Some(Called::Containarium(rest.to_vec()))
        }
        _ => None,
    }
}

/// Where a page calls something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A block to be pasted into a shell.
    Shell,
    /// A sentence, which may name a command without all that it needs.
    Sentence,
}

/// Everything of ours that a page calls.
fn calls(page: &str) -> Vec<(Place, Called)> {
    let mut lines: Vec<(Place, String)> = spans(page)
        .into_iter()
        .map(|span| (Place::Sentence, span.to_owned()))
        .collect();
    for (language, text) in blocks(page) {
        if ["bash", "sh", "console"].contains(&language) {
            let text = text.replace("\\\n", " ");
            lines.extend(text.lines().map(|line| (Place::Shell, line.to_owned())));
        }
    }
    let mut calls = Vec::new();
    for (place, line) in lines {
        let commands = commands(&line);
        calls.extend(
            commands
                .iter()
                .filter_map(|words| Some((place, called(words)?))),
        );
    }
    calls
}

/// Why `containarium` does not take these words, where placeholders (`USER`, `[--force]`, `a|b`)
/// stand for something that it takes.
fn refused(place: Place, words: &[String]) -> Option<String> {
    let filled = words.iter().map(|word| {
        let word = word.trim_matches(['[', ']']);
        let word = word.split('|').next().unwrap_or_default();
        if !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase()) {
            "alice".to_owned()
        } else {
            word.to_owned()
        }
    });
    let filled: Vec<String> = filled.filter(|word| word != "…").collect();
    // `containarium` alone is a name, and `containarium COMMAND --help` says that it is none.
    if filled.is_empty() || words.first().is_some_and(|word| word == "COMMAND") {
        return None;
    }
    let line = std::iter::once("containarium".to_owned()).chain(filled);
    let error = Cli::try_parse_from(line).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if place == Place::Sentence =>
        {
            None
        }
        _ => Some(error.to_string()),
    }
}

#[test]
fn the_json_of_every_page_is_json() {
    let mut read = 0;
    for (path, page) in pages() {
        for (language, text) in blocks(&page) {
            // The seed's own way to point at a line; a page may quote it.
            if language == "json" && !text.contains("// ←") {
                let parsed: Result<serde_json::Value, _> = serde_json::from_str(&text);
                parsed.unwrap_or_else(|e| panic!("{}: {e}\n{text}", path.display()));
                read += 1;
            }
        }
    }
    assert!(read > 8, "{read}");
}

#[test]
fn the_commands_of_every_page_parse() {
    let mut parsed = 0;
    for (path, page) in pages() {
        for (place, call) in calls(&page) {
            if let Called::Containarium(words) = call {
                if let Some(why) = refused(place, &words) {
                    panic!("{}: containarium {words:?}: {why}", path.display());
                }
                parsed += 1;
            }
        }
    }
    assert!(parsed > 30, "{parsed}");
}

#[test]
fn make_knows_the_targets_of_every_page() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: Vec<&str> = makefile
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    let mut named = 0;
    for (path, page) in pages() {
        for (_, call) in calls(&page) {
            if let Called::Make(words) = call {
                for word in words.iter().filter(|word| !word.contains('=')) {
                    let known = targets.contains(&word.trim_end_matches(','));
                    assert!(known, "{}: make {word}", path.display());
                    named += 1;
                }
            }
        }
    }
    assert!(named > 10, "{named}");
}

#[test]
fn the_links_between_pages_lead_somewhere() {
    for (path, page) in pages() {
        let links = page.split("](").skip(1);
        for link in links.filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let there = path.parent().is_some_and(|dir| dir.join(file).exists());
            assert!(there, "{}: {link}", path.display());
        }
    }
}

#[test]
fn the_configurations_of_clients_start_something_of_ours() {
    // What mcp-server reads.
    let variables = [
        "CONTAINARIUM_SERVER_URL",
        "CONTAINARIUM_JWT_TOKEN",
        "CONTAINARIUM_JWT_TOKEN_FILE",
        "CONTAINARIUM_CA_FILE",
        "CONTAINARIUM_SSH_KEY_FILE",
        "CONTAINARIUM_DEBUG",
    ];
    let mut configured = 0;
    for (path, page) in pages() {
        let blocks = blocks(&page);
        let json = blocks
            .iter()
            .filter(|(language, text)| *language == "json" && !text.contains("// ←"));
        for (_, text) in json {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let servers = value.get("mcpServers").or_else(|| value.get("servers"));
            let Some(server) = servers.map(|servers| servers.get("containarium").unwrap()) else {
                continue;
            };
            let command = server["command"].as_str().unwrap().to_owned();
            let arguments = server["args"].as_array().cloned().unwrap_or_default();
            let arguments = arguments
                .iter()
                .map(|word| word.as_str().unwrap().to_owned());
            let words: Vec<String> = std::iter::once(command.clone()).chain(arguments).collect();
            let mcp = Some(Called::Containarium(vec!["mcp".to_owned()]));
            assert!(
                command.ends_with("/mcp-server") || called(&words) == mcp,
                "{}: {words:?}",
                path.display()
            );
            let none = serde_json::Map::new();
            for name in server["env"].as_object().unwrap_or(&none).keys() {
                let known = variables.contains(&name.as_str());
                assert!(known, "{}: {name}", path.display());
            }
            configured += 1;
        }
    }
    assert!(configured > 8, "{configured}");
}

#[test]
fn a_line_for_a_shell_is_taken_apart() {
    let ours = |line: &str| -> Vec<Called> {
        let commands = commands(line);
        commands.iter().filter_map(|words| called(words)).collect()
    };
    let containarium =
        |words: &str| Called::Containarium(words.split_whitespace().map(str::to_owned).collect());
    assert_eq!(
        ours("TOKEN=$(bin/containarium token generate --secret \"a b\") # containarium x"),
        [Called::Containarium(
            ["token", "generate", "--secret", "a b"]
                .map(str::to_owned)
                .to_vec()
        )]
    );
    assert_eq!(
        ours("ssh -T -o BatchMode=yes you@server containarium mcp > file && git pull && make up"),
        [containarium("mcp"), Called::Make(vec!["up".to_owned()])]
    );
    assert_eq!(
        ours("claude mcp add containarium -- ssh -T you@server containarium mcp"),
        [containarium("mcp")]
    );
    assert_eq!(ours("systemctl status containarium"), []);
    let generate = ["token".to_owned(), "generate".to_owned()];
    assert_eq!(refused(Place::Sentence, &generate), None);
    assert!(refused(Place::Shell, &generate).is_some());
    assert!(refused(Place::Sentence, &["frobnicate".to_owned()]).is_some());
    let get = ["get".to_owned(), "USER".to_owned()];
    assert_eq!(refused(Place::Shell, &get), None);
}
