//! Fetching a base image: incusd does it, over simplestreams; we watch.

use std::time::Duration;

use containarium_contract::{ImageProgress, ImageRef};
use containarium_incus::{Error as Incus, ImagePull, Operation};
use tokio::time::Instant;

use super::{Bench, ImageError, Tell, While as _, shelf::base_alias};

/// How long one look waits for the end.
const LOOK: Duration = Duration::from_secs(2);
/// How long a download may stand still.
const STALL: Duration = Duration::from_secs(60);

/// Has Incus fetch `image` from its server, unless it has what the server has now, and names it as
/// our base image of that name; its fingerprint.
pub(crate) async fn pull(
    bench: &Bench,
    image: &ImageRef,
    tell: Tell<'_>,
) -> Result<String, ImageError> {
    let Some(server) = bench.remotes.url(image) else {
        return Err(ImageError::Unknown(image.clone()));
    };
    let downloading = |percent| {
        tell(ImageProgress {
            step: format!("downloading {image}"),
            percent,
        });
    };
    downloading(None);
    let pull = ImagePull {
        server: server.to_owned(),
        alias: image.alias().to_owned(),
    };
    let begun = bench.incus.pull_image(&pull).await;
    let begun = begun.map_err(|e| failed(image, e))?;
    let mut percent = None;
    let mut patience = Instant::now() + bench.patience;
    let done = loop {
        let ended = tokio::select! {
            ended = bench.incus.wait(&begun, LOOK) => ended,
            () = bench.closing.cancelled() => {
                give_up(bench, &begun).await;
                return Err(ImageError::Stopping(image.clone()));
            }
        };
        match ended {
            Ok(done) => break done,
            Err(Incus::Timeout { .. }) => {}
            Err(e) => return Err(failed(image, e)),
        }
        // Where it has just ended, the next look says how.
        let now = bench.incus.operation(&begun.id).await.unwrap_or_default();
        if now.download_percent() > percent {
            percent = now.download_percent();
            patience = Instant::now() + STALL;
            downloading(percent);
        }
        if Instant::now() > patience {
            give_up(bench, &begun).await;
            let why = match percent {
                Some(percent) => format!("it stands still at {percent} %"),
                None => "no answer".to_owned(),
            };
            return Err(ImageError::Unreachable {
                image: image.clone(),
                why,
            });
        }
    };
    let fingerprint = done.fingerprint().unwrap_or_default().to_owned();
    let alias = base_alias(image);
    let named = bench.incus.put_image_alias(&alias, &fingerprint).await;
    named.doing("naming the base image")?;
    Ok(fingerprint)
}

/// What goes on without us in Incus is an image without a name there, which the next pull finds.
async fn give_up(bench: &Bench, begun: &Operation) {
    if let Err(e) = bench.incus.cancel(begun).await {
        tracing::debug!(error = %e, "a download cannot be cancelled");
    }
}

/// Whose fault it is that there is no image: what is not Incus's own is the image server's.
fn failed(image: &ImageRef, error: Incus) -> ImageError {
    match error {
        Incus::NotFound(_) => ImageError::Unknown(image.clone()),
        Incus::OperationFailed(text) | Incus::Refused { text, .. } => {
            tracing::warn!(%image, why = text, "the image server does not give an image");
            ImageError::Unreachable {
                image: image.clone(),
                why: last_word(&text),
            }
        }
        other => match Err::<(), _>(other).doing(format!("fetching {image}")) {
            Err(error) => error,
            Ok(()) => ImageError::Unknown(image.clone()),
        },
    }
}

/// The end of a chain of causes. What comes before names addresses that are no caller's business.
fn last_word(text: &str) -> String {
    let last = text.rsplit(": ").next().unwrap_or(text);
    last.trim_end_matches(['(', ')', '[', ']', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_chain_of_causes_the_last_one_is_told() {
        for (text, told) in [
            (
                "Failed getting remote image info: Failed getting image: Failed parsing stream: Get \
                 \"https://127.0.0.1:1/streams/v1/index.json\": Unable to connect to: 127.0.0.1:1 \
                 ([dial tcp 127.0.0.1:1: connect: connection refused])",
                "connection refused",
            ),
            (
                "Get \"https://h/index.json\": lookup h on 10.255.255.53:53: no such host",
                "no such host",
            ),
            ("odd", "odd"),
        ] {
            assert_eq!(last_word(text), told);
        }
    }
}
