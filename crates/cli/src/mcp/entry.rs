//! What a client's configuration says of one server: what to start, and with which environment; and
//! the forms that clients write it in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Serializer, ser::PrettyFormatter};

use super::client::McpClient;
use crate::failure::{Exit, Failure};

/// A server to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// How it is talked to, where the client wants to be told.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// The program.
    pub(crate) command: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<String>,
    /// Its variables, beside those that the client passes on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, String>,
}

impl Entry {
    /// One of this client that starts `command`.
    pub(crate) fn new(client: McpClient, command: String, args: &[&str]) -> Self {
        Self {
            kind: client.wants_type().then(|| "stdio".to_owned()),
            command,
            args: args.iter().map(|&word| word.to_owned()).collect(),
            env: BTreeMap::new(),
        }
    }

    /// The whole of what the client's file has to hold for it.
    pub(crate) fn printed(&self, client: McpClient, name: &str) -> Result<String, Failure> {
        match client {
            McpClient::Codex => Ok(self.as_toml(client.key(), name)),
            McpClient::ClaudeDesktop
            | McpClient::ClaudeCode
            | McpClient::Vscode
            | McpClient::Cursor
            | McpClient::Gemini
            | McpClient::Windsurf
            | McpClient::Zed => {
                let servers = BTreeMap::from([(name, self)]);
                pretty(&BTreeMap::from([(client.key(), servers)]), "  ")
            }
        }
    }

    fn as_toml(&self, key: &str, name: &str) -> String {
        // A string of JSON is one of TOML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let args: Vec<String> = self.args.iter().map(|word| quoted(word)).collect();
        let mut toml = format!("[{key}.{name}]\ncommand = {}\n", quoted(&self.command));
        if !args.is_empty() {
            toml += &format!("args = [{}]\n", args.join(", "));
        }
        if !self.env.is_empty() {
            toml += &format!("\n[{key}.{name}.env]\n");
        }
        for (variable, value) in &self.env {
            toml += &format!("{variable} = {}\n", quoted(value));
        }
        toml
    }
}

/// Reads a name that every client takes: most put it before a tool's, and TOML takes it bare.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if (1..=32).contains(&text.len()) && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 32 letters, digits, `-` or `_`".to_owned())
    }
}

/// `value` as JSON, with a level for each `indent`.
pub(crate) fn pretty(value: &impl Serialize, indent: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    let text = written.map(|()| String::from_utf8(bytes));
    match text {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(e)) => Err(Failure::new(Exit::Other, e.to_string())),
        Err(e) => Err(Failure::new(Exit::Other, e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;
    use serde_json::{Value, json};

    fn entry(client: McpClient) -> Entry {
        let env = [("B", "/a \"b\""), ("A", "http://h")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Entry {
            env: env.into(),
            ..Entry::new(client, "/usr/bin/c".into(), &["mcp"])
        }
    }

    #[test]
    fn each_client_gets_its_own_form() {
        for client in McpClient::value_variants() {
            let printed = entry(*client).printed(*client, "it").unwrap();
            if *client == McpClient::Codex {
                assert_eq!(
                    printed,
                    "[mcp_servers.it]\ncommand = \"/usr/bin/c\"\nargs = [\"mcp\"]\n\n\
                     [mcp_servers.it.env]\nA = \"http://h\"\nB = \"/a \\\"b\\\"\"\n"
                );
                continue;
            }
            let shown: Value = serde_json::from_str(&printed).unwrap();
            let mut it = json!({"command": "/usr/bin/c", "args": ["mcp"],
                                "env": {"A": "http://h", "B": "/a \"b\""}});
            let key = match client {
                McpClient::Vscode => "servers",
                McpClient::Zed => "context_servers",
                _ => "mcpServers",
            };
            if matches!(client, McpClient::Vscode | McpClient::ClaudeCode) {
                it["type"] = "stdio".into();
            }
            assert_eq!(shown, json!({key: {"it": it}}), "{client:?}");
        }
    }

    #[test]
    fn a_name_is_one_that_every_client_takes() {
        assert!(name("containarium-2").is_ok());
        for bad in ["", "a b", "a.b", "é", &"a".repeat(33)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
