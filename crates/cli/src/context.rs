//! `containarium context`: the saved servers, shown, chosen and forgotten. `login` saves them.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    contexts::{Contexts, SavedToken},
    failure::Failure,
    output::Format,
    table,
};

/// Show, choose and forget the servers that `containarium login` saved
#[derive(Debug, Args)]
pub(crate) struct Context {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show them
    List,
    /// Make one the current one
    Use {
        /// Its name
        name: String,
    },
    /// Forget one, and its token
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'c> {
    name: &'c str,
    current: bool,
    server: &'c str,
    /// Never the token itself.
    token: String,
}

impl Context {
    pub(crate) fn run(self, output: Format) -> Result<(), Failure> {
        let mut contexts = Contexts::read()?;
        match self.what {
            What::List => {}
            What::Use { name } => {
                contexts.named(&name)?;
                contexts.current = Some(name);
                contexts.write()?;
            }
            What::Remove { name } => {
                contexts.named(&name)?;
                contexts.contexts.remove(&name);
                contexts.current = contexts.current.filter(|current| *current != name);
                contexts.write()?;
            }
        }
        output.print(&shown(&contexts), |shown| drawn(shown))
    }
}

fn shown(contexts: &Contexts) -> Vec<Shown<'_>> {
    let all = contexts.contexts.iter();
    all.map(|(name, context)| Shown {
        name,
        current: contexts.current.as_ref() == Some(name),
        server: &context.server,
        token: match &context.token {
            SavedToken::Text(_) => "saved".to_owned(),
            SavedToken::File(path) => path.display().to_string(),
        },
    })
    .collect()
}

fn drawn(shown: &[Shown<'_>]) -> String {
    if shown.is_empty() {
        return "no context is saved; `containarium login` saves one".into();
    }
    table::columns(
        ["NAME", "CURRENT", "SERVER", "TOKEN"],
        shown.iter().map(|context| {
            [
                context.name.to_owned(),
                if context.current { "yes" } else { "" }.to_owned(),
                context.server.to_owned(),
                context.token.clone(),
            ]
        }),
    )
}
