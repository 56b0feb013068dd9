//! `containarium create`.

use clap::{ArgAction, Args};
use containarium_client::{Begun, Client};
use containarium_contract::{
    ByteSize, Cpus, CreateContainer, Created, ImageRef, LabelKey, LabelValue, OperationAnswer,
    Resources, SshPublicKey, Subject, Username,
};

use crate::{failure::Failure, operation, output::Format, progress, ssh_key};

/// Create a container for a user, and wait until a login works
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The login user, and the container's address: 1 to 31 of a-z, 0-9 and hyphen
    username: Username,
    /// CPU limit in cores
    #[arg(long, value_name = "N", default_value_t = Resources::default().cpu)]
    cpu: Cpus,
    /// Memory limit, such as 4GB or 2048MB
    #[arg(long, value_name = "SIZE", default_value_t = Resources::default().memory)]
    memory: ByteSize,
    /// Disk limit, such as 50GB
    #[arg(long, value_name = "SIZE", default_value_t = Resources::default().disk)]
    disk: ByteSize,
    /// What to make it from, such as images:ubuntu/24.04 [default: the server's]
    #[arg(long)]
    image: Option<ImageRef>,
    /// A public key that may log in, or the file of one; may be given again
    #[arg(long = "ssh-key", value_name = "FILE|KEY", value_parser = ssh_key::parse)]
    ssh_keys: Vec<SshPublicKey>,
    /// Without Docker inside
    #[arg(long = "no-docker", action = ArgAction::SetFalse)]
    docker: bool,
    /// A label, words of your own about it; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(LabelKey, LabelValue)>,
    /// Whose it is, where the token is an admin's [default: the username]
    #[arg(long)]
    owner: Option<Subject>,
    /// Do not wait: print the operation, which goes on by itself
    #[arg(long)]
    no_wait: bool,
}

fn label(text: &str) -> Result<(LabelKey, LabelValue), String> {
    let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
    let key = key
        .parse()
        .map_err(|e: <LabelKey as std::str::FromStr>::Err| e.to_string())?;
    let value = value
        .parse()
        .map_err(|e: <LabelValue as std::str::FromStr>::Err| e.to_string())?;
    Ok((key, value))
}

impl From<Create> for CreateContainer {
    fn from(form: Create) -> Self {
        let Create {
            username,
            cpu,
            memory,
            disk,
            image,
            ssh_keys,
            docker,
            labels,
            owner,
            no_wait: _,
        } = form;
        Self {
            username,
            resources: Resources { cpu, memory, disk },
            ssh_keys,
            image,
            enable_docker: docker,
            labels: labels.into_iter().collect(),
            owner,
            asynchronous: false,
        }
    }
}

impl Create {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        let no_wait = self.no_wait;
        let request = CreateContainer::from(self);
        if no_wait {
            return match client.call_async(&request).await? {
                Begun::Operation(operation) => {
                    let operation = *operation;
                    output.print(&OperationAnswer { operation }, |answer| {
                        operation::begun(&answer.operation)
                    })
                }
                Begun::Done(created) => output.print(&created, told),
            };
        }
        let doing = format!("creating {}", request.username.container_name());
        let created = progress::followed(doing, client, &request).await?;
        output.print(&created, told)
    }
}

fn told(created: &Created) -> String {
    let Created {
        message,
        ssh_command: here,
        ssh_command_remote: elsewhere,
        ..
    } = created;
    format!("{message}\non the server:  {here}\nelsewhere:      {elsewhere}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        Command,
        tests::{parsed, refused},
    };
    use serde_json::{Value, json};

    fn request(line: &str) -> CreateContainer {
        let Command::Create(create) = parsed(line) else {
            panic!("{line}")
        };
        create.into()
    }

    fn wanted(json: Value) -> CreateContainer {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        assert_eq!(
            request("create alice"),
            wanted(json!({"username": "alice"}))
        );
    }

    #[test]
    fn every_option_reaches_its_field() {
        let line = "create alice --cpu 8 --memory 16GB --disk 100GB --image local:debian/12 \
                    --no-docker --label team=red --label stage= --owner bob";
        assert_eq!(
            request(line),
            wanted(json!({
                "username": "alice",
                "resources": {"cpu": "8", "memory": "16GB", "disk": "100GB"},
                "image": "local:debian/12", "enableDocker": false,
                "labels": {"team": "red", "stage": ""}, "owner": "bob",
            }))
        );
    }

    #[test]
    fn keys_come_from_files() {
        const KEY: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), KEY).unwrap();
        let path = file.path().display();
        let keys = request(&format!("create alice --ssh-key {path} --ssh-key {path}")).ssh_keys;
        assert_eq!(
            keys.iter().map(SshPublicKey::as_str).collect::<Vec<_>>(),
            [KEY, KEY]
        );
    }

    #[test]
    fn a_value_outside_its_grammar_is_refused_by_name_before_anything_is_asked() {
        for (line, words) in [
            ("create Alice", "`alice` would do"),
            ("create root", "`root-1` would do"),
            (
                "create alice --cpu 0",
                "a CPU limit is a whole number of cores",
            ),
            (
                "create alice --memory 4G",
                "a size is a whole number with a unit",
            ),
            (
                "create alice --image ubuntu",
                "an image is written REMOTE:ALIAS",
            ),
            ("create alice --label team", "a label is written KEY=VALUE"),
            ("create alice --label Team=x", "a label's key is"),
            (
                "create alice --ssh-key nowhere.pub",
                "there is no such file",
            ),
            ("create alice --cpus 4", "--cpu"),
        ] {
            let error = refused(line);
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
