//! The options that make a token a small key. What they mean is the contract's.

use clap::Args;
use containarium_contract::{Restrictions, UsernamePattern};

/// What a token gives up of what its roles allow.
#[derive(Args, Clone, Debug)]
pub(crate) struct Restricted {
    /// Restrict it to containers with these names, such as alice or 'agent-*': to it there are no others
    #[arg(long, value_delimiter = ',', value_name = "NAME[,NAME]")]
    pub(crate) only: Vec<UsernamePattern>,
    /// Let there be at most so many containers of those it may see; more are not created
    #[arg(long, value_name = "COUNT")]
    pub(crate) max: Option<u32>,
    /// Let it look, and change nothing
    #[arg(long)]
    pub(crate) read_only: bool,
}

impl Restricted {
    /// As a principal has them: one, or none.
    pub(crate) fn restrictions(&self) -> Vec<Restrictions> {
        let restrictions = Restrictions {
            only: self.only.clone(),
            max: self.max,
            read_only: self.read_only,
        };
        if restrictions.is_none() {
            Vec::new()
        } else {
            vec![restrictions]
        }
    }

    /// As it is written on a command line.
    pub(crate) fn as_options(&self) -> String {
        let mut options = String::new();
        if !self.only.is_empty() {
            let names: Vec<_> = self.only.iter().map(ToString::to_string).collect();
            options += &format!(" --only '{}'", names.join(","));
        }
        if let Some(max) = self.max {
            options += &format!(" --max {max}");
        }
        if self.read_only {
            options += " --read-only";
        }
        options
    }
}
