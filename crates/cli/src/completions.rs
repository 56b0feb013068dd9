//! `containarium completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{command::Cli, failure::Failure, output};

/// Print what makes a shell complete this command line
///
/// bash: containarium completions bash > ~/.local/share/bash-completion/completions/containarium;
/// zsh: into a file `_containarium` in a directory of $fpath; fish: into
/// ~/.config/fish/completions/containarium.fish
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "containarium", &mut script);
        output::written(&String::from_utf8_lossy(&script))
    }
}
