//! The Go reference's own client.

use containarium_testkit::{Key, Reference};

use super::start;

#[tokio::test(flavor = "multi_thread")]
async fn the_references_client_does_all_eight_tools() {
    let Some((bed, daemon)) = start().await else {
        return;
    };
    let client = Reference::new(&daemon.url, &daemon.admin_token());
    let image = bed.installation.default_image.as_str();
    client
        .does_all_eight_tools(image, Key::new().public())
        .await;
    assert!(bed.living().await.is_empty());
}
