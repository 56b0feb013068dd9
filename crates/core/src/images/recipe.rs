//! The recipe: the files of `guest/` that make a prepared image of a base image, and the hash that
//! tells whether an image was made by these.

use std::{collections::BTreeMap, fmt::Write as _, sync::LazyLock};

use aws_lc_rs::digest::{Context, SHA256};

/// The property that holds the recipe of a prepared image.
pub(super) const RECIPE: &str = "containarium.recipe";
/// The property that holds the fingerprint of what it was made from.
pub(super) const FROM: &str = "containarium.from";

/// The files that are in a builder while it builds, with their modes.
pub(super) const FILES: &[(&str, &[u8], u32)] = &[
    (
        "prepare.sh",
        include_bytes!("../../guest/prepare.sh"),
        0o755,
    ),
    (
        "prepare-docker.sh",
        include_bytes!("../../guest/prepare-docker.sh"),
        0o755,
    ),
    ("identity", include_bytes!("../../guest/identity"), 0o755),
    ("claim", include_bytes!("../../guest/claim"), 0o755),
    ("scrub", include_bytes!("../../guest/scrub"), 0o755),
    (
        "containarium-identity.service",
        include_bytes!("../../guest/containarium-identity.service"),
        0o644,
    ),
    (
        "containarium-docker.service",
        include_bytes!("../../guest/containarium-docker.service"),
        0o644,
    ),
    (
        "ssh.service",
        include_bytes!("../../guest/ssh.service"),
        0o644,
    ),
];

/// Rendered by incusd when a container is created, from `user.containarium.*`.
pub(super) const TEMPLATES: &[(&str, &[u8])] = &[
    ("identity.tpl", include_bytes!("../../guest/identity.tpl")),
    ("ssh_keys.tpl", include_bytes!("../../guest/ssh_keys.tpl")),
    ("empty.tpl", include_bytes!("../../guest/empty.tpl")),
];
/// Which template is rendered to which file, and when.
pub(super) const RENDERED: &str = include_str!("../../guest/templates.json");

/// SHA-256 of all of it, in hex.
pub(super) static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Context::new(&SHA256);
    let mut add = |name: &str, content: &[u8]| {
        hash.update(name.as_bytes());
        hash.update(&(content.len() as u64).to_be_bytes());
        hash.update(content);
    };
    for (name, content, _) in FILES {
        add(name, content);
    }
    for (name, content) in TEMPLATES {
        add(name, content);
    }
    add("templates.json", RENDERED.as_bytes());
    let mut text = String::new();
    for byte in hash.finish().as_ref() {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
});

/// The properties of an image that this recipe made from the image `from`; what a test or a sim
/// gives an image that is to look prepared.
pub fn prepared_properties(from: &str) -> BTreeMap<String, String> {
    [(RECIPE, HASH.clone()), (FROM, from.to_owned())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}
