//! The Go reference's own client. The same on a real Incus is in the live suite.

use containarium_testkit::{Key, Reference};

use crate::installed::Installed;

#[tokio::test(flavor = "multi_thread")]
async fn the_references_client_does_all_eight_tools() {
    let here = Installed::new(221).await;
    let client = Reference::new(&here.daemon.url, &here.daemon.admin_token());
    client
        .does_all_eight_tools("local:debian/12", Key::new().public())
        .await;
    here.must_be_empty().await;
}
