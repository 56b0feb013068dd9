//! `containarium image`: what containers are made from.

use clap::{ArgAction, Args, Subcommand};
use containarium_client::Client;
use containarium_contract::{
    DeleteImage, Image as View, ImageList, ImageRef, ImageState, ListImages, PrepareImage,
};

use crate::{
    failure::Failure,
    list::note,
    output::Format,
    progress, size,
    table::{UNKNOWN, columns},
};

/// What containers are made from: list it, prepare it, delete it
///
/// An image is written REMOTE:ALIAS, such as images:debian/13 or ubuntu:24.04. `local` are those in
/// Incus itself: what init built, and what an administrator brought there with `incus image import
/// FILE --project containarium --alias ALIAS`. The other remotes are image servers; `image list`
/// names them, and the daemon's --image-remote changes them.
///
/// A create from an image that is not prepared yet prepares it first, which takes minutes: fetch
/// it, install an SSH server, sudo and Docker, and drop the users it came with. Only systems with
/// apt can be prepared (Debian, Ubuntu and their kin).
#[derive(Debug, Args)]
pub(crate) struct Image {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Prepare(Prepare),
    Delete(Delete),
}

/// List the images that are prepared or being prepared, and the remotes that others may come from
#[derive(Debug, Args)]
struct List {}

/// Prepare an image, so that creates from it are quick (admins only)
///
/// One that is prepared is prepared anew where its server has a newer one or this version of
/// Containarium prepares it otherwise; what is there is used meanwhile, and containers stay as they
/// are. The server's list is believed for an hour.
#[derive(Debug, Args)]
struct Prepare {
    /// Which one, such as images:debian/13
    image: ImageRef,
    /// Only the one without Docker inside
    #[arg(long = "no-docker", action = ArgAction::SetFalse)]
    docker: bool,
    /// Anew although nothing changed, which brings its packages up to date
    #[arg(long)]
    force: bool,
}

/// Delete a prepared image (admins only); containers made from it stay
#[derive(Debug, Args)]
struct Delete {
    /// Which one, such as images:debian/13
    image: ImageRef,
}

impl From<Prepare> for PrepareImage {
    fn from(form: Prepare) -> Self {
        let Prepare {
            image,
            docker,
            force,
        } = form;
        Self {
            image,
            enable_docker: docker,
            force,
        }
    }
}

impl Image {
    pub(crate) async fn run(self, client: &Client, output: Format) -> Result<(), Failure> {
        match self.verb {
            Verb::List(List {}) => {
                let list = client.call(&ListImages {}).await?;
                note(list.engine, "images are those that were seen last");
                output.print(&list, drawn)
            }
            Verb::Prepare(prepare) => {
                let request = PrepareImage::from(prepare);
                let doing = format!("preparing {}", request.image);
                let done = progress::followed(doing, client, &request).await?;
                output.print(&done, |done| done.message.clone())
            }
            Verb::Delete(Delete { image }) => {
                let request = DeleteImage { image };
                let doing = format!("deleting {}", request.image);
                let done = progress::shown(doing, client.call(&request)).await?;
                output.print(&done, |done| done.message.clone())
            }
        }
    }
}

fn drawn(list: &ImageList) -> String {
    let rows = list.images.iter().map(|image| {
        let docker = if image.docker_enabled { "yes" } else { "no" };
        [
            image.image.to_string(),
            docker.to_owned(),
            state(image),
            image.size_bytes.map_or(UNKNOWN.into(), size::bytes),
            image.prepared_at.clone().unwrap_or_else(|| UNKNOWN.into()),
        ]
    });
    let table = columns(["IMAGE", "DOCKER", "STATE", "SIZE", "PREPARED"], rows);
    format!("{table}\n\nremotes: {}", list.remotes.join(", "))
}

fn state(image: &View) -> String {
    let mut words = vec![match image.state {
        ImageState::Ready => "ready".to_owned(),
        ImageState::Preparing => "preparing".to_owned(),
    }];
    if image.default {
        words.push("default".into());
    }
    if image.outdated {
        words.push("outdated".into());
    }
    if let Some(progress) = &image.progress {
        let percent = progress.percent.map(|percent| format!(" {percent} %"));
        words.push(format!("{}{}", progress.step, percent.unwrap_or_default()));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, tests::parsed};
    use containarium_contract::{EngineHealth, ImageProgress};
    use serde_json::json;

    fn prepare(line: &str) -> PrepareImage {
        let Command::Image(Image {
            verb: Verb::Prepare(prepare),
        }) = parsed(line)
        else {
            panic!("{line}")
        };
        prepare.into()
    }

    #[test]
    fn every_option_reaches_its_field_and_the_defaults_are_the_contracts() {
        let wanted = |value| serde_json::from_value::<PrepareImage>(value).unwrap();
        assert_eq!(
            prepare("image prepare ubuntu:24.04"),
            wanted(json!({"image": "ubuntu:24.04"}))
        );
        assert_eq!(
            prepare("image prepare ubuntu:24.04 --no-docker --force"),
            wanted(json!({"image": "ubuntu:24.04", "enableDocker": false, "force": true}))
        );
        parsed("image delete images:debian/13");
        parsed("image list");
    }

    #[test]
    fn a_list_of_images_is_drawn_like_this() {
        let image = |name: &str, docker| View {
            image: name.parse().unwrap(),
            docker_enabled: docker,
            state: ImageState::Ready,
            default: false,
            outdated: false,
            size_bytes: Some(371_000_000),
            prepared_at: Some("2026-11-21T10:00:00Z".into()),
            progress: None,
        };
        let list = ImageList {
            images: vec![
                View {
                    state: ImageState::Preparing,
                    size_bytes: None,
                    prepared_at: None,
                    progress: Some(ImageProgress {
                        step: "downloading images:debian/13".into(),
                        percent: Some(40),
                    }),
                    ..image("images:debian/13", true)
                },
                View {
                    default: true,
                    outdated: true,
                    ..image("local:debian/12", false)
                },
            ],
            remotes: vec!["images".into(), "local".into()],
            engine: EngineHealth::Ok,
        };
        insta::assert_snapshot!(drawn(&list));
    }
}
