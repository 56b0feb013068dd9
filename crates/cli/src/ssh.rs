//! `containarium ssh`: the system's ssh, through a tunnel.

use std::{ffi::OsString, io, os::unix::process::CommandExt as _, process::Command};

use clap::Args;
use containarium_contract::Username;

use crate::{
    connect::Connect,
    failure::{Exit, Failure},
    proxy_command::Way,
};

/// Log in to a container, or run a command in it, from wherever the server is reached
///
/// What stands after the username is ssh's: a command to run, or options such as -t, -i FILE,
/// -L 8080:localhost:80. The exit status is ssh's, which is the command's.
#[derive(Debug, Args)]
pub(crate) struct Ssh {
    /// Whose container
    username: Username,
    /// A command to run, or options of ssh
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    rest: Vec<OsString>,
}

impl Ssh {
    /// Becomes ssh; returns only where it cannot.
    pub(crate) fn run(self, connect: &Connect) -> Result<(), Failure> {
        let error = self.command(connect)?.exec();
        Err(match error.kind() {
            io::ErrorKind::NotFound => Failure::new(Exit::Missing, "there is no `ssh` here")
                .with_hint(
                    "install OpenSSH's client: on Debian and Ubuntu, the package openssh-client",
                ),
            _ => Failure::new(Exit::Other, format!("ssh: {error}")),
        })
    }

    fn command(&self, connect: &Connect) -> Result<Command, Failure> {
        // What is missing is said here, and not through ssh.
        let client = connect.client()?;
        let mut ssh = Command::new("ssh");
        ssh.args(Way::to(&self.username, client.server(), connect)?.arguments())
            .arg(self.username.container_name())
            .args(&self.rest);
        Ok(ssh)
    }
}

#[cfg(test)]
mod tests {
    use crate::command::{Cli, Command as Ours};
    use clap::Parser as _;

    fn arguments(line: &str) -> Vec<String> {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Ours::Ssh(ssh) = cli.command else {
            panic!("{line}")
        };
        let command = ssh.command(&cli.connect).unwrap();
        command
            .get_args()
            .map(|arg| arg.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn what_stands_after_the_name_is_sshs() {
        let given = arguments(
            "containarium --server http://h:1 --token-file /t/token ssh alice -t -o ConnectTimeout=3 \
             -- ls -la --server x",
        );
        let host = given
            .iter()
            .position(|arg| arg == "alice-container")
            .unwrap();
        assert_eq!(
            given[host + 1..],
            [
                "-t",
                "-o",
                "ConnectTimeout=3",
                "--",
                "ls",
                "-la",
                "--server",
                "x"
            ]
        );
        assert!(
            given[..host].contains(&"User=alice".to_owned()),
            "{given:?}"
        );
        assert!(given[..host].contains(&"StrictHostKeyChecking=accept-new".to_owned()));
    }

    #[test]
    fn the_proxy_command_asks_the_same_server_and_holds_no_secret() {
        let given = arguments(
            "containarium --server http://h:1 --token-file /t/token --ca-file /t/ca.pem ssh alice",
        );
        let proxy = given
            .iter()
            .find_map(|arg| arg.strip_prefix("ProxyCommand="));
        let proxy = proxy.unwrap();
        let wanted = " --server http://h:1 --token-file /t/token --ca-file /t/ca.pem tunnel alice \
                      --known-hosts ";
        assert!(proxy.contains(wanted), "{proxy}");
    }
}
