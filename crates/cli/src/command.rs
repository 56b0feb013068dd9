//! The command line as a whole: which commands there are, and what they have in common.

use clap::{Parser, Subcommand};
use containarium_contract::HostEngine;

use crate::{
    admin::Admin,
    completions::Completions,
    connect::Connect,
    context::Context,
    create::Create,
    daemon::Daemon,
    delete::Delete,
    doctor::Doctor,
    events::Events,
    failure::{EXIT_CODES, Failure},
    forward::Forward,
    get::Get,
    image::Image,
    info::Info,
    init::Init,
    list::List,
    login::Login,
    mcp::Mcp,
    metrics::Metrics,
    operation::Operation,
    output::Format,
    purge::Purge,
    ssh::Ssh,
    ssh_config::SshConfig,
    ssh_keys::SshKeys,
    start::Start,
    stop::Stop,
    token::Token,
    tunnel::Tunnel,
    undelete::Undelete,
    version::Version,
};

/// A Linux container of their own for every user and every agent
#[derive(Debug, Parser)]
#[command(name = "containarium", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// How to print an answer: for people, or as the server gives it for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    // Last of the options, for its heading goes on to whatever comes after it.
    #[command(flatten)]
    pub(crate) connect: Connect,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    List(List),
    Get(Get),
    Delete(Delete),
    Undelete(Undelete),
    Start(Start),
    Stop(Stop),
    SshKey(SshKeys),
    Ssh(Ssh),
    Forward(Forward),
    SshConfig(SshConfig),
    Tunnel(Tunnel),
    Metrics(Metrics),
    Info(Info),
    Operation(Operation),
    Events(Events),
    Login(Login),
    Context(Context),
    Version(Version),
    Image(Image),
    Mcp(Mcp),
    Completions(Completions),
    Token(Token),
    Init(Init),
    Purge(Purge),
    Doctor(Doctor),
    Admin(Admin),
    Daemon(Daemon),
}

impl Cli {
    /// Does what was asked.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let Self {
            connect,
            output,
            command,
        } = self;
        let done = match command {
            Command::Create(create) => create.run(&connect.client()?, output).await,
            Command::List(list) => list.run(&connect.client()?, output).await,
            Command::Get(get) => get.run(&connect.client()?, output).await,
            Command::Delete(delete) => delete.run(|| connect.client(), output).await,
            Command::Undelete(undelete) => undelete.run(&connect.client()?, output).await,
            Command::Start(start) => start.run(&connect.client()?, output).await,
            Command::Stop(stop) => stop.run(&connect.client()?, output).await,
            Command::SshKey(keys) => keys.run(|| connect.client(), output).await,
            Command::Ssh(ssh) => ssh.run(&connect),
            Command::Forward(forward) => forward.run(&connect.client_for_long()?).await,
            Command::SshConfig(config) => config.run(&connect.client()?, &connect).await,
            Command::Tunnel(tunnel) => tunnel.run(&connect.client_for_long()?).await,
            Command::Metrics(metrics) => metrics.run(&connect.client()?, output).await,
            Command::Info(info) => info.run(&connect.client()?, output).await,
            Command::Operation(operation) => operation.run(&connect.client()?, output).await,
            Command::Events(events) => events.run(&connect.client_for_long()?, output).await,
            Command::Login(login) => login.run(&connect, output).await,
            Command::Context(context) => context.run(output),
            Command::Version(version) => version.run(output),
            Command::Image(image) => image.run(&connect.client()?, output).await,
            Command::Mcp(mcp) => mcp.run(&connect, output).await,
            Command::Completions(completions) => completions.run(),
            Command::Token(token) => token.run(connect.token_file.as_deref(), output).await,
            Command::Init(init) => init.run().await,
            Command::Purge(purge) => purge.run().await,
            Command::Doctor(doctor) => doctor.run(output).await,
            Command::Admin(admin) => admin.run(|| connect.client(), output).await,
            Command::Daemon(daemon) => daemon.run().await,
        };
        if connect.is_simulated() {
            anstream::eprintln!("{}", HostEngine::SIMULATED);
        }
        done
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::CommandFactory;
    use containarium_client::{CallError, TokenError, Why};
    use containarium_contract::{Face, Hint, INVALID_TOKEN};

    /// What `containarium <line>` asks for.
    pub(crate) fn parsed(line: &str) -> Command {
        tried(&format!("containarium {line}"))
            .unwrap_or_else(|e| panic!("{line}: {e}"))
            .command
    }

    /// Why `containarium <line>` is not taken.
    pub(crate) fn refused(line: &str) -> String {
        tried(&format!("containarium {line}"))
            .unwrap_err()
            .to_string()
    }

    fn tried(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    /// The commands of ours that `text` quotes.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`')
            .filter(|part| part.starts_with("containarium "))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_a_hint_proposes_parses() {
        let mut proposed = 0;
        for hint in Hint::examples() {
            for face in [Face::Cli, Face::Mcp, Face::Rest] {
                let text = hint.render(face);
                for line in quoted(&text) {
                    tried(line).unwrap_or_else(|e| panic!("{line}: {e}"));
                    proposed += 1;
                }
            }
        }
        assert_eq!(proposed, 16 + 5 * 3);
    }

    #[test]
    fn every_command_that_a_failed_call_proposes_parses() {
        let api = |status, body: &str| CallError::Api {
            status,
            body: body.into(),
            problem: serde_json::from_str(body).ok(),
        };
        let errors = [
            api(401, INVALID_TOKEN),
            api(502, "<html>"),
            CallError::Protocol("x".into()),
            CallError::Unreachable {
                why: Why::Refused {
                    address: "h:1".into(),
                },
            },
            CallError::Unreachable {
                why: Why::AnswerTimeout {
                    address: "h:1".into(),
                },
            },
            CallError::Lost {
                operation: "01JD3ZQ8M4K6T1W9V5R2X7Y0BC".parse().unwrap(),
                why: Why::AnswerTimeout {
                    address: "h:1".into(),
                },
            },
            CallError::Token(TokenError::Empty),
        ];
        let hints: Vec<String> = errors.iter().filter_map(CallError::hint).collect();
        assert_eq!(hints.len(), errors.len());
        let lines: Vec<&str> = hints.iter().flat_map(|hint| quoted(hint)).collect();
        assert_eq!(lines.len(), 5, "{lines:?}");
        for line in lines {
            tried(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }

    #[test]
    fn every_endpoint_has_its_verb() {
        let verbs = [
            ("create_container", "create alice"),
            ("list_containers", "list"),
            ("get_container", "get alice"),
            ("delete_container", "delete alice"),
            ("undelete_container", "undelete alice"),
            ("start_container", "start alice"),
            ("stop_container", "stop alice"),
            ("list_ssh_keys", "ssh-key list alice"),
            ("add_ssh_key", "ssh-key add alice key.pub"),
            ("remove_ssh_key", "ssh-key remove alice key.pub"),
            ("open_tunnel", "tunnel alice"),
            ("get_metrics", "metrics alice"),
            ("list_metrics", "metrics"),
            ("get_system_info", "info"),
            ("list_images", "image list"),
            ("prepare_image", "image prepare images:debian/13"),
            ("delete_image", "image delete images:debian/13"),
            ("list_operations", "operation list"),
            ("get_operation", "operation get 01JD3ZQ8M4K6T1W9V5R2X7Y0BC"),
            (
                "wait_operation",
                "operation wait 01JD3ZQ8M4K6T1W9V5R2X7Y0BC",
            ),
            (
                "cancel_operation",
                "operation cancel 01JD3ZQ8M4K6T1W9V5R2X7Y0BC",
            ),
            ("listen_events", "events"),
            ("list_leaks", "admin leaks"),
            ("list_unclaimed", "admin unclaimed"),
            ("adopt_containers", "admin adopt --all"),
            ("purge_unclaimed", "admin purge c-1"),
        ];
        for spec in containarium_daemon::specs() {
            let verb = verbs.iter().find(|(endpoint, _)| *endpoint == spec.id);
            let (_, line) = verb.unwrap_or_else(|| panic!("{} has no verb", spec.id));
            parsed(line);
        }
        for (_, line) in verbs {
            parsed(line);
        }
    }

    /// Every command with the words that call it, in the order of the help.
    fn pages() -> Vec<(String, clap::Command)> {
        fn walk(words: &str, page: &clap::Command, pages: &mut Vec<(String, clap::Command)>) {
            pages.push((words.to_owned(), page.clone()));
            for sub in page.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                walk(&format!("{words} {}", sub.get_name()), sub, pages);
            }
        }
        let mut pages = Vec::new();
        walk("containarium", &Cli::command().term_width(100), &mut pages);
        pages
    }

    #[test]
    fn the_documented_commands_are_these() {
        let mut document =
            "# `containarium`\n\nWhat `containarium COMMAND --help` says. Generated; a \
                            test holds it against the program.\n"
                .to_owned();
        for (words, page) in pages() {
            let mut page = page.bin_name(&words).term_width(100);
            // What every command takes is said once.
            if words != "containarium" {
                page = page.mut_args(|arg| {
                    let shared = arg.is_global_set();
                    arg.hide(shared)
                });
            }
            let help = page.render_long_help().to_string();
            let help: Vec<&str> = help.lines().map(str::trim_end).collect();
            document += &format!("\n## {words}\n\n```text\n{}\n```\n", help.join("\n").trim());
        }
        expect_test::expect_file!["../../../docs/cli.md"].assert_eq(&document);
    }

    #[test]
    fn every_command_of_the_help_parses() {
        let mut pages = vec![Cli::command()];
        while let Some(mut page) = pages.pop() {
            for line in quoted(&page.render_long_help().to_string()) {
                tried(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            }
            pages.extend(page.get_subcommands().cloned());
        }
    }

    #[test]
    fn the_handbooks_commands_parse() {
        parsed("daemon --rest --jwt-secret your-secret-key");
        parsed("daemon --rest --address 0.0.0.0 --port 8080");
        for secret in [
            "--secret your-secret-key",
            "--secret-file /etc/containarium/jwt.secret",
        ] {
            let line = "token generate --username mcp-client --roles admin --expiry 8760h";
            parsed(&format!("{line} {secret}"));
        }
    }
}
