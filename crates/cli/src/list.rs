//! `containarium list`.

use clap::Args;
use containarium_client::Client;
use containarium_contract::{
    Container, ContainerList, EngineHealth, LabelFilter, ListContainers, State, Subject,
};

use crate::{
    failure::Failure,
    output::Format,
    state,
    table::{self, UNKNOWN},
};

/// List containers
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in this state; `deleted` shows those that can be brought back
    #[arg(long, value_parser = state::parser())]
    state: Option<State>,
    /// Only those with this label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Option<LabelFilter>,
    /// Only those of this owner
    #[arg(long)]
    owner: Option<Subject>,
}

impl From<List> for ListContainers {
    fn from(
        List {
            state,
            label,
            owner,
        }: List,
    ) -> Self {
        Self {
            state,
            label,
            owner,
            limit: None,
            cursor: None,
        }
    }
}

impl List {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let list = client.call(&ListContainers::from(self)).await?;
        note(list.engine, "states are those that were seen last");
        output.print(&list, drawn)
    }
}

/// Notes on standard error what is shown while the engine does not answer.
pub(crate) fn note(engine: EngineHealth, shown: &str) {
    match engine {
        EngineHealth::Ok => {}
        EngineHealth::Unreachable => {
            anstream::eprintln!("note: the container engine does not answer; {shown}");
        }
    }
}

fn drawn(list: &ContainerList) -> String {
    // Only a list of deleted ones has any.
    let deleted = list
        .containers
        .iter()
        .any(|container| container.deleted_until.is_some());
    let [username, state, cpu, memory, disk, image, owner] = HEADINGS;
    if !deleted {
        return table::columns(
            [username, state, cpu, memory, disk, "ADDRESS", image, owner],
            list.containers.iter().map(|container| {
                let [username, state, cpu, memory, disk, image, owner] = words(container);
                let address = container.network.ip_address.clone();
                [username, state, cpu, memory, disk, address, image, owner]
            }),
        );
    }
    table::columns(
        [
            username,
            "ID",
            state,
            cpu,
            memory,
            disk,
            "KEPT UNTIL",
            image,
            owner,
        ],
        list.containers.iter().map(|container| {
            let [username, state, cpu, memory, disk, image, owner] = words(container);
            let id = container.id.as_ref();
            let id = id.map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
            let until = container.deleted_until.clone();
            let until = until.unwrap_or_else(|| UNKNOWN.to_owned());
            [username, id, state, cpu, memory, disk, until, image, owner]
        }),
    )
}

/// What every list has.
const HEADINGS: [&str; 7] = [
    "USERNAME", "STATE", "CPU", "MEMORY", "DISK", "IMAGE", "OWNER",
];

fn words(container: &Container) -> [String; 7] {
    [
        container.username.to_string(),
        container.state.map_or(UNKNOWN, state::name).to_owned(),
        container.resources.cpu.to_string(),
        container.resources.memory.to_string(),
        container.resources.disk.to_string(),
        container.image.to_string(),
        container.owner.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::{
            Command,
            tests::{parsed, refused},
        },
        get::tests::container,
    };
    use serde_json::json;

    fn request(line: &str) -> ListContainers {
        let Command::List(list) = parsed(line) else {
            panic!("{line}")
        };
        list.into()
    }

    #[test]
    fn every_option_reaches_its_field_and_the_defaults_are_the_contracts() {
        assert_eq!(request("list"), serde_json::from_str("{}").unwrap());
        assert_eq!(
            request("list --state running --label team=red --owner bob"),
            serde_json::from_value(
                json!({"state": "running", "label": "team=red", "owner": "bob"})
            )
            .unwrap()
        );
        assert!(refused("list --state up").contains("[possible values: creating, running,"));
    }

    #[test]
    fn a_list_is_drawn_like_this() {
        let mut silent = container("bob");
        silent.state = None;
        let list = ContainerList {
            containers: vec![container("alice"), silent],
            total_count: 2,
            next_cursor: None,
            engine: EngineHealth::Ok,
        };
        insta::assert_snapshot!(drawn(&list));
    }

    #[test]
    fn deleted_ones_are_drawn_with_their_id_and_the_end_of_their_time() {
        let mut deleted = container("alice");
        deleted.id = Some("01jd3zq8m4k6t1w9v5r2x7y0bc".parse().unwrap());
        deleted.state = Some(State::Deleted);
        deleted.deleted_until = Some("2026-11-22T10:00:00Z".into());
        let list = ContainerList {
            containers: vec![deleted],
            total_count: 1,
            next_cursor: None,
            engine: EngineHealth::Ok,
        };
        insta::assert_snapshot!(drawn(&list), @r"
        USERNAME  ID                          STATE    CPU  MEMORY  DISK  KEPT UNTIL            IMAGE                OWNER
        alice     01jd3zq8m4k6t1w9v5r2x7y0bc  deleted  4    4GB     50GB  2026-11-22T10:00:00Z  images:ubuntu/24.04  carol
        ");
    }
}
