//! `containarium admin`: where store and engine do not agree.

use std::io::{self, IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use containarium_client::Client;
use containarium_contract::{
    AdoptContainers, Adopted, EngineHealth, InstanceName, LeakList, ListLeaks, ListUnclaimed,
    PurgeUnclaimed, Unclaimed, UnclaimedList,
};

use crate::{
    failure::{Exit, Failure},
    output::Format,
    progress,
    table::{self, UNKNOWN},
};

/// See what was left behind or is not known any more, and put it right (admins only)
#[derive(Debug, Args)]
pub(crate) struct Admin {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Leaks(Leaks),
    Unclaimed(ListThem),
    Adopt(Adopt),
    Purge(Purge),
}

/// Look for what no record owns; ends with 8 where there is any
///
/// Instances, volumes, images and processes that belong to nothing, records that nothing is behind, and
/// operations that are past their deadline. What is being worked on is none.
#[derive(Debug, Args)]
struct Leaks {}

/// List containers of this installation that the store does not know
///
/// As after the store was lost, or an old copy of it brought back. They are never removed unasked.
#[derive(Debug, Args)]
struct ListThem {}

/// Take unclaimed containers into the store again, as they were
#[derive(Debug, Args)]
struct Adopt {
    /// Which, as `admin unclaimed` names them
    #[arg(
        value_name = "INSTANCE",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    instances: Vec<InstanceName>,
    /// All that can be adopted
    #[arg(long)]
    all: bool,
}

/// Remove an unclaimed container and everything in it, for good
#[derive(Debug, Args)]
struct Purge {
    /// Which, as `admin unclaimed` names it
    instance: InstanceName,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl From<Adopt> for AdoptContainers {
    fn from(Adopt { instances, all }: Adopt) -> Self {
        Self { instances, all }
    }
}

impl Admin {
    /// `client` is made only when the person has agreed.
    pub(crate) async fn run(
        self,
        client: impl FnOnce() -> Result<Client, Failure>,
        output: Format,
    ) -> Result<(), Failure> {
        match self.verb {
            Verb::Leaks(Leaks {}) => {
                let list = client()?.call(&ListLeaks {}).await?;
                output.print(&list, leaks)?;
                verdict(&list)
            }
            Verb::Unclaimed(ListThem {}) => {
                let list = client()?.call(&ListUnclaimed {}).await?;
                output.print(&list, unclaimed)
            }
            Verb::Adopt(adopt) => {
                let named = !adopt.all;
                let request = AdoptContainers::from(adopt);
                let client = client()?;
                let doing = "adopting containers".to_owned();
                let adopted = progress::shown(doing, client.call(&request)).await?;
                output.print(&adopted, told)?;
                match adopted.refused.is_empty() {
                    false if named => Err(Failure::new(
                        Exit::Conflict,
                        "not all that were named could be adopted",
                    )),
                    true | false => Ok(()),
                }
            }
            Verb::Purge(Purge { instance, yes }) => {
                if !yes {
                    agreed(instance.as_str())?;
                }
                let client = client()?;
                let doing = format!("removing {instance}");
                let request = PurgeUnclaimed { instance };
                let purged = progress::shown(doing, client.call(&request)).await?;
                output.print(&purged, |purged| purged.message.clone())
            }
        }
    }
}

fn agreed(instance: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let sentence = format!("removing {instance} for good needs a yes");
        return Err(Failure::new(Exit::Usage, sentence)
            .with_hint(format!("run `containarium admin purge {instance} --yes`")));
    }
    let question = format!("This removes {instance} and everything in it, for good.");
    if typed(&question, instance)? {
        Ok(())
    } else {
        let sentence = format!("{instance} is left as it is");
        Err(Failure::new(Exit::Other, sentence))
    }
}

/// Whether the person at the terminal types `name`, as the irreversible needs.
pub(crate) fn typed(question: &str, name: &str) -> Result<bool, Failure> {
    let unreadable = |error: io::Error| Failure::new(Exit::Other, format!("stdin: {error}"));
    eprint!("{question}\nType {name}: ");
    io::stderr().flush().map_err(unreadable)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(unreadable)?;
    Ok(line.trim() == name)
}

fn leaks(list: &LeakList) -> String {
    if list.leaks.is_empty() {
        return match list.engine {
            EngineHealth::Ok => "nothing is left behind".to_owned(),
            EngineHealth::Unreachable => "not known".to_owned(),
        };
    }
    let rows = list.leaks.iter().map(|leak| {
        let plain = |text: &str| table::plain(text);
        [plain(&leak.kind), plain(&leak.name), plain(&leak.detail)]
    });
    table::columns(["KIND", "NAME", "DETAIL"], rows)
}

/// How `leaks` ends: a script must not take silence for a good sign.
fn verdict(list: &LeakList) -> Result<(), Failure> {
    match (list.leaks.len(), list.engine) {
        (0, EngineHealth::Ok) => Ok(()),
        (0, EngineHealth::Unreachable) => Err(Failure::new(
            Exit::Unreachable,
            "the container engine does not answer, so what is left in it is not known",
        )
        .with_hint("on the server, run `containarium doctor`")),
        (1, _) => Err(Failure::new(Exit::Unwell, "1 thing is left behind")),
        (n, _) => Err(Failure::new(
            Exit::Unwell,
            format!("{n} things are left behind"),
        )),
    }
}

fn unclaimed(list: &UnclaimedList) -> String {
    if list.unclaimed.is_empty() {
        return "the store knows every container".to_owned();
    }
    rows(&list.unclaimed)
}

fn rows(unclaimed: &[Unclaimed]) -> String {
    let headings = ["INSTANCE", "USERNAME", "OWNER", "KEPT UNTIL", "OBSTACLE"];
    let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
    let rows = unclaimed.iter().map(|one| {
        [
            table::plain(&one.instance),
            known(one.username.as_ref().map(ToString::to_string)),
            known(one.owner.as_ref().map(ToString::to_string)),
            known(one.deleted_until.clone()),
            known(one.obstacle.as_deref().map(table::plain)),
        ]
    });
    table::columns(headings, rows)
}

fn told(adopted: &Adopted) -> String {
    if adopted.refused.is_empty() {
        return adopted.message.clone();
    }
    format!("{}\n\n{}", adopted.message, rows(&adopted.refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };
    use serde_json::{Value, json};

    fn adopt(line: &str) -> AdoptContainers {
        let Command::Admin(Admin {
            verb: Verb::Adopt(adopt),
        }) = parsed(line)
        else {
            panic!("{line}")
        };
        adopt.into()
    }

    #[test]
    fn all_or_some_are_adopted_and_never_none() {
        let wanted = |json: Value| serde_json::from_value::<AdoptContainers>(json).unwrap();
        assert_eq!(adopt("admin adopt --all"), wanted(json!({"all": true})));
        assert_eq!(
            adopt("admin adopt c-1 c-2"),
            wanted(json!({"instances": ["c-1", "c-2"]}))
        );
        assert!(refused("admin adopt").contains("INSTANCE"));
        refused("admin adopt c-1 --all");
        refused("admin purge");
        parsed("admin purge c-1 --yes");
    }

    fn leaking(leaks: Value, engine: &str) -> LeakList {
        serde_json::from_value(json!({"leaks": leaks, "engine": engine})).unwrap()
    }

    #[test]
    fn only_nothing_in_an_engine_that_answers_is_well() {
        let leak = json!({"kind": "instance", "name": "c-1", "detail": "nobody's"});
        assert_eq!(verdict(&leaking(json!([]), "ok")), Ok(()));
        let code = |list: &LeakList| format!("{:?}", verdict(list).unwrap_err());
        assert!(code(&leaking(json!([]), "unreachable")).contains("Unreachable"));
        let some = leaking(json!([leak, leak]), "ok");
        assert!(code(&some).contains("Unwell"));
        insta::assert_snapshot!(leaks(&some), @r"
        KIND      NAME  DETAIL
        instance  c-1   nobody's
        instance  c-1   nobody's
        ");
    }

    #[test]
    fn what_is_unclaimed_is_drawn_like_this() {
        let list: UnclaimedList = serde_json::from_value(json!({"unclaimed": [
            {"instance": "c-1", "username": "alice", "owner": "carol", "createdAt": 1},
            {"instance": "c-2", "deletedUntil": "2026-11-22T10:00:00Z",
             "obstacle": "its tags cannot be read"},
        ]}))
        .unwrap();
        insta::assert_snapshot!(unclaimed(&list), @r"
        INSTANCE  USERNAME  OWNER  KEPT UNTIL            OBSTACLE
        c-1       alice     carol  -                     -
        c-2       -         -      2026-11-22T10:00:00Z  its tags cannot be read
        ");
        let none = UnclaimedList { unclaimed: vec![] };
        assert_eq!(unclaimed(&none), "the store knows every container");
    }
}
