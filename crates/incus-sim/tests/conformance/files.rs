//! Files of an instance, as far as the daemon writes and removes them.

use containarium_incus::{Error, FileKind, FilePost};

use super::everywhere;

#[tokio::test]
async fn a_file_is_written_read_listed_and_removed_running_or_not() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a25", 25)).await.unwrap();
        let incus = &bed.incus;
        let root = FilePost::root(0o644);
        for (running, content) in [(false, &b"one"[..]), (true, b"two\0more"), (false, b"")] {
            if running {
                let start = containarium_incus::StateChange::start();
                bed.change("a25", start).await.unwrap();
            }
            // The second time over what is there.
            for content in [b"before", content] {
                incus
                    .push_file("a25", "/etc/note", &root, content.to_vec())
                    .await
                    .unwrap();
            }
            assert_eq!(incus.pull_file("a25", "/etc/note").await.unwrap(), content);
            let names = incus.list_directory("a25", "/etc").await.unwrap();
            assert!(names.iter().any(|name| name == "note"), "{names:?}");
            incus.delete_file("a25", "/etc/note").await.unwrap();
            let names = incus.list_directory("a25", "/etc").await.unwrap();
            assert!(!names.iter().any(|name| name == "note"), "{names:?}");
            if running {
                let kill = containarium_incus::StateChange::kill();
                bed.change("a25", kill).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_lies_in_the_way_of_a_file_is_told() {
    everywhere(|bed| async move {
        bed.create(&bed.post("a26", 26)).await.unwrap();
        let incus = &bed.incus;
        let root = FilePost::root(0o644);
        let directory = FilePost {
            kind: FileKind::Directory,
            ..FilePost::root(0o755)
        };
        let push = async |path: &str, post| {
            incus
                .push_file("a26", path, post, Vec::new())
                .await
                .unwrap_err()
        };
        let missing = [
            incus.pull_file("a26", "/etc/none").await.unwrap_err(),
            incus.list_directory("a26", "/etc/none").await.unwrap_err(),
            incus.delete_file("a26", "/etc/none").await.unwrap_err(),
            push("/etc/none/x", &root).await,
            push("/etc/none/x", &directory).await,
            incus.pull_file("none", "/etc").await.unwrap_err(),
            incus.delete_file("none", "/etc").await.unwrap_err(),
        ];
        for error in missing {
            assert!(error.is_not_found(), "{error:?}");
        }
        let make = async |path: &str| {
            let made = incus.push_file("a26", path, &directory, Vec::new()).await;
            made.unwrap();
        };
        make("/etc/d").await;
        incus
            .push_file("a26", "/etc/d/x", &root, b"kept".to_vec())
            .await
            .unwrap();
        // What is there stays as it is; that it is no directory is not told.
        make("/etc/d").await;
        make("/etc/d/x").await;
        assert_eq!(incus.list_directory("a26", "/etc/d").await.unwrap(), ["x"]);
        let failures = [
            push("/etc/d", &root).await,
            push("/etc/d/x/y", &root).await,
            incus.pull_file("a26", "/etc/d/x/y").await.unwrap_err(),
            incus.delete_file("a26", "/etc/d/x/y").await.unwrap_err(),
            incus.delete_file("a26", "/etc/d").await.unwrap_err(),
        ];
        for error in failures {
            assert!(
                matches!(error, Error::Refused { code: 500, .. }),
                "{error:?}"
            );
        }
        let none = incus.list_directory("a26", "/etc/d/x").await.unwrap_err();
        assert!(matches!(none, Error::Conflict(_)), "{none:?}");
        let none = incus.pull_file("a26", "/etc/d").await.unwrap_err();
        assert!(matches!(none, Error::Conflict(_)), "{none:?}");
        assert_eq!(incus.pull_file("a26", "/etc/d/x").await.unwrap(), b"kept");
        incus.delete_file("a26", "/etc/d/x").await.unwrap();
        incus.delete_file("a26", "/etc/d").await.unwrap();
    })
    .await;
}
