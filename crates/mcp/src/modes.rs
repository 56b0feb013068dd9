//! How much of the tools is offered: by flags and by their variables. What a flag takes away is not
//! listed and not answered, and what the daemon can hold to, it is told with each call.

use clap::{Args, builder::FalseyValueParser};
use containarium_contract::{Effect, Restrictions, UsernamePattern};

use crate::tool::{Tool, Toolset};

/// What this server offers of what its token allows.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is offered")]
pub struct Modes {
    /// Only tools that change nothing
    #[arg(long, env = "CONTAINARIUM_READ_ONLY", value_parser = FalseyValueParser::new())]
    pub read_only: bool,
    /// Only these sets of tools
    #[arg(
        long,
        value_name = "SET[,SET]",
        env = "CONTAINARIUM_TOOLSETS",
        value_delimiter = ','
    )]
    pub toolsets: Vec<Toolset>,
    /// Only these tools, and those of --toolsets where that is given too
    #[arg(
        long,
        value_name = "TOOL[,TOOL]",
        env = "CONTAINARIUM_TOOLS",
        value_delimiter = ','
    )]
    pub tools: Vec<String>,
    /// Not these tools, whatever else says so
    #[arg(
        long,
        value_name = "TOOL[,TOOL]",
        env = "CONTAINARIUM_EXCLUDE_TOOLS",
        value_delimiter = ','
    )]
    pub exclude_tools: Vec<String>,
    /// No tool that takes anything away: delete_container, purge_container, remove_ssh_key
    #[arg(long, env = "CONTAINARIUM_DISABLE_DESTRUCTIVE", value_parser = FalseyValueParser::new())]
    pub disable_destructive: bool,
    /// Only containers of these usernames: agent-* or agent- for all that begin so, bob for that one.
    /// The daemon holds to it
    #[arg(
        long,
        value_name = "PREFIX[,PREFIX]",
        env = "CONTAINARIUM_ONLY",
        value_delimiter = ','
    )]
    pub only: Vec<UsernamePattern>,
    /// No create beyond so many containers. The daemon holds to it
    #[arg(long, value_name = "N", env = "CONTAINARIUM_MAX")]
    pub max: Option<u32>,
    /// Remove containers for good without asking a person: for automation
    #[arg(long, env = "CONTAINARIUM_ALLOW_IRREVERSIBLE", value_parser = FalseyValueParser::new())]
    pub allow_irreversible: bool,
}

/// A flag names a tool that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no tool `{name}`; {instead}")]
pub struct NoSuchTool {
    name: String,
    /// The nearest one, or all.
    instead: String,
}

impl NoSuchTool {
    fn new(name: &str, tools: &[&str]) -> Self {
        let likeness = |tool: &str| strsim::jaro_winkler(tool, name);
        let near = tools
            .iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        Self {
            name: name.escape_debug().to_string(),
            instead: match near.filter(|near| likeness(near) > 0.7) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the tools are {}", tools.join(", ")),
            },
        }
    }
}

impl Modes {
    /// Whether every tool that is named is there.
    pub(crate) fn check(&self, tools: &[Tool]) -> Result<(), NoSuchTool> {
        let names: Vec<&str> = tools.iter().map(|tool| tool.card.name.as_ref()).collect();
        let named = self.tools.iter().chain(&self.exclude_tools);
        for name in named {
            if !names.contains(&name.as_str()) {
                return Err(NoSuchTool::new(name, &names));
            }
        }
        Ok(())
    }

    /// Which flag takes the tool away, if one does.
    pub(crate) fn taken_away_by(&self, tool: &Tool) -> Option<&'static str> {
        let name = tool.card.name.as_ref();
        let is_named = |names: &[String]| names.iter().any(|given| given == name);
        let chosen = is_named(&self.tools) || self.toolsets.contains(&tool.toolset);
        let chooses = !(self.tools.is_empty() && self.toolsets.is_empty());
        if self.read_only && tool.effect != Effect::Read {
            Some("--read-only")
        } else if is_named(&self.exclude_tools) {
            Some("--exclude-tools")
        } else if self.disable_destructive && tool.takes_away {
            Some("--disable-destructive")
        } else if chooses && !chosen {
            Some("--tools or --toolsets")
        } else {
            None
        }
    }

    /// What the daemon is told with each call.
    pub fn restrictions(&self) -> Restrictions {
        Restrictions {
            only: self.only.clone(),
            max: self.max,
            read_only: self.read_only,
        }
    }

    /// What a model is told of them, if there is anything to tell.
    pub(crate) fn told(&self) -> String {
        let mut told = Vec::new();
        if self.read_only {
            told.push("This server is read-only: nothing can be changed.".to_owned());
        }
        if self.allow_irreversible {
            told.push(
                "--allow-irreversible is on: purge_container removes for good without asking a person."
                    .to_owned(),
            );
        }
        if !self.only.is_empty() {
            let names: Vec<_> = self.only.iter().map(ToString::to_string).collect();
            told.push(format!(
                "Only containers named {} exist here.",
                names.join(", ")
            ));
        }
        if let Some(max) = self.max {
            told.push(format!("At most {max} containers."));
        }
        told.join(" ")
    }
}
