//! Where images may come from, as the operator says it to the daemon and to `init`.

use clap::Args;
use containarium_core::images::{Remote, Remotes};

#[derive(Debug, Args)]
pub(crate) struct ImageRemotes {
    /// An image server that speaks simplestreams, in place of the one of that name or beside those
    /// there are (images, ubuntu); NAME= takes one off the list. May be given again
    #[arg(
        long = "image-remote",
        value_name = "NAME=URL",
        env = "CONTAINARIUM_IMAGE_REMOTES",
        value_delimiter = ','
    )]
    changes: Vec<Remote>,
}

impl From<ImageRemotes> for Remotes {
    fn from(ImageRemotes { changes }: ImageRemotes) -> Self {
        Self::with(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };

    #[test]
    fn servers_are_added_replaced_and_taken_off() {
        let line = "daemon --image-remote ours=https://mirror.example --image-remote ubuntu=";
        let Command::Daemon(daemon) = parsed(line) else {
            panic!("{line}")
        };
        let wanted = ["ours=https://mirror.example", "ubuntu="].map(|text| text.parse().unwrap());
        assert_eq!(Remotes::from(daemon.image_remotes), Remotes::with(wanted));
    }

    #[test]
    fn a_server_without_tls_is_refused() {
        let error = refused("init --image-remote ours=http://mirror.example");
        assert!(error.contains("NAME=https://HOST/PATH"), "{error}");
    }
}
