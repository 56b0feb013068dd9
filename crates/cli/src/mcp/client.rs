//! The MCP clients: where each keeps its servers, and under which key. Not what stands there.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::Serialize;

/// A program that starts MCP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum McpClient {
    /// Claude Desktop
    ClaudeDesktop,
    /// Claude Code, for all your projects
    ClaudeCode,
    /// VS Code, for your profile
    Vscode,
    /// Cursor
    Cursor,
    /// Codex
    Codex,
    /// Gemini CLI
    Gemini,
    /// Windsurf
    Windsurf,
    /// Zed
    Zed,
}

/// Where a person's settings are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    home: PathBuf,
    config: PathBuf,
    /// What moves Claude Code's own.
    claude_code: Option<PathBuf>,
    codex: Option<PathBuf>,
}

impl Home {
    /// This person's, where there is one.
    pub(crate) fn of_environment() -> Option<Self> {
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = absolute("HOME")?;
        Some(Self {
            config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            claude_code: absolute("CLAUDE_CONFIG_DIR"),
            codex: absolute("CODEX_HOME"),
            home,
        })
    }

    /// The public key that ssh would offer first, where there is one.
    pub(crate) fn public_key(&self) -> Option<PathBuf> {
        ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"]
            .map(|name| self.home.join(".ssh").join(name))
            .into_iter()
            .find(|path| path.is_file())
    }

    /// Where programs with windows keep their settings.
    fn application(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            self.home.join("Library/Application Support")
        } else {
            self.config.clone()
        }
    }
}

impl McpClient {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Vscode => "VS Code",
            Self::Cursor => "Cursor",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
            Self::Windsurf => "Windsurf",
            Self::Zed => "Zed",
        }
    }

    /// What it is called on the command line.
    pub(crate) fn word(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The file with its servers.
    pub(crate) fn file(self, home: &Home) -> PathBuf {
        let at_home = |path: &str| home.home.join(path);
        match self {
            Self::ClaudeDesktop => claude_desktop(&home.application()),
            Self::ClaudeCode => home
                .claude_code
                .as_deref()
                .unwrap_or(&home.home)
                .join(".claude.json"),
            Self::Vscode => home.application().join("Code/User/mcp.json"),
            Self::Cursor => at_home(".cursor/mcp.json"),
            Self::Codex => {
                let own = home.codex.clone();
                own.unwrap_or_else(|| at_home(".codex")).join("config.toml")
            }
            Self::Gemini => at_home(".gemini/settings.json"),
            Self::Windsurf => at_home(".codeium/windsurf/mcp_config.json"),
            Self::Zed => home.config.join("zed/settings.json"),
        }
    }

    /// Under which key they stand there.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::ClaudeDesktop
            | Self::ClaudeCode
            | Self::Cursor
            | Self::Gemini
            | Self::Windsurf => "mcpServers",
            Self::Vscode => "servers",
            Self::Codex => "mcp_servers",
            Self::Zed => "context_servers",
        }
    }

    /// Whether an entry says how it is talked to.
    pub(crate) fn wants_type(self) -> bool {
        match self {
            Self::ClaudeCode | Self::Vscode => true,
            Self::ClaudeDesktop
            | Self::Cursor
            | Self::Codex
            | Self::Gemini
            | Self::Windsurf
            | Self::Zed => false,
        }
    }

    /// Whether its file is written, and not only what belongs there printed.
    pub(crate) fn is_written(self) -> bool {
        match self {
            Self::ClaudeDesktop | Self::ClaudeCode | Self::Vscode => true,
            Self::Cursor | Self::Codex | Self::Gemini | Self::Windsurf | Self::Zed => false,
        }
    }

    /// Whether a server of it inherits this variable.
    pub(crate) fn passes(self, variable: &str) -> bool {
        match self {
            // The list of the SDK that it starts servers with: no agent of ssh, for one.
            Self::ClaudeDesktop => {
                ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"].contains(&variable)
            }
            // All of it; but what a shell exported for us is not there when a menu starts the client.
            Self::ClaudeCode
            | Self::Vscode
            | Self::Cursor
            | Self::Codex
            | Self::Gemini
            | Self::Windsurf
            | Self::Zed => !variable.starts_with("CONTAINARIUM_"),
        }
    }

    /// What makes it read its file again.
    pub(crate) fn restart(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => {
                "quit Claude Desktop altogether (closing the window is not enough) and start it again"
            }
            Self::ClaudeCode => "start a new session of Claude Code",
            Self::Vscode => "run `MCP: List Servers` in VS Code and start it",
            Self::Cursor | Self::Codex | Self::Gemini | Self::Windsurf | Self::Zed => {
                "start the client again"
            }
        }
    }
}

/// Some builds for Linux spell the directory small.
fn claude_desktop(application: &Path) -> PathBuf {
    const FILE: &str = "claude_desktop_config.json";
    let (usual, small) = (application.join("Claude"), application.join("claude"));
    let only_small = (!usual.exists() && small.exists())
        || (!usual.join(FILE).exists() && small.join(FILE).exists());
    if only_small { small } else { usual }.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn home(directory: &Path) -> Home {
        Home {
            home: directory.to_owned(),
            config: directory.join(".config"),
            claude_code: None,
            codex: None,
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_client_has_its_file() {
        let home = home(Path::new("/home/you"));
        let files: Vec<String> = McpClient::value_variants()
            .iter()
            .map(|client| client.file(&home).display().to_string())
            .collect();
        assert_eq!(
            files,
            [
                "/home/you/.config/Claude/claude_desktop_config.json",
                "/home/you/.claude.json",
                "/home/you/.config/Code/User/mcp.json",
                "/home/you/.cursor/mcp.json",
                "/home/you/.codex/config.toml",
                "/home/you/.gemini/settings.json",
                "/home/you/.codeium/windsurf/mcp_config.json",
                "/home/you/.config/zed/settings.json",
            ]
        );
    }

    #[test]
    fn the_small_directory_is_taken_where_only_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let application = home(directory.path()).application();
        let taken = || {
            let file = claude_desktop(&application);
            file.strip_prefix(&application)
                .unwrap()
                .display()
                .to_string()
        };
        assert_eq!(taken(), "Claude/claude_desktop_config.json");
        fs::create_dir_all(application.join("claude")).unwrap();
        assert_eq!(taken(), "claude/claude_desktop_config.json");
        // On a file system that tells the two apart.
        if !application.join("Claude").exists() {
            fs::create_dir_all(application.join("Claude")).unwrap();
            assert_eq!(taken(), "Claude/claude_desktop_config.json");
            fs::write(application.join("claude/claude_desktop_config.json"), "{}").unwrap();
            assert_eq!(taken(), "claude/claude_desktop_config.json");
            fs::write(application.join("Claude/claude_desktop_config.json"), "{}").unwrap();
            assert_eq!(taken(), "Claude/claude_desktop_config.json");
        }
    }

    #[test]
    fn a_desktop_program_passes_on_little_and_nobody_what_a_shell_exported_for_us() {
        assert!(McpClient::ClaudeDesktop.passes("PATH"));
        assert!(!McpClient::ClaudeDesktop.passes("SSH_AUTH_SOCK"));
        assert!(McpClient::ClaudeCode.passes("SSH_AUTH_SOCK"));
        for client in McpClient::value_variants() {
            assert!(!client.passes("CONTAINARIUM_JWT_TOKEN"), "{client:?}");
        }
    }
}
