//! `containarium purge`: an installation is taken away, once its name was typed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use containarium_core::{
    Incus, Store, StoreError,
    setup::{self, SetupError},
};

use crate::{
    failure::{Exit, Failure},
    init::refused,
    place::Place,
};

/// Remove this installation from Incus: its containers and all in them, images, storage, bridge
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// The installation's name, instead of typing it
    #[arg(long, value_name = "NAME")]
    pub(crate) yes: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

impl Purge {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let other = |error: &dyn std::error::Error| Failure::new(Exit::Other, error.to_string());
        let stored = |e: StoreError| refused(SetupError::Store(e));
        let store = Store::open(&self.place.state.state_dir).map_err(stored)?;
        let installation = store.installation().await.map_err(stored)?;
        let typed = match self.yes {
            Some(name) => name,
            None if io::stdin().is_terminal() => ask(&installation.name).map_err(|e| other(&e))?,
            None => {
                let why = "there is no terminal to type the installation's name on";
                return Err(Failure::new(Exit::Usage, why).with_hint("give it with --yes NAME"));
            }
        };
        let incus = Incus::unix(self.place.engine.path());
        let report = |line: &str| {
            let _ = writeln!(io::stdout(), "{line}");
        };
        setup::purge(&incus, &installation, &typed, &report)
            .await
            .map_err(refused)
    }
}

fn ask(name: &str) -> io::Result<String> {
    let mut out = io::stderr();
    write!(
        out,
        "This removes every container of {name} and all that is in it.\nType {name}: "
    )?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
